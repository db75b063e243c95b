# SPDX-License-Identifier: Apache-2.0
"""Figures besides bars: trade-offs, training, slopes, distances by N, differences by class."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from counted import write_run
from PIL import Image
from synthetic import group, job, run

from spade_eval.papers.tables import paper_table_called
from spade_eval.records import RecordStore
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.plots.differences import plot_class_differences
from spade_eval.reports.plots.page import WIDTH, Plot
from spade_eval.reports.plots.sample_size import distances_by_count, plot_distance_against_count
from spade_eval.reports.plots.slopes import plot_ablation_slopes
from spade_eval.reports.plots.tradeoff import plot_precision_recall, plot_tradeoff
from spade_eval.reports.plots.training import curves_of, plot_training, smoothed
from spade_eval.reports.statistics.differences import ClassDifference, Pair
from spade_eval.reports.statistics.feature_distances import frechet
from spade_eval.reports.tables.paper_tables import paper_table


def assert_drawn(plots: list[Plot]) -> None:
    (plot,) = plots
    with Image.open(plot.png) as image:
        assert image.width == round(150 * WIDTH)
        assert 200 < image.height < 2200
        assert np.asarray(image.convert("L")).std() > 10
    assert plot.pdf.stat().st_size > 2000
    assert plot.svg.read_text("utf-8").count("<path") > 10
    assert plot.caption


def test_tradeoff(tmp_path: Path) -> None:
    names = ["spade", "concat", "pix2pixhdpp", "$x_1$ & <b>"]
    assert_drawn(plot_tradeoff(group(run(names)), tmp_path))
    assert plot_tradeoff(group(run(metrics=["miou"])), tmp_path) == []


def test_precision_and_recall(tmp_path: Path) -> None:
    both = [
        dataclasses.replace(item, metric=name, label=name)
        for source in ("spade", "concat")
        for name in ("precision", "recall")
        for item in job(source, metrics=["miou"])
    ]
    assert_drawn(plot_precision_recall(group(both), tmp_path))
    assert plot_precision_recall(group(run()), tmp_path) == []


def test_training_curves(tmp_path: Path) -> None:
    for model in ("spade-1a", "concat-2b"):
        folder = tmp_path / "checkpoints" / model
        folder.mkdir(parents=True)
        lines = [
            json.dumps({"step": step, "G/gan": 1 / step, "note": "x"}) for step in range(1, 30)
        ]
        (folder / "losses.jsonl").write_text("\n".join([*lines, '{"step": 30, "G/g']))
    (folder / "scores.jsonl").write_text('{"step": 10, "miou": 0.2}\n{"step": 20, "miou": 0.3}\n')
    curves = curves_of(tmp_path)
    assert set(curves) == {"G/gan", "miou"}
    assert curves["miou"]["concat-2b"] == ([10.0, 20.0], [0.2, 0.3])
    assert len(curves["G/gan"]["spade-1a"][0]) == 29
    assert_drawn(plot_training(tmp_path, tmp_path / "plots"))
    assert plot_training(tmp_path / "nothing", tmp_path) == []
    assert smoothed([1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]
    assert smoothed([float(value) for value in range(20)])[-1] == 18.5


def test_ablation_slopes(tmp_path: Path) -> None:
    measured = [*job("spade"), *job("spade_kernel1"), *job("spade", seed=1)]
    asked, groups = paper_table_called("4"), by_protocol(measured)
    assert_drawn(plot_ablation_slopes(paper_table(asked, groups), tmp_path, "slopes"))
    assert_drawn(plot_ablation_slopes(paper_table(asked, [], unverified=True), tmp_path, "slopes"))
    without_groups = paper_table(paper_table_called("3"), groups)
    assert plot_ablation_slopes(without_groups, tmp_path, "slopes") == []


def test_distance_against_the_number_of_images(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    real, made = numbers.normal(size=(300, 6)), numbers.normal(size=(210, 6)) + 0.1
    found = distances_by_count(real, made)
    assert list(found) == [50, 100, 200, 210]
    assert found[210][0] == frechet(real, made)
    assert math.isnan(found[210][1])
    assert found[50][0] > found[210][0]  # biased upward at small N
    write_run(tmp_path, {"real": 0.1, "spade": 0.4})
    measured = group(RecordStore(tmp_path / "records.jsonl"))
    assert_drawn(plot_distance_against_count(measured, tmp_path, tmp_path / "plots"))
    assert plot_distance_against_count(measured, tmp_path / "x", tmp_path / "plots") == []


@pytest.mark.parametrize("num_classes", [3, 182])
def test_class_differences(num_classes: int, tmp_path: Path) -> None:
    verdicts = ("better", "worse", "no difference shown", "no interval")
    classes = tuple(
        ClassDifference(
            name=f"class {place} <b>", subject=0.5, baseline=0.4, difference=0.1 - place / 900,
            low=math.nan if place % 4 == 3 else 0.0, high=math.nan if place % 4 == 3 else 0.2,
            p_value=0.5, verdict=verdicts[place % 4],
        )
        for place in range(num_classes)
    )  # fmt: skip
    pair = Pair(subject="mine", baseline="spade", differences=(), classes=classes, images=())
    assert_drawn(plot_class_differences(pair, "A title", tmp_path, "classes"))
