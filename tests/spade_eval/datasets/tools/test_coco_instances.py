# SPDX-License-Identifier: Apache-2.0
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.tools.coco_instances import instance_map, write_instance_maps
from spade_eval.datasets.tools.derived import MARK
from spade_eval.datasets.tools.polygons import fill_polygon
from spade_eval.errors import UserError

WriteSample = Callable[..., Any]


def inside(x: np.ndarray, y: np.ndarray, column: int, row: int) -> bool:
    """Even-odd rule by a ray to the right, and points on an edge: one pixel at a time."""
    odd = False
    for k in range(len(x)):
        x0, y0, x1, y1 = x[k - 1], y[k - 1], x[k], y[k]
        across = (x1 - x0) * (row - y0) - (y1 - y0) * (column - x0)
        within = min(x0, x1) <= column <= max(x0, x1) and min(y0, y1) <= row <= max(y0, y1)
        if across == 0 and within:
            return True
        if (y0 > row) != (y1 > row) and column < x0 + (row - y0) / (y1 - y0) * (x1 - x0):
            odd = not odd
    return odd


@pytest.mark.parametrize("seed", range(20))
def test_filling_equals_the_rule_pixel_by_pixel(seed: int) -> None:
    generator = np.random.default_rng(seed)
    # Quarters: many corners and edges fall on pixels, and the arithmetic is exact.
    corners = generator.integers(-12, 52, (generator.integers(3, 9), 2)) / 4
    if seed % 2:
        corners = np.round(corners)
    x, y = corners[:, 0], corners[:, 1]
    image = np.zeros((11, 10), dtype=np.uint16)
    fill_polygon(image, x, y, 7)
    expected = [[7 * inside(x, y, column, row) for column in range(10)] for row in range(11)]
    np.testing.assert_array_equal(image, expected)


def test_objects_are_counted_and_shifted() -> None:
    label_map = np.full((6, 8), 255, dtype=np.uint16)
    square = [1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0]  # pixels 0..2 after the shift
    parts = [[7.0, 5.0, 8.0, 5.0, 8.0, 6.0, 7.0, 6.0], [5.0, 1.0, 5.0, 1.0, 5.0, 1.0]]
    instances = instance_map(label_map, [[square], parts])
    assert (instances[:3, :3] == 0).all()
    assert (instances[4:6, 6:8] == 1).all()
    assert instances[0, 4] == 1, "a polygon of one point is that pixel"
    assert (instances == 255).sum() == 48 - 9 - 4 - 1
    assert (label_map == 255).all()


@pytest.fixture
def annotated(tmp_path: Path, write_sample: WriteSample) -> Path:
    """A split with 300 objects on one image, a crowd region, and an image without objects."""
    for stem in ("000000000001", "000000000002"):
        write_sample(tmp_path, stem, layout="official", instances=False)
    polygon = [5.0, 5.0, 9.0, 5.0, 9.0, 9.0, 5.0, 9.0]
    crowd = {"counts": [0, 1200], "size": [30, 40]}
    annotations = [{"image_id": 1, "segmentation": [polygon]} for _ in range(300)]
    annotations.insert(0, {"image_id": 1, "segmentation": crowd})
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (1, 2)]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    return tmp_path


def test_maps_are_made_once_and_read_by_the_dataset(annotated: Path) -> None:
    labels = annotated / "stuffthingmaps_trainval2017" / "val2017"
    before = {path.name: path.read_bytes() for path in labels.iterdir()}
    done: list[tuple[int, int]] = []
    written = write_instance_maps(annotated, "val", 2, lambda *counts: done.append(counts))
    assert (written.written, written.kept) == (2, 0)
    assert done == [(1, 2), (2, 2)]
    assert {path.name: path.read_bytes() for path in labels.iterdir()} == before
    dataset = CocoStuff("val", (30, 40), annotated)
    assert dataset.has_instances
    first, second = dataset[0], dataset[1]
    assert first.instance_map is not None
    assert second.instance_map is not None
    assert first.instance_map[5, 5] == 299, "the last object, beyond 8 bits"
    assert first.instance_map[20, 20] == first.label_map[20, 20], "the crowd region is skipped"
    np.testing.assert_array_equal(second.instance_map, second.label_map)


def test_what_is_there_is_kept(annotated: Path) -> None:
    written = write_instance_maps(annotated, "val")
    times = {path: path.stat().st_mtime_ns for path in written.folder.glob("*.png")}
    (written.folder / "000000000002.png").unlink()
    again = write_instance_maps(annotated, "val")
    assert (again.written, again.kept) == (1, 1)
    kept = written.folder / "000000000001.png"
    assert kept.stat().st_mtime_ns == times[kept]


def test_maps_of_other_origin_are_not_touched(annotated: Path) -> None:
    folder = annotated / "instances" / "val2017"
    folder.mkdir(parents=True)
    Image.new("L", (40, 30)).save(folder / "000000000001.png")
    with pytest.raises(UserError, match="not made by this command"):
        write_instance_maps(annotated, "val")
    assert [path.name for path in folder.iterdir()] == ["000000000001.png"]


def test_other_annotations_are_not_mixed(annotated: Path) -> None:
    write_instance_maps(annotated, "val")
    path = annotated / "annotations" / "instances_val2017.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(UserError, match="made with another annotations"):
        write_instance_maps(annotated, "val")


def test_annotations_are_known_by_their_content(annotated: Path) -> None:
    folder = write_instance_maps(annotated, "val").folder
    path = annotated / "annotations" / "instances_val2017.json"
    content = path.read_text()
    path.write_text(content.replace("9.0", "8.0"))
    assert len(path.read_text()) == len(content)
    with pytest.raises(UserError, match=r"made with another annotations \(SHA-256\)"):
        write_instance_maps(annotated, "val")
    mark = folder / MARK
    known = json.loads(mark.read_text())
    del known["annotations (SHA-256)"]  # as marks of before are
    mark.write_text(json.dumps(known))
    path.write_text(content)
    assert write_instance_maps(annotated, "val").kept == 2
    assert "annotations (SHA-256)" in json.loads(mark.read_text())


def test_faults_say_what_to_do(annotated: Path, tmp_path: Path) -> None:
    path = annotated / "annotations" / "instances_val2017.json"
    whole = path.read_text()
    path.write_text(whole[:100])
    with pytest.raises(UserError, match=r"no complete file .*annotations_trainval2017\.zip"):
        write_instance_maps(annotated, "val")
    path.write_text(whole)
    assert write_instance_maps(annotated, "val").written == 2, "a download repeated is no fault"
    path.unlink()
    with pytest.raises(UserError, match=r"no annotations/instances_val2017\.json"):
        write_instance_maps(annotated, "val")
    with pytest.raises(UserError, match="no label maps of train"):
        write_instance_maps(annotated, "train")
    (annotated / "val_inst").mkdir()
    with pytest.raises(UserError, match="there already"):
        write_instance_maps(annotated, "val")


def test_real_maps_begin_as_label_maps_and_count_from_zero(sample_root: Path) -> None:
    """What this module rests on, seen in the released files."""
    from_zero = 0
    for path in sorted((sample_root / "val_inst").glob("*.png")):
        with Image.open(path) as released, Image.open(sample_root / "val_label" / path.name) as raw:
            instances, label_map = np.array(released), np.array(raw)
        numbers = np.unique(instances[instances != label_map])
        assert numbers.max() < 30, "running numbers, small on images with few objects"
        from_zero += numbers.min() == 0
    assert from_zero >= 6
