# SPDX-License-Identifier: Apache-2.0
"""Photos of one's own that a run squeezes are noted by the check and by the run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spade_eval.cli import main
from spade_eval.datasets.aspect import note_of_aspect
from spade_eval.datasets.base import photo_notes_of
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.folder import Folder

Write = Callable[..., object]


@pytest.mark.parametrize(
    ("sizes", "size", "words"),
    [
        (
            {(480, 640): 3, (64, 64): 1},
            (64, 64),
            ["3 of 4 photos (3 of 480x640", "; --size 48x64 has"],
        ),
        ({(480, 640): 3, (640, 480): 9}, (256, 256), ["(9 of 640x480, 3 of 480x640", "256x192"]),
        ({(1024, 2048): 1}, (256, 256), ["1 of 1 photos", "--size 128x256"]),
        ({(333, 1000): 1}, (32, 32), ["they are squeezed."]),
    ],
)
def test_squeezed_photos_are_counted(
    sizes: dict[tuple[int, int], int], size: tuple[int, int], words: list[str]
) -> None:
    (note,) = note_of_aspect(sizes, size)
    assert all(word in note for word in words), note


@pytest.mark.parametrize("photo", [(64, 128), (333, 667), (1, 2), (300, 601)])
def test_a_size_of_their_shape_squeezes_nothing(photo: tuple[int, int]) -> None:
    assert note_of_aspect({photo: 5}, (128, 256)) == ()
    assert note_of_aspect({}, (128, 256)) == ()


def test_the_check_and_the_run_say_so(
    tmp_path: Path, write_map: Write, write_photo: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "images" / "val" / "a.jpg", (20, 40))
    write_map(tmp_path / "labels" / "val" / "a.png", np.zeros((20, 40), np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["a"]\n'
    )
    (note,) = photo_notes_of(Folder("val", (32, 32), tmp_path))
    assert photo_notes_of(Folder("val", (32, 64), tmp_path)) == ()
    for size, expected in (("32", True), ("32x64", False)):
        with pytest.raises(SystemExit):
            main(("data", "check", "--dataset", "folder", "--data-root", str(tmp_path),
                  "--size", size))  # fmt: skip
        assert (f"note: val: {note}" in capsys.readouterr().out) == expected


def test_published_data_sets_are_squeezed_by_papers(tmp_path: Path, write_sample: Write) -> None:
    write_sample(tmp_path, "000001")
    assert photo_notes_of(CocoStuff("val", (32, 32), tmp_path)) == ()
