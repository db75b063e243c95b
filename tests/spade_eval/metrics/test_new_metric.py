# SPDX-License-Identifier: Apache-2.0
"""A metric is one small class and one row: its column stands in the table, nothing else changes."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_eval.engine import Benchmark
from spade_eval.metrics import METRICS
from spade_eval.metrics.base import (
    Column,
    FeatureMetric,
    Metric,
    ScoredBatch,
    ScoredSplit,
    Values,
    merged,
)
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.segmentation import Segmentation
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.tables.scores import scores_table
from spade_eval.rows import Request


def column(label: str) -> Column:
    return Column(label=label, unit="", larger_is_better=True, description="made for a test")


class PSNR(Metric):
    """Per image, against the photo."""

    columns: ClassVar = {"psnr": column("PSNR")}

    def update(self, batch: ScoredBatch) -> None:
        error = (batch.images.double() - batch.photos).square().mean(dim=(1, 2, 3))
        self.keep(batch, psnr=10 * torch.log10(255**2 / error))

    def compute(self, split: ScoredSplit) -> Values:
        mean = split.rows["psnr"].mean().item()
        return {"psnr": mean if math.isfinite(mean) else None}  # of photos against themselves


class Dice(Segmentation):
    """From the counts of classes."""

    columns: ClassVar = {"dice": column("Dice")}

    def compute(self, split: ScoredSplit) -> Values:
        hits, target, prediction = split.rows["class_counts"].sum(dim=0).double()
        present = target > 0
        return {"dice": (2 * hits / (target + prediction))[present].mean().item()}


class CentreDistance(FeatureMetric):
    """From two sets of features, however few."""

    columns: ClassVar = {"centres": column("centre distance")}
    networks = ("inception", "in-domain")
    fewest = 1

    def of_features(self, real: Tensor, synthesized: Tensor) -> Mapping[str, float]:
        return {"centres": (real.mean(dim=0) - synthesized.mean(dim=0)).norm().item()}


@pytest.mark.parametrize("kind", [PSNR, Dice, CentreDistance])
def test_one_class_and_one_row_give_a_column(
    kind: type[Metric], benchmark_in: Callable[..., Benchmark], monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = kind.columns
    plain, benchmark = benchmark_in("plain"), benchmark_in()
    plain.run(Request())
    monkeypatch.setitem(METRICS, name, kind)
    benchmark.run(Request())
    (group,) = by_protocol(list(benchmark.store))
    table = scores_table(group)
    assert name in table.columns
    assert table[name].notna().sum() >= len(table) - 1
    (label,) = {item.label for item in benchmark.store if item.metric == name}
    assert label == kind.columns[name].label
    expected = {"psnr": psnr, "dice": dice, "centres": centres}[name]
    value = next(item.value for item in of(benchmark, "oracle") if item.metric == name)
    assert value == pytest.approx(expected(benchmark), rel=1e-6)
    # All other numbers are those of a run without it.
    others = [item for item in of(benchmark, "oracle") if item.metric != name]
    assert [(item.metric, item.class_name, item.value) for item in others] == [
        (item.metric, item.class_name, item.value) for item in of(plain, "oracle")
    ]


def of(benchmark: Benchmark, source: str) -> list[Measurement]:
    return [item for item in benchmark.store if item.source == source]


def psnr(benchmark: Benchmark) -> float:
    data = benchmark.dataset
    pairs = [(data[i].photo.astype(float), data.oracle_photo(i).astype(float)) for i in range(4)]
    return float(np.mean([10 * np.log10(255**2 / ((a - b) ** 2).mean()) for a, b in pairs]))


def dice(benchmark: Benchmark) -> float:
    (path,) = (benchmark.place.run_folder / "counts").glob("oracle-*.npz")
    hits, target, prediction = StoredCounts.load(path).counts.sum(axis=0).astype(float)
    return float((2 * hits / (target + prediction))[target > 0].mean())


def centres(benchmark: Benchmark) -> float:
    (path,) = (benchmark.place.run_folder / "features").glob("oracle-*.npz")
    (reference,) = (benchmark.place.run_folder / "cache").glob("reference-*.npz")
    ours, real = (np.load(file)["features"].astype(float) for file in (path, reference))
    return float(np.linalg.norm(ours.mean(axis=0) - real.mean(axis=0)))


class Numbered:
    number, images = 0, torch.zeros(1, 3, 2, 2, dtype=torch.uint8)


def test_two_metrics_that_keep_different_rows_under_one_key_are_refused() -> None:
    one, other = PSNR(), PSNR()
    one.keep(Numbered(), psnr=torch.zeros(1))
    other.keep(Numbered(), psnr=torch.zeros(1))
    assert set(merged([one, other])[0]) == {"psnr"}
    other.keep(Numbered(), psnr=torch.ones(1))
    with pytest.raises(ValueError, match=r"under the key 'psnr'.*rename that of PSNR"):
        merged([one, other])
