# SPDX-License-Identifier: Apache-2.0
"""Label statistics against counts by hand, and as the command line prints and writes them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spade_eval.cli import main
from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.statistics import label_statistics
from spade_eval.models.labels import IGNORE_INDEX

WriteAde = Callable[..., str]


@pytest.fixture
def two_images(tmp_path: Path, write_ade: WriteAde) -> Path:
    """600 pixels each: walls and unlabelled in halves; a third each of wall, flag, unlabelled."""
    write_ade(tmp_path, 1, [1, 0])
    write_ade(tmp_path, 2, [1, 150, 0])
    return tmp_path


def test_shares_are_of_stored_pixels_and_of_images(two_images: Path) -> None:
    # At another size than the files', which are counted as stored.
    found = label_statistics(Ade20k("val", (64, 64), two_images), workers=2)
    assert found.num_images == 2
    assert found.pixels.sum() == 1200
    assert (found.pixels[0], found.pixels[149], found.pixels[IGNORE_INDEX]) == (500, 200, 500)
    assert (found.images[0], found.images[149], found.images[IGNORE_INDEX]) == (2, 1, 2)
    assert found.ignored_share == 500 / 1200
    assert found.images_by_classes[:4].tolist() == [0, 1, 1, 0]
    rows = {row[0]: row[1:] for row in found.rows()}
    assert len(rows) == 151
    assert rows[0] == ("wall", 500, 500 / 1200, 2, 1.0)
    assert rows[149] == ("flag", 200, 200 / 1200, 1, 0.5)


def test_the_command_prints_and_writes_them(
    two_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "stats", "--dataset", "ade20k", "--data-root", str(two_images), "--out",
              str(tmp_path / "out")])  # fmt: skip
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "val: 2 images, 41.67% of the pixels unlabelled; classes per image: mean 1.5" in out
    assert "148 classes without a pixel" in out
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 151
    assert sum(float(row["pixel_share"]) for row in rows) == pytest.approx(1)
    assert {row["split"] for row in rows} == {"val"}
    with (tmp_path / "out" / "classes_per_image.csv").open(newline="") as file:
        assert [(row["classes"], row["images"]) for row in csv.DictReader(file)] == [
            ("1", "1"), ("2", "1"),
        ]  # fmt: skip


def test_nothing_there_is_said_with_what_to_fetch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "stats", "--dataset", "cityscapes", "--data-root", str(tmp_path)])
    assert ended.value.code == 2
    assert "gtFine_trainvaltest.zip" in capsys.readouterr().err


def test_drawn_datasets_are_counted_as_drawn() -> None:
    dataset = Scenes("val", (32, 32), length=2)
    found = label_statistics(dataset)
    expected = sum(np.bincount(dataset[index].label_map.ravel(), minlength=256) for index in (0, 1))
    np.testing.assert_array_equal(found.pixels, expected)
