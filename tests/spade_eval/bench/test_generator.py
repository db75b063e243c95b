# SPDX-License-Identifier: Apache-2.0
"""The speed of generators, measured: forms agree, ratios are what the seconds say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.bench.generator import time_generator
from spade_eval.bench.maps import BenchMaps, maps_of_folder
from spade_eval.bench.networks import twin
from spade_eval.bench.variants import DENSE, Variant, variants
from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.models.systems.presets import build_generator


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
        ceiling=1e9,
    )
    dense, fast, dense_half, half = rows
    assert [row["variant"] for row in rows] == ["dense", "fast", "dense+bf16", "fast+bf16"]
    assert dense["deviation"] == 0
    assert dense["ratio"] == 1
    assert fast["ratio"] == dense["seconds"] / fast["seconds"]
    assert fast["deviation"] < 2e-5 < min(half["deviation"], dense_half["deviation"])
    assert max(half["deviation"], dense_half["deviation"]) < 0.5
    assert 0 < fast["distinct"] < 1
    assert {row["operations_per_second"] for row in rows} == {1e9}
    for row in rows:
        assert row["share"] == pytest.approx(dense["operations"] / row["seconds"] / 1e9)
    assert fast["fastest"] <= fast["seconds"] <= fast["slowest"]


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
        ceiling=1e9,
        work="training",
    )
    assert row["deviation"] is None
    assert row["seconds"] > 0
    assert row["share"] > 0


@pytest.mark.parametrize("model", ["spade", "concat"])
def test_operations_are_those_of_the_dense_forward(folder: Path, model: str) -> None:
    """By hand: every convolution's multiply-adds, two operations each."""
    maps, device = _maps(folder), torch.device("cpu")
    rows = time_generator(
        model,
        maps,
        2,
        width=1 / 16,
        chosen=variants(False, []),
        repeats=1,
        warm_up=0,
        device=device,
        ceiling=1e9,
    )
    generator = twin(build_generator(model, 7, (32, 64), 1 / 16).eval(), fast=False)
    counted = []

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        kernel = layer.weight[0].numel()  # type: ignore[index]
        counted.append(2 * out.numel() * kernel)

    for layer in generator.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        generator(maps.batch(0, 2, device))
    assert {row["operations"] for row in rows} == {sum(counted)}


def test_a_twin_shares_the_weights_and_not_the_form() -> None:
    generator = build_generator("spade", 7, (32, 64), 1 / 16).eval()
    dense, fast = (twin(generator, fast=form) for form in (False, True))
    half = twin(generator, fast=True, dtype=torch.bfloat16)
    for plain, other, narrow in zip(
        generator.parameters(), dense.parameters(), half.parameters(), strict=True
    ):
        assert plain is other
        assert (plain.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)
    assert all(a is b for a, b in zip(dense.buffers(), fast.buffers(), strict=True))


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
    assert "share" in header.split()
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
    for row in found:
        rate = row["operations"] / row["seconds"]
        assert row["share"] == pytest.approx(rate / row["operations_per_second"])
        assert 1e8 < row["operations_per_second"] < 1e15


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
