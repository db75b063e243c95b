# SPDX-License-Identifier: Apache-2.0
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets import ade20k, cityscapes, files
from spade_eval.datasets.class_tables import CLASS_TABLES
from spade_eval.datasets.coco_stuff import LABEL_FILES
from spade_eval.datasets.tools import colour_maps
from spade_eval.datasets.tools.derived import MARK
from spade_eval.datasets.tools.label_photos import label_photos
from spade_eval.errors import UserError

WriteMap = Callable[[Path, NDArray[Any]], None]
ROUND_TRIP = {"ade20k": ade20k.LABEL_FILES, "cityscapes": cityscapes.LABEL_FILES}


@pytest.mark.parametrize("name", sorted(ROUND_TRIP))
def test_official_colours_become_file_values(
    name: str, tmp_path: Path, write_map: WriteMap
) -> None:
    colours = np.array([CLASS_TABLES[name].colours], dtype=np.uint8)
    write_map(tmp_path / "colours" / "a.png", colours)
    palette = colour_maps.read_palette(name)
    colour_maps.convert_folder(tmp_path / "colours", tmp_path / "ids", palette)
    labels = ROUND_TRIP[name].read(tmp_path / "ids" / "a.png")
    wrong = np.flatnonzero(labels[0] != np.arange(colours.shape[1])).tolist()
    assert wrong == {"ade20k": [48], "cityscapes": [1, 2, 3, 4, 18]}[name], "shared colours"
    assert len(palette.shared) == len(wrong)


def test_a_palette_file_of_any_ids(tmp_path: Path, write_map: WriteMap) -> None:
    path = tmp_path / "palette.txt"
    path.write_text("# mine\n7 255 0 0 roof\n300, 0, 0, 255\n\n")
    palette = colour_maps.read_palette(str(path))
    image = np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    ids = colour_maps.to_ids(image, palette, path)
    assert ids.tolist() == [[7, 300]]
    assert ids.dtype == np.uint16


@pytest.mark.parametrize("line", ["1 2 3", "1 2 3 x", "-1 0 0 0", "1 0 0 256", "70000 0 0 0"])
def test_faulty_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "palette.txt"
    path.write_text(line)
    with pytest.raises(UserError, match="`id red green blue` was expected"):
        colour_maps.read_palette(str(path))


def test_a_palette_file_is_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "palette.txt"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text("1 2 3 4 caf\u00e9\n", encoding=encoding)
        assert colour_maps.read_palette(str(path)).id_of == {(2, 3, 4): 1}
    path.write_text("1 2 3 4 caf\u00e9\n", encoding="latin-1")
    with pytest.raises(UserError, match=r"palette\.txt: is no text in UTF-8 .* at byte 11"):
        colour_maps.read_palette(str(path))


def test_unknown_colours_are_counted_and_named(tmp_path: Path, write_map: WriteMap) -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[0, :3] = (1, 2, 3)
    image[1, 0] = (255, 255, 254)
    write_map(tmp_path / "colours" / "a.png", image)
    palette = colour_maps.read_palette("ade20k")
    with pytest.raises(colour_maps.UnknownColourError) as raised:
        colour_maps.convert_folder(tmp_path / "colours", tmp_path / "ids", palette)
    message = str(raised.value)
    for part in ("a.png", "(1, 2, 3) on 3 pixels, (255, 255, 254) on 1 pixels"):
        assert part in message
    assert not (tmp_path / "ids" / "a.png").exists()


def test_conversion_resumes_and_leaves_the_originals(tmp_path: Path, write_map: WriteMap) -> None:
    source, target = tmp_path / "colours", tmp_path / "ids"
    for stem in ("a", "b"):
        write_map(source / f"{stem}.png", np.full((3, 4, 3), 70, dtype=np.uint8))
    before = {path: path.read_bytes() for path in source.iterdir()}
    palette = colour_maps.read_palette("cityscapes")
    first = colour_maps.convert_folder(source, target, palette)
    assert (first.written, first.kept) == (2, 0)
    (target / "b.png").unlink()
    second = colour_maps.convert_folder(source, target, palette)
    assert (second.written, second.kept) == (1, 1)
    assert {path: path.read_bytes() for path in source.iterdir()} == before
    np.testing.assert_array_equal(files.read_ids(target / "a.png", "class"), 11)
    with pytest.raises(UserError, match="made with another palette"):
        colour_maps.convert_folder(source, target, colour_maps.read_palette("ade20k"))
    with pytest.raises(UserError, match="originals lie there"):
        colour_maps.convert_folder(source, source, palette)
    with pytest.raises(UserError, match="no such folder"):
        colour_maps.convert_folder(tmp_path / "none", target, palette)


