# SPDX-License-Identifier: Apache-2.0
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.tools.check import check_files, check_samples
from spade_eval.errors import UserError

WriteSample = Callable[..., Any]


def problem_about(problems: list[str], part: str) -> str:
    found = [line for line in problems if part in line]
    assert len(found) == 1, problems
    assert "\n" not in found[0]
    return found[0]


def test_sound_folder_has_no_problems(tiny_root: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = check_files(
        CocoStuff, tiny_root, progress=lambda done, total: calls.append((done, total))
    )
    assert report.problems == []
    (split,) = report.splits
    assert (split.split, split.num_samples, split.num_instance_maps) == ("val", 3, 3)
    assert split.photo_sizes == {(30, 40): 3}
    assert list(split.pixels_by_label) == [0, 3, 91, 181, 255]
    assert sum(split.pixels_by_label.values()) == 3 * 30 * 40
    assert calls == [(1, 3), (2, 3), (3, 3)]
    text = "\n".join(report.lines())
    for part in (
        "val: 3 samples (of 5000)",
        "30x40 (3)",
        "banner",
        "(unlabelled)",
        "no problems found",
    ):
        assert part in text


def test_every_fault_is_collected_and_grouped(tmp_path: Path, write_sample: WriteSample) -> None:
    for number in range(12):
        write_sample(tmp_path, f"{number:06d}")
    labels = tmp_path / "val_label"
    Image.fromarray(np.full((30, 40), 200, dtype=np.uint8)).save(labels / "000000.png")
    Image.fromarray(np.full((30, 40), 182, dtype=np.uint8)).save(labels / "000001.png")
    for number in range(2, 9):
        Image.new("RGB", (40, 30)).save(labels / f"{number:06d}.png")
    (labels / "000009.png").write_bytes(b"no image")
    Image.new("L", (20, 30)).save(labels / "000010.png")
    (tmp_path / "val_img" / "000000.png").write_bytes(b"no image")  # beside its wrong label map
    (tmp_path / "val_inst" / "000011.png").unlink()

    report = check_files(CocoStuff, tmp_path)
    (split,) = report.splits
    assert split.num_samples == 11
    assert split.names_by_wrong_label == {182: ["000001"], 200: ["000000"]}
    assert len(report.problems) == 6
    assert "1 files are missing" in problem_about(report.problems, "val_inst")
    ids = problem_about(report.problems, "label ids 200")
    assert "likewise 1 more: 000001.png" in ids
    colour = problem_about(report.problems, "mode RGB")
    assert "likewise 6 more: 000003.png" in colour
    assert "... (6 in all)" in colour
    assert "000009.png" in problem_about(report.problems, "val_label/000009")
    assert "30x20" in problem_about(report.problems, "belong together")
    assert "cannot be decoded" in problem_about(report.problems, "val_img/000000")


def test_one_split_may_be_absent_but_not_half_of_it(
    tmp_path: Path, write_sample: WriteSample
) -> None:
    write_sample(tmp_path, "000001")
    assert check_files(CocoStuff, tmp_path).problems == []
    (tmp_path / "train_img").mkdir()
    assert "only" in problem_about(check_files(CocoStuff, tmp_path).problems, "train:")
    with pytest.raises(UserError, match="no folder of the split"):
        check_files(CocoStuff, tmp_path / "val_img")


def test_two_files_of_one_stem_are_a_problem(tmp_path: Path, write_sample: WriteSample) -> None:
    write_sample(tmp_path, "000001")
    shutil.copy(tmp_path / "val_img" / "000001.png", tmp_path / "val_img" / "000001.jpg")
    assert "share one stem" in check_files(CocoStuff, tmp_path).problems[0]


def test_instance_maps_in_one_split_only(tmp_path: Path, write_sample: WriteSample) -> None:
    write_sample(tmp_path, "000001", split="val")
    write_sample(tmp_path, "000001", split="train", instances=False)
    assert "train: no instance maps" in check_files(CocoStuff, tmp_path).problems[0]


def test_any_dataset_can_be_checked(tiny_root: Path) -> None:
    dataset = CocoStuff("val", (32, 16), tiny_root)
    report = check_samples([dataset])
    assert report.problems == []
    (split,) = report.splits
    assert split.photo_sizes == {(32, 16): 3}
    assert sum(split.pixels_by_label.values()) == 3 * 32 * 16
    expected = np.bincount(
        np.concatenate([dataset[index].label_map.ravel() for index in range(3)]), minlength=256
    )
    assert split.pixels_by_label == {
        int(value): int(expected[value]) for value in np.flatnonzero(expected)
    }


def test_ids_outside_any_datasets_range_are_found(
    tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = CocoStuff("val", (32, 32), tiny_root)
    few = type(dataset.label_space)(
        class_names=("person", "bicycle"), palette=((1, 1, 1), (2, 2, 2)), has_unlabelled=True
    )
    monkeypatch.setattr(dataset, "label_space", few)
    report = check_samples([dataset])
    assert list(report.splits[0].names_by_wrong_label) == [3, 91, 181]
    assert "0..1 were expected" in report.problems[0]
    assert "(outside the label set)" in "\n".join(report.lines())


def test_real_sample_files_are_sound(sample_root: Path) -> None:
    report = check_files(CocoStuff, sample_root)
    assert report.problems == []
    assert [split.num_samples for split in report.splits] == [13, 8]
    assert [split.num_instance_maps for split in report.splits] == [13, 8]
    labels = set(report.splits[0].pixels_by_label) | set(report.splits[1].pixels_by_label)
    assert (min(labels), max(labels - {255})) == (0, 180)
    assert 255 in labels
