# SPDX-License-Identifier: Apache-2.0
"""Images under SIMS's numbers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.images import ImageFolder
from spade_eval.datasets.numbered_images import lines, numbered
from spade_eval.errors import UserError

NAMES = ["munster_000001_000019", "frankfurt_000000_000294", "lindau_000002_000019"]


def folder(root: Path, stems: dict[str, int]) -> Path:
    root.mkdir()
    for stem, grey in stems.items():
        Image.fromarray(np.full((4, 8, 3), grey, np.uint8)).save(root / f"{stem}.png")
    return root


def test_numbers_are_the_samples_in_alphabetical_order(tmp_path: Path) -> None:
    """Whatever the order of the split: the authors sorted paths."""
    root = folder(tmp_path / "sims", {"00100003": 30, "00100001": 10, "00100002": 20})
    images = ImageFolder(root, NAMES, (4, 8))
    assert [int(images[place][0, 0, 0]) for place in range(3)] == [30, 10, 20]
    assert images.numbering == {
        "00100001": "frankfurt_000000_000294",
        "00100002": "lindau_000002_000019",
        "00100003": "munster_000001_000019",
    }
    assert lines(images.numbering)[0] == "  00100001 = frankfurt_000000_000294"


def test_some_of_them_suffice_for_the_first_samples(tmp_path: Path) -> None:
    root = folder(tmp_path / "sims", {"00100003": 30, "00100001": 10})
    images = ImageFolder(root, NAMES, (4, 8), count=2)
    assert [int(images[place][0, 0, 0]) for place in range(2)] == [30, 10]
    with pytest.raises(UserError, match=r"1 images are missing \(lindau_000002_000019"):
        ImageFolder(root, NAMES, (4, 8))


@pytest.mark.parametrize(
    "stems",
    [
        ["00100001", "00100002", "00100004"],  # more than there are samples
        ["00000001", "00000002", "00000003"],  # their training images
        ["00100001", "100001", "00100002"],  # one number twice
        ["00100001", "00100002", "lindau"],
        # Digits, but none that a program writes.
        ["".join(chr(0x660 + int(digit)) for digit in "100001")],
    ],
)
def test_other_numbers_are_not_guessed_at(tmp_path: Path, stems: list[str]) -> None:
    assert numbered(dict.fromkeys(stems, tmp_path), NAMES) == {}
    root = folder(tmp_path / "sims", dict.fromkeys(stems, 0))
    with pytest.raises(UserError, match="images are missing"):
        ImageFolder(root, NAMES, (4, 8))


def test_a_split_of_numbers_is_read_by_its_names(tmp_path: Path) -> None:
    names = ["00100002", "00100001"]
    root = folder(tmp_path / "mine", {"00100001": 1, "00100002": 2})
    images = ImageFolder(root, names, (4, 8))
    assert images.numbering == {}
    assert [int(images[place][0, 0, 0]) for place in range(2)] == [2, 1]
