# SPDX-License-Identifier: Apache-2.0
"""What is exported is what was there: samples, classes, training samples, scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spade_eval.cli import main, options
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.scenes import Scenes, dataset
from spade_eval.datasets.tools import export as tool
from spade_eval.datasets.tools.check import check_files
from spade_eval.datasets.tools.export import export
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.rows import Request
from spade_eval.workplace import Workplace

SIZE = (16, 32)


def scenes() -> list[Dataset]:
    return [Scenes(split, SIZE, length=length) for split, length in (("train", 5), ("val", 3))]


def require_same(one: Dataset, other: Dataset) -> None:
    assert one.label_space == other.label_space
    assert one.has_instances == other.has_instances
    assert one.names == other.names
    for index in range(len(one)):
        samples = [(one[index], other[index])]
        samples += [
            (one.training_sample(index, epoch, 7), other.training_sample(index, epoch, 7))
            for epoch in range(4)
        ]
        for first, second in samples:
            np.testing.assert_array_equal(first.photo, second.photo)
            np.testing.assert_array_equal(first.label_map, second.label_map)
            np.testing.assert_array_equal(first.instance_map, second.instance_map)


def test_scenes_come_back_as_they_were(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    done = export(scenes(), tmp_path / "x", progress=lambda *counts: calls.append(counts))
    assert [(item.written, item.kept) for item in done] == [(5, 0), (3, 0)]
    assert calls[-1] == (3, 3)
    assert check_files(Folder, tmp_path / "x").problems == []
    for split in scenes():
        require_same(split, Folder(split.split, SIZE, tmp_path / "x"))


def test_files_come_back_as_stored(tmp_path: Path, write_sample: Callable[..., Any]) -> None:
    for stem in ("000001", "000002", "000003"):
        write_sample(tmp_path / "coco", stem)
    first = CocoStuff("val", SIZE, tmp_path / "coco")
    export([first], tmp_path / "x", as_stored=True)
    again = Folder("val", SIZE, tmp_path / "x")
    require_same(first, again)
    assert again.stored_label_map(0).shape == (30, 40)
    assert again.crops
    export([first], tmp_path / "small", limit=2)
    small = Folder("val", SIZE, tmp_path / "small")
    assert small.names == ["000001", "000002"]
    assert small.stored_label_map(0).shape == SIZE
    np.testing.assert_array_equal(small[1].photo, first[1].photo)


def test_an_export_of_an_export_is_the_same(tmp_path: Path) -> None:
    export(scenes(), tmp_path / "x")
    one = [Folder(split, SIZE, tmp_path / "x") for split in ("train", "val")]
    export(one, tmp_path / "y", as_stored=True)
    for split in one:
        again = Folder(split.split, SIZE, tmp_path / "y")
        assert again.fingerprint() == split.fingerprint()
    assert not one[0].crops


def test_cropping_belongs_to_the_fingerprint(tmp_path: Path) -> None:
    export(scenes(), tmp_path)
    first = Folder("val", SIZE, tmp_path).fingerprint()
    path = tmp_path / "dataset.toml"
    path.write_text(path.read_text().replace("crop = false\n", ""))
    assert Folder("val", SIZE, tmp_path).fingerprint() != first


def test_a_stopped_export_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write(path: Path, array: Any) -> None:
        if len(written) == 7:
            raise KeyboardInterrupt
        written.append(path)
        write_png(path, array)

    write_png = tool.write_png
    monkeypatch.setattr(tool, "write_png", write)
    with pytest.raises(KeyboardInterrupt):
        export(scenes(), tmp_path)
    assert len(list(tmp_path.rglob("*.png"))) == 7
    with pytest.raises(UserError, match=r"no dataset\.toml"):
        Folder("train", SIZE, tmp_path)
    monkeypatch.undo()
    assert [(item.written, item.kept) for item in export(scenes(), tmp_path)] == [(3, 2), (3, 0)]
    require_same(scenes()[0], Folder("train", SIZE, tmp_path))
    assert [item.kept for item in export(scenes(), tmp_path)] == [5, 3]


def test_folders_of_others_and_other_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").touch()
    with pytest.raises(UserError, match="holds files that were not made by this command"):
        export(scenes(), tmp_path / "x")
    with pytest.raises(UserError, match="is a file"):
        export(scenes(), tmp_path / "x" / "mine.txt")
    train, val = scenes()
    export([val], tmp_path / "y")
    export([train], tmp_path / "y")  # the other split of the same data
    assert len(Folder("train", SIZE, tmp_path / "y")) == 5
    with pytest.raises(UserError, match=r"made with another val \(samples or --limit\)"):
        export([val], tmp_path / "y", limit=2)
    with pytest.raises(UserError, match="made with another size, train"):
        export([Scenes("train", (16, 16), length=5)], tmp_path / "y")
    assert len(Folder("val", SIZE, tmp_path / "y")) == 3


@pytest.mark.parametrize("is_shipped", [True, False])
def test_the_command_and_the_scores(
    is_shipped: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Scored by the segmenter that is shipped for scenes, or by one that is trained on either."""
    monkeypatch.setattr(dataset, "LENGTHS", {"train": 6, "val": 4})
    target = tmp_path / "export"
    with pytest.raises(SystemExit, match="0"):
        main(("data", "export", str(target), "--dataset", "scenes", "--size", "32"))
    assert f"--dataset folder --data-root {target}" in capsys.readouterr().out
    if not is_shipped:
        monkeypatch.setattr("spade_eval.scoring.in_domain.SHIPPED", {})
        path = target / "dataset.toml"
        path.write_text(path.read_text().replace('segmenter = "scenes"\n', ""))
    scores = []
    for name, root in (("scenes", tmp_path), ("folder", target)):
        config = options.run_config(
            name, "smoke", 0, "32", segmenter_steps=4, segmenter_batch_size=2, val_limit=4
        )
        place = Workplace(
            run_folder=tmp_path / name, data_root=root, weights_dir=tmp_path / f"{name}-weights",
            device=torch.device("cpu"),
        )  # fmt: skip
        benchmark = Benchmark(config, place)
        benchmark.run(Request())
        scores.append(
            {
                (item.source, item.metric, item.class_name): item.value
                for item in benchmark.store
                if item.source in ("real", "grey", "label colours")
            }
        )
    assert scores[0] == scores[1]
    assert {metric for _, metric, _ in scores[0]} >= {"miou", "fd_in_domain"}
    assert max(value for (_, name, _), value in scores[0].items() if name == "miou") > 0.0


def test_names_of_classes_may_hold_anything(tmp_path: Path) -> None:
    train = scenes()[0]
    names = tuple(f'"\\ caf\u00e9 \U0001f333 {k}' for k in range(16))
    space = type(train.label_space)(
        class_names=names, palette=train.label_space.palette, has_unlabelled=False
    )
    train.label_space, train.name = space, "other"
    export([train], tmp_path)
    assert Folder("train", SIZE, tmp_path).label_space == space
    assert json.loads((tmp_path / ".made_by_spade_eval.json").read_text())["export"] == "other"