def test_changed_originals_are_noticed(tmp_path: Path) -> None:
    """Also where the byte count stays: pictures of one colour are equally long."""
    source, target = tmp_path / "colours", tmp_path / "ids"
    roads, pavements = (128, 64, 128), (244, 35, 232)
    for stem in ("a", "b"):
        _write_uncompressed(source / f"{stem}.png", roads)
    palette = colour_maps.read_palette("cityscapes")
    colour_maps.convert_folder(source, target, palette)
    length = (source / "a.png").stat().st_size
    _write_uncompressed(source / "a.png", pavements)
    assert (source / "a.png").stat().st_size == length
    for _ in range(2):  # a refusal changes nothing
        with pytest.raises(UserError, match=r"ids: 1 files were made from others .*\(a\); remove"):
            colour_maps.convert_folder(source, target, palette)
    (target / "a.png").unlink()
    again = colour_maps.convert_folder(source, target, palette)
    assert (again.written, again.kept) == (1, 1)
    np.testing.assert_array_equal(files.read_ids(target / "a.png", "class"), 8)
    np.testing.assert_array_equal(files.read_ids(target / "b.png", "class"), 7)


def test_what_was_made_is_known_while_its_original_is_away(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "colours", tmp_path / "ids"
    for stem in ("a", "b"):
        _write_uncompressed(source / f"{stem}.png", (128, 64, 128))
    palette = colour_maps.read_palette("cityscapes")
    colour_maps.convert_folder(source, target, palette)
    (source / "a.png").unlink()
    assert colour_maps.convert_folder(source, target, palette).kept == 1
    _write_uncompressed(source / "a.png", (244, 35, 232))
    with pytest.raises(UserError, match=r"made from others .*\(a\)"):
        colour_maps.convert_folder(source, target, palette)


def test_a_mark_from_before_knows_no_originals_and_learns_them(tmp_path: Path) -> None:
    source, target = tmp_path / "colours", tmp_path / "ids"
    _write_uncompressed(source / "a.png", (128, 64, 128))
    palette = colour_maps.read_palette("cityscapes")
    colour_maps.convert_folder(source, target, palette)
    mark = target / MARK
    mark.write_text(json.dumps({"palette": json.loads(mark.read_text())["palette"]}))
    assert colour_maps.convert_folder(source, target, palette).kept == 1
    _write_uncompressed(source / "a.png", (244, 35, 232))
    with pytest.raises(UserError, match="made from others"):
        colour_maps.convert_folder(source, target, palette)


def _write_uncompressed(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 3), colour).save(path, compress_level=0)


def test_a_stopped_write_leaves_no_file_that_looks_whole(
    tmp_path: Path, write_map: WriteMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "colours", tmp_path / "ids"
    write_map(source / "a.png", np.full((3, 4, 3), 70, dtype=np.uint8))
    palette = colour_maps.read_palette("cityscapes")

    def stopped(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            colour_maps.convert_folder(source, target, palette)
    assert colour_maps.convert_folder(source, target, palette).written == 1
    np.testing.assert_array_equal(files.read_ids(target / "a.png", "class"), 11)


def test_indices_of_palette_files(tmp_path: Path, write_map: WriteMap) -> None:
    ids = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    image = Image.fromarray(ids).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    (tmp_path / "colours").mkdir()
    image.save(tmp_path / "colours" / "a.png")
    colour_maps.convert_folder(tmp_path / "colours", tmp_path / "ids", palette=None)
    np.testing.assert_array_equal(files.read_ids(tmp_path / "ids" / "a.png", "class"), ids)
    write_map(tmp_path / "rgb" / "a.png", np.zeros((2, 2, 3), dtype=np.uint8))
    with pytest.raises(files.ImageModeError, match="palette file"):
        colour_maps.convert_folder(tmp_path / "rgb", tmp_path / "other", palette=None)


def test_photos_are_labelled_by_any_callable(
    tmp_path: Path, write_photo: Callable[..., None]
) -> None:
    for stem in ("a", "b"):
        write_photo(tmp_path / "images" / f"{stem}.jpg")
    calls = []

    def segment(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        calls.append(photo.shape)
        return np.full(photo.shape[:2], 156, dtype=np.uint8)

    labels = tmp_path / "labels"
    assert label_photos(tmp_path / "images", labels, segment, "net 1").written == 2
    assert label_photos(tmp_path / "images", labels, segment, "net 1").kept == 2
    assert calls == [(20, 30, 3)] * 2
    np.testing.assert_array_equal(LABEL_FILES.read(labels / "b.png"), 156)
    with pytest.raises(UserError, match="another segmenter"):
        label_photos(tmp_path / "images", labels, segment, "net 2")
    write_photo(tmp_path / "images" / "a.jpg", (20, 31))
    with pytest.raises(UserError, match=r"labels: 1 files were made from others .*\(a\)"):
        label_photos(tmp_path / "images", labels, segment, "net 1")
