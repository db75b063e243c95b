# SPDX-License-Identifier: Apache-2.0
"""A dataset is one class and one row: budgets, layouts and scoring follow."""

from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.batches import layout_of
from spade_eval.cli import options
from spade_eval.config import budget_for, budgets_of
from spade_eval.datasets import DATASETS, open_dataset
from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.file_dataset import FileDataset, SplitFiles, listing, paired
from spade_eval.datasets.label_files import LabelFiles, numbered_from_zero
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.rows import Request
from spade_eval.scoring.segmenter import open_segmenter
from spade_eval.workplace import Workplace

SPACE = LabelSpace(
    class_names=("sky", "ground"), palette=((0, 0, 255), (0, 255, 0)), has_unlabelled=True
)


class Tiny(FileDataset):
    """Photos in photos/, label maps in labels/, the same for both splits."""

    name = "tiny"
    budgets: ClassVar = MappingProxyType({"smoke": {"size": (32, 64), "steps": 2}, "paper": None})

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        return paired(*(listing(root / folder, (".png",)) for folder in ("photos", "labels")))

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        return numbered_from_zero(SPACE)


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(0)
    for number in range(4):
        labels = np.repeat(np.array([0, 1, 255], np.uint8), (20, 16, 4))[:, None].repeat(80, axis=1)
        photo = random.integers(0, 256, (40, 80, 3), dtype=np.uint8)
        for folder, values in (("photos", photo), ("labels", labels)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / folder / f"{number}.png")
    monkeypatch.setitem(DATASETS, "tiny", Tiny)
    return tmp_path


def test_one_class_and_one_row_give_a_benchmark(data_root: Path, tmp_path: Path) -> None:
    config = options.run_config(
        "tiny", "smoke", 0, None, batch_size=2, width=4 / 64, segmenter_steps=1
    )
    place = Workplace(
        run_folder=tmp_path / "run", data_root=data_root, weights_dir=tmp_path / "weights",
        device=torch.device("cpu"),
    )  # fmt: skip
    benchmark = Benchmark(config, place)
    rows = ["real", "grey", "label colours", "spade"]
    assert benchmark.run(Request(("spade",))) == rows
    records = list(benchmark.store)
    assert [item.source for item in records if item.metric == "miou"] == rows
    assert {(item.height, item.width, item.dataset) for item in records} == {(32, 64, "tiny")}
    named = {item.class_name for item in records if item.metric == "iou"}
    assert named == set(SPACE.class_names)


def test_what_a_dataset_does_not_say_is_as_usual(data_root: Path) -> None:
    usual = budgets_of("ade20k")
    assert budget_for("tiny", "default") == usual["default"]
    assert budget_for("tiny", "smoke").segmenter_steps == usual["smoke"].segmenter_steps
    assert (budget_for("tiny", "smoke").size, budget_for("tiny", "smoke").steps) == ((32, 64), 2)
    with pytest.raises(UserError, match="no budget of tiny is called 'paper'"):
        budget_for("tiny", "paper")
    dataset = open_dataset("tiny", "val", (32, 64), data_root)
    assert layout_of(dataset).num_labels == 2 + 1  # "unknown", and no edges without instances
    with pytest.raises(UserError, match="no published segmenter scores tiny; expected one of coco"):
        open_segmenter(
            "hf:any", dataset, data_root, torch.device("cpu"), in_domain=lambda: data_root
        )
