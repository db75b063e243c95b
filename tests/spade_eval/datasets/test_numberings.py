# SPDX-License-Identifier: Apache-2.0
"""Files in another numbering than the dataset's are named with the likely cause."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.base import label_doubts_of
from spade_eval.datasets.cityscapes import Cityscapes
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.flickr_landscapes import FlickrLandscapes
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.check import check_files

COCO, ADE, CITY = CocoStuff.numbering, Ade20k.numbering, Cityscapes.numbering
USED = sorted(set(range(182)) - COCO.never)


@pytest.mark.parametrize(
    ("numbering", "ids", "num_files", "words"),
    [
        (COCO, {0, 11, 66, 255}, 1, ["id 11 (street sign)", "numbering 171 classes;"]),
        (COCO, set(range(171)), 9, ["... (11 in all)", "171 classes"]),
        (COCO, {k + 1 for k in USED}, 9, ["id 11 (street sign)", "of the numbering COCO id;"]),
        (COCO, {0, 85, 170, 255}, 4, ["multiple of 85", "grey levels"]),
        (COCO, {0, 17, 34, 51}, 4, ["multiple of 17", "grey levels"]),
        (COCO, {0, 10, 20, 30, 40}, 4, ["multiple of 10", "grey levels"]),
        (ADE, set(range(150)) | {255}, 4, ["id 255", "numbering shifted;"]),
        (ADE, {3, 4, 255}, 4, ["id 255", "numbering shifted;"]),
        (ADE, set(range(150)), 4, ["id 150 (flag) never occurs", "shifted"]),
        (ADE, set(range(9)), 1000, ["id 150 (flag) never occurs", "shifted"]),
        (CITY, set(range(19)), 1, ["id any of 19..33 never occurs", "train id"]),
        (CITY, {0, 2, 8, 10, 255}, 1, ["id 255", "train id"]),
        (CITY, {0, 7, 14, 21, 28}, 1, ["multiple of 7"]),
    ],
)
def test_other_numberings_are_named(numbering: Any, ids: set[int], num_files: int, words: list[str]
) -> None:  # fmt: skip
    (doubt,) = numbering.doubts(ids, num_files)
    assert all(word in doubt for word in words), doubt
    assert f"data classes {numbering.dataset}`" in doubt or "multiple of" in doubt


@pytest.mark.parametrize(
    ("numbering", "ids", "num_files"),
    [
        (COCO, set(USED) | {255}, 5000),
        (COCO, {0, 66, 80}, 3),
        (COCO, {200}, 1),  # refused as it is, without a cause that is known
        (COCO, set(), 0),
        (ADE, set(range(151)), 2000),
        (ADE, {0, 1, 4, 9}, 20),
        (CITY, set(range(34)), 500),
        (CITY, {7, 8, 11, 23, 26}, 1),
        (CITY, set(), 0),
    ],
)
def test_sound_files_raise_no_doubt(numbering: Any, ids: set[int], num_files: int) -> None:
    assert numbering.doubts(ids, num_files) == []


def test_a_check_and_an_opened_split_name_the_numbering(
    tmp_path: Path, write_sample: Callable[..., Any]
) -> None:
    for stem in ("000001", "000002"):
        write_sample(tmp_path, stem)
    assert check_files(CocoStuff, tmp_path).problems == []
    assert label_doubts_of(CocoStuff("val", (16, 16), tmp_path)) == ()
    Image.fromarray(np.full((30, 40), 11, np.uint8)).save(tmp_path / "val_label" / "000001.png")
    (problem,) = check_files(CocoStuff, tmp_path).problems
    assert problem.startswith("val: published files never hold id 11 (street sign): ")
    (doubt,) = label_doubts_of(CocoStuff("val", (16, 16), tmp_path))
    assert doubt == f"Label maps of {problem}."


def test_ids_of_refused_files_count(tmp_path: Path, write_ade: Callable[..., str]) -> None:
    write_ade(tmp_path, 1, [0, 5, 255])
    problems = check_files(Ade20k, tmp_path).problems
    assert any("published files never hold id 255" in line for line in problems)
    (doubt,) = label_doubts_of(Ade20k("val", (16, 16), tmp_path))
    assert "numbering shifted" in doubt


def test_predicted_and_drawn_labels_are_not_doubted() -> None:
    assert FlickrLandscapes.numbering is None
    assert label_doubts_of(Scenes("val", (16, 16), length=1)) == ()
