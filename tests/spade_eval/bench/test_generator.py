# SPDX-License-Identifier: Apache-2.0
"""The speed of generators, measured: forms agree, ratios are what the seconds say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.bench.generator import DENSE, Variant, time_generator, variants
from spade_eval.bench.maps import BenchMaps, maps_of_folder
from spade_eval.cli import main
from spade_eval.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two 8-bit label maps of quarters, with unlabelled pixels."""
    for number in range(2):
        labels = np.kron([[number, 7], [255, 3]], np.ones((20, 24))).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / f"{number}.png")
    return tmp_path


def _maps(folder: Path) -> BenchMaps:
    return maps_of_folder(folder, None, (32, 64), classes=5)


def test_labels_start_over_and_batches_go_round(folder: Path) -> None:
    maps = _maps(folder)
    assert maps.labels.unique().tolist() == [0, 1, 2, 3, 255]  # 7 is 2 of 5 classes
    assert maps.layout.num_labels == 7
    device = torch.device("cpu")
    first, third = maps.batch(0, 2, device), maps.batch(1, 2, device)
    assert torch.equal(first.full, third.full)
    assert not torch.equal(maps.batch(0, 1, device).full, maps.batch(1, 1, device).full)


@pytest.mark.parametrize("model", ["spade", "spade_vae", "concat", "pix2pixhdpp"])
def test_rows_compare_with_the_dense_form(folder: Path, model: str) -> None:
    rows = time_generator(
        model,
        _maps(folder),
        2,
        width=1 / 16,
        chosen=variants(False, ["bf16"]),
        repeats=2,
        warm_up=0,
        device=torch.device("cpu"),
    )
    dense, fast, dense_half, half = rows
    assert [row.variant for row in rows] == ["dense", "fast", "dense+bf16", "fast+bf16"]
    assert dense.deviation == 0
    assert dense.ratio == 1
    assert fast.ratio == dense.seconds / fast.seconds
    assert fast.deviation is not None
    assert half.deviation is not None
    assert dense_half.deviation is not None
    assert fast.deviation < 2e-5 < min(half.deviation, dense_half.deviation)
    assert max(half.deviation, dense_half.deviation) < 0.5
    assert 0 < fast.distinct < 1
    assert fast.fastest <= fast.seconds <= fast.slowest


def test_training_steps(folder: Path) -> None:
    (row,) = time_generator(
        "spade",
        _maps(folder),
        1,
        width=1 / 16,
        chosen=[DENSE],
        repeats=1,
        warm_up=0,
        device=torch.device("cpu"),
        work="training",
    )
    assert row.deviation is None
    assert row.seconds > 0


def test_names_of_variants() -> None:
    assert Variant(fast=True, compiled=True, precision="fp16").name == "fast+compiled+fp16"
    assert [v.name for v in variants(True, [])][2:] == ["dense+compiled", "fast+compiled"]


def test_command_prints_a_table_and_lines_of_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = "--size 32 --size 32x64 --batch 1 --classes 14 --width 0.05 --repeats 1"
    with pytest.raises(SystemExit) as ended:
        main(["bench", "generator", "--maps", str(folder), *flags.split()])
    assert not ended.value.code
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["size", "batch", "labels", "distinct"]
    found = [json.loads(line) for line in lines[4:]]
    assert [(row["height"], row["width"], row["variant"]) for row in found] == [
        (32, 32, "dense"),
        (32, 32, "fast"),
        (32, 64, "dense"),
        (32, 64, "fast"),
    ]
    assert {row["num_labels"] for row in found} == {16}
    assert {row["maps"] for row in found} == {str(folder)}
    assert {row["bench"] for row in found} == {"generator"}


def test_wrong_flags(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no PNG files"):
        maps_of_folder(tmp_path, None, (32, 32), 5)
    for flags in (
        ["--training", "--compile"],
        ["--precision", "int8"],
        ["--precision", "tf32", "--device", "cpu"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(["bench", "generator", *flags])
        assert ended.value.code == 2
