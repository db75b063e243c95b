# SPDX-License-Identifier: Apache-2.0
"""Folders of several images a label map: found by number, and complete or refused."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.image_draws import image_draws
from spade_eval.errors import UserError

NAMES = ["val_0", "val_1", "val_2"]  # whose own names end in numbers
SIZE = (4, 6)


def write(folder: Path, names: Iterable[str]) -> None:
    for place, name in enumerate(names):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), place, dtype=np.uint8)).save(path)


def suffixed(numbers: Iterable[int], form: str = "{name}_{number}") -> list[str]:
    return [form.format(name=name, number=number) for number in numbers for name in NAMES]


def refusal(folder: Path, count: int | None = None) -> str:
    with pytest.raises(UserError) as caught:
        image_draws(folder, NAMES, SIZE, count)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FORMS = ["{name}_{number}", "{name}_0{number}", "{number}/{name}", "group_{number}/{name}"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("first", [0, 1])
def test_every_form_gives_the_draws_in_order(tmp_path: Path, form: str, first: int) -> None:
    write(tmp_path, suffixed(range(first, first + 3), form))
    draws = image_draws(tmp_path, NAMES, SIZE)
    assert [[int(draw[i][0, 0, 0]) for i in range(3)] for draw in draws] == [
        [0, 1, 2], [3, 4, 5], [6, 7, 8],
    ]  # fmt: skip


def test_ten_draws_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    write(tmp_path, suffixed(range(11)))
    draws = image_draws(tmp_path, NAMES, SIZE)
    assert [int(draw[0][0, 0, 0]) for draw in draws] == list(range(0, 33, 3))


def test_files_called_as_the_label_maps_are_one_draw(tmp_path: Path) -> None:
    """`val_0.png` is the image of `val_0`, and no draw of `val`."""
    write(tmp_path, NAMES)
    (only,) = image_draws(tmp_path, NAMES, SIZE)
    assert int(only[2][0, 0, 0]) == 2


@pytest.mark.parametrize("form", FORMS)
def test_the_first_incomplete_label_map_is_named(tmp_path: Path, form: str) -> None:
    write(tmp_path, suffixed(range(4), form))
    (tmp_path / f"{form.format(name='val_1', number=2)}.png").unlink()
    (tmp_path / f"{form.format(name='val_2', number=1)}.png").unlink()
    said = refusal(tmp_path)
    assert "label map val_1 has 3 of 4 images, number 2 is missing" in said


def test_label_maps_that_are_not_scored_may_be_incomplete(tmp_path: Path) -> None:
    write(tmp_path, suffixed(range(2)))
    (tmp_path / "val_2_1.png").unlink()
    assert len(image_draws(tmp_path, NAMES, SIZE, 2)) == 2
    assert "val_2 has 1 of 2" in refusal(tmp_path)


def test_gaps_strangers_and_twins_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "gap", suffixed([0, 2]))
    assert "numbered 0, 2" in refusal(tmp_path / "gap")
    write(tmp_path / "stranger", [*suffixed([0, 1]), "val_9_0"])
    assert "val_9_0.png belongs to no label map" in refusal(tmp_path / "stranger")
    write(tmp_path / "twin", [*suffixed([0, 1]), "val_0_01"])
    assert "have one number" in refusal(tmp_path / "twin")


def test_folders_that_are_no_numbers_are_no_draws(tmp_path: Path) -> None:
    write(tmp_path, [f"{folder}/{name}" for folder in ("0", "logs") for name in NAMES])
    assert "holds 0 images" in refusal(tmp_path)


def test_a_draw_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, suffixed(range(2), "{number}/{name}"))
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "1" / "val_1.png")
    assert "8x8 (such as val_1.png)" in refusal(tmp_path)
