# SPDX-License-Identifier: Apache-2.0
"""Palettes of pretrained systems: every row of the table, painted maps, and maps read back."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.cli import main
from spade_eval.datasets.class_tables import CLASS_TABLES
from spade_eval.datasets.condition_palettes import condition_palette, palette_rows
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.condition_images import paint_split, read_back
from spade_eval.errors import UserError


def dataset_of(classes: str) -> Any:
    """What a palette asks of a dataset with the classes of a table."""
    table = CLASS_TABLES[classes]
    space = SimpleNamespace(
        class_names=table.class_names, palette=table.palette, has_unlabelled=True
    )
    return SimpleNamespace(name=classes, label_space=space)


@pytest.mark.parametrize("name", palette_rows())
def test_every_row_has_a_colour_a_class_and_a_source(name: str) -> None:
    row = palette_rows()[name]
    palette = condition_palette(name, dataset_of(row["classes"]))
    assert len(palette.colours) == len(palette.class_names)
    assert all(0 <= part < 256 for colour in palette.colours for part in colour)
    assert palette.unlabelled == (0, 0, 0)
    assert palette.source == row["source"] != ""


@pytest.mark.parametrize("name", ["ade20k", "controlnet"])
def test_two_classes_of_one_colour_are_refused_by_name(name: str, tmp_path: Path) -> None:
    palette = condition_palette(name, dataset_of("ade20k"))
    with pytest.raises(UserError, match=r"road and skyscraper both are \(140, 140, 140\)"):
        read_back(tmp_path, tmp_path / "ids", palette)
    # Painted they can be: that is what the system knows.
    road, tower = (palette.class_names.index(one) for one in ("road", "skyscraper"))
    made = palette.painted(np.array([[road, tower, 255, 0]]))
    assert made.tolist() == [[[140] * 3, [140] * 3, [0] * 3, [120] * 3]]


def test_own_colours_differ_and_black_may_be_a_class() -> None:
    own = condition_palette(None, dataset_of("ade20k"))
    assert len(own.value_of()) == 151
    assert own == condition_palette("own", dataset_of("ade20k"))
    black = replace(own, colours=((0, 0, 0), *own.colours[1:]))
    with pytest.raises(UserError, match=r"wall and \(unlabelled\) both are \(0, 0, 0\)"):
        black.value_of()
    assert black.sha256 != own.sha256


def test_a_palette_of_other_classes_is_refused() -> None:
    scenes = Scenes("val", (64, 64), length=2)
    with pytest.raises(UserError, match="of the 150 classes of ade20k, but scenes has 16 others"):
        condition_palette("controlnet", scenes)
    with pytest.raises(UserError, match="did you mean controlnet"):
        condition_palette("controlnets", scenes)
    assert condition_palette("scenes", scenes) == condition_palette("own", scenes)


def test_painted_maps_are_read_back_to_the_bit(tmp_path: Path) -> None:
    scenes = Scenes("val", (64, 64), length=3)
    palette = condition_palette(None, scenes)
    made = paint_split(scenes, tmp_path / "val", palette, limit=2)
    assert (made.written, made.kept) == (2, 0)
    again = paint_split(scenes, tmp_path / "val", palette)
    assert (again.written, again.kept) == (1, 2)
    for index, name in enumerate(scenes.names):
        image = np.asarray(Image.open(tmp_path / "val" / f"{name}.png"))
        colours = np.array(scenes.label_space.palette)[scenes[index].label_map]
        assert (image == colours).all()
    read_back(tmp_path / "val", tmp_path / "ids", palette)
    for index, name in enumerate(scenes.names):
        ids = np.asarray(Image.open(tmp_path / "ids" / f"{name}.png"))
        assert (ids == scenes[index].label_map).all()


def test_another_palette_does_not_continue_a_folder(tmp_path: Path) -> None:
    scenes = Scenes("val", (64, 64), length=2)
    palette = condition_palette(None, scenes)
    paint_split(scenes, tmp_path / "val", palette)
    other = replace(palette, colours=((1, 2, 3), *palette.colours[1:]))
    with pytest.raises(UserError, match="was made with another condition images"):
        paint_split(scenes, tmp_path / "val", other)


def test_the_command_paints_and_reads_back(
    four_scenes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["colours"], ["ids", "--back", "colours/val"]):
        words = ["data", "colours", *(str(tmp_path / word) if "-" not in word else word
                                      for word in words), "--split", "val"]  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(words)
        told = capsys.readouterr()
        assert not ended.value.code, told.err
        assert "4 files written" in told.out
        assert "palette own: the colours of scenes in this suite" in told.out
    assert len(list((tmp_path / "ids").glob("*.png"))) == 4
