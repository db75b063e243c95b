# SPDX-License-Identifier: Apache-2.0
"""Estimates: between what measured points continue to and what is in proportion, and honest."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.bench import estimate
from spade_eval.bench.estimate import (
    Point,
    Rate,
    estimate_time,
    kept_rate,
    measured_rate,
    segmenter_seconds,
)
from spade_eval.config import TrainConfig, budget_for
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.scoring.in_domain import segmenter_config

CPU = torch.device("cpu")
TWO = Point(images=2, fastest=3.0, slowest=4.0)
EIGHT = Point(images=8, fastest=9.0, slowest=10.0)


@pytest.fixture
def config(benchmark_in: Any) -> TrainConfig:
    suite: Benchmark = benchmark_in()
    return suite.train_config("spade")


def test_a_measured_number_of_images_is_taken_as_it_is() -> None:
    assert Rate(points=(TWO, EIGHT), origin="").seconds(8) == (9.0, 10.0)


def test_others_lie_between_continuing_and_proportion() -> None:
    # 1 s an image beyond 8, 9 s for 8: 17 s continued, 18 to 20 s in proportion.
    assert Rate(points=(TWO, EIGHT), origin="").seconds(16) == (17.0, 20.0)
    assert Rate(points=(TWO,), origin="").seconds(4) == (6.0, 8.0)
    # Fewer than were measured: never less than the proportion's least.
    assert Rate(points=(TWO, EIGHT), origin="").seconds(4) == (4.5, 5.0)


def test_hours_are_those_of_all_steps_on_all_devices(config: TrainConfig) -> None:
    whole = dataclasses.replace(config, steps=3600, batch_size=16, accumulate=2)
    rate = Rate(points=(TWO, EIGHT), origin="")
    one, four = (estimate_time(whole, rate, devices) for devices in (1, 4))
    assert (one.images, one.low_hours, one.high_hours) == (8, 2 * 9.0, 2 * 10.0)
    assert not one.in_proportion
    assert (four.images, four.low_hours, four.high_hours) == (2, 2 * 3.0, 2 * 4.0)


def test_what_is_measured_grows_as_time_allows(
    monkeypatch: pytest.MonkeyPatch, config: TrainConfig
) -> None:
    """Two images take 4 s; three steps of 16 would take 96 s, of 8 the 48 s that there are."""
    taken: list[int] = []

    def point(config: TrainConfig, *rest: Any) -> Point:
        taken.append(rest[-1])
        return Point(images=rest[-1], fastest=1.5 * rest[-1], slowest=2.0 * rest[-1])

    monkeypatch.setattr(estimate, "_point", point)
    large = dataclasses.replace(config, batch_size=32)
    scenes = Scenes("train", (64, 64), length=4)
    rate = measured_rate(large, scenes, CPU, Path(), seconds=50)
    assert (taken, rate.measured) == ([2, 8], "2 and 8")
    taken.clear()
    assert measured_rate(large, scenes, CPU, Path(), devices=4, seconds=1000).measured == "2 and 8"
    taken.clear()
    assert measured_rate(large, scenes, CPU, Path(), seconds=1).measured == "2"


def test_steps_that_do_not_fit_are_halved(
    monkeypatch: pytest.MonkeyPatch, config: TrainConfig
) -> None:
    def point(config: TrainConfig, *rest: Any) -> Point:
        if rest[-1] > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Point(images=rest[-1], fastest=0.1, slowest=0.1)

    monkeypatch.setattr(estimate, "_point", point)
    large = dataclasses.replace(config, batch_size=32)
    rate = measured_rate(large, Scenes("train", (64, 64), length=4), CPU, Path())
    assert rate.measured == "2 and 8"
    assert "32 images do not fit" in rate.origin


def test_real_steps_are_taken(config: TrainConfig) -> None:
    small = dataclasses.replace(config, batch_size=3)
    rate = measured_rate(small, Scenes("train", config.size, length=8), CPU, Path())
    assert [point.images for point in rate.points] == [2, 3]
    assert 0 < rate.points[-1].fastest <= rate.points[-1].slowest
    assert "on this CPU" in rate.origin


def test_lines_fit_where_nothing_that_costs_differs(config: TrainConfig) -> None:
    budget = dataclasses.asdict(budget_for("scenes", "default", width=config.width, accumulate=2))
    line = {
        "bench": "train", "model": "spade", "height": config.size[0], "width": config.size[1],
        "batch": 16, "fastest": 6.0, "slowest": 8.0, "budget": budget, "device": "cuda:0",
        "gpu": "Large GPU", "perceptual": config.perceptual,
    }  # fmt: skip
    rate = kept_rate(config, [line], "lines of x.jsonl")
    assert rate is not None
    assert rate.points == (Point(images=8, fastest=3.0, slowest=4.0),)
    assert rate.origin == "lines of x.jsonl, on Large GPU"
    for changed in (
        {"model": "concat"}, {"height": 8}, {"perceptual": "vgg19"}, {"bench": "generator"},
        {"budget": {**budget, "precision": "bf16"}}, {"budget": {**budget, "width": 1.0}},
        {"budget": None},
    ):  # fmt: skip
        assert kept_rate(config, [{**line, **changed}], "") is None, changed


@pytest.mark.slow
def test_a_step_of_a_segmenter_takes_time() -> None:
    split = Scenes("train", (64, 64), length=4)
    budget = budget_for("scenes", "smoke", segmenter_batch_size=2)
    settings = segmenter_config("scenes", budget, [split])
    assert segmenter_seconds(settings, [split], CPU) > 0
