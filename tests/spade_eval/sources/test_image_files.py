# SPDX-License-Identifier: Apache-2.0
"""PNG files of a run: as many as asked for, the bytes of `write_images`, errors never swallowed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.sources import image_files
from spade_eval.sources.image_files import (
    LABEL_MAP_FOLDER,
    ImageWriter,
    lacks_images,
    num_written,
    write_images,
    write_inputs,
)


def batch(start: int, stop: int) -> tuple[range, list[Sample], Tensor]:
    samples = [Scenes("val", (64, 64))[index] for index in range(start, stop)]
    images = torch.from_numpy(np.stack([sample.photo for sample in samples])).permute(0, 3, 1, 2)
    return range(start, stop), samples, images


def stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*")) if folder.exists() else []


@pytest.mark.parametrize(("limit", "count"), [(None, 6), (0, 0), (3, 3), (4, 4), (5, 5), (9, 6)])
def test_the_first_images_are_written(tmp_path: Path, limit: int | None, count: int) -> None:
    with ImageWriter(tmp_path / "out", limit) as writer:
        writer.write(*batch(0, 4))
        writer.write(*batch(4, 6))
    names = [Scenes("val", (64, 64)).names[index] for index in range(count)]
    assert stems(tmp_path / "out") == sorted(names)
    assert num_written(range(6), limit) == count


def test_the_thread_writes_the_bytes_of_the_plain_form(tmp_path: Path) -> None:
    indices, samples, images = batch(0, 3)
    write_images(tmp_path / "plain", samples, images)
    with ImageWriter(tmp_path / "thread", None) as writer:
        writer.write(indices, samples, images)
    for sample in samples:
        files = [tmp_path / folder / f"{sample.name}.png" for folder in ("plain", "thread")]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert np.array_equal(np.asarray(Image.open(files[1])), sample.photo)


def test_what_goes_wrong_on_the_thread_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    writer = ImageWriter(tmp_path / "file", None)
    writer.write(*batch(0, 1))
    with pytest.raises(UserError, match="cannot be written"):
        writer.__exit__(None, None, None)


def test_a_slow_disk_holds_the_scoring_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    writer = ImageWriter(tmp_path / "out", None)
    monkeypatch.setattr(image_files, "_BATCHES_WAITING", 2)
    with writer:
        for _ in range(5):
            writer.write(*batch(0, 1))
            waiting.append(len(writer._waiting))
    assert max(waiting) == 2


def test_an_error_of_the_scoring_is_the_one_that_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    writer = ImageWriter(tmp_path / "file", None)
    writer.write(*batch(0, 1))
    error = ZeroDivisionError()
    assert writer.__exit__(ZeroDivisionError, error, None) is None, "raised on, and nothing else"


def test_label_maps_and_classes_are_written_once(tmp_path: Path) -> None:
    dataset = Scenes("val", (64, 64), length=4)
    write_inputs(tmp_path, dataset, range(3))
    folder = tmp_path / "images" / LABEL_MAP_FOLDER
    assert stems(folder) == sorted(dataset.names[:3])
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_inputs(tmp_path, dataset, range(4))
    assert len(stems(folder)) == 4
    assert all(path.stat().st_mtime_ns == before for path, before in written.items())
    first = np.asarray(Image.open(folder / f"{dataset.names[0]}.png"))
    palette = np.array(dataset.label_space.palette, np.uint8)
    label_map = dataset[0].label_map
    known = label_map != 255
    assert np.array_equal(first[known], palette[label_map[known]])
    names = [item["name"] for item in json.loads((tmp_path / "classes.json").read_text())]
    assert tuple(names) == dataset.label_space.class_names
    assert lacks_images(folder, ["absent"])
    assert not lacks_images(folder, dataset.names)
