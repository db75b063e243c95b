# SPDX-License-Identifier: Apache-2.0
"""Scores on the way: on fixed images, the best weights kept apart with the rule that chose them."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_description, load_weights
from spade_eval.scoring.scorer import Scorer
from spade_eval.training.scores import BEST, InTraining, PeriodicScores, ScoreLog

Make = Callable[..., Benchmark]


def no_scorer() -> Scorer:
    raise AssertionError("scores are given")


def no_source(scorer: Scorer) -> InTraining:
    raise AssertionError("scores are given")


class Scripted(ScoreLog):
    """Takes its scores from a list."""

    def __init__(
        self, path: Path, values: Sequence[float | None], images: int = 8, by: str = "miou"
    ) -> None:
        self.kept: list[tuple[str, tuple[str, ...]]] = []
        self.values = iter(values)
        scores = PeriodicScores(10, images, no_scorer, by)
        super().__init__(path, scores, no_source, self.remember)

    def remember(self, rule: str, notes: Sequence[str]) -> None:
        self.kept.append((rule, tuple(notes)))

    def _score(self) -> dict[str, float | None]:
        return {"miou": 0.5, self.scores.by: next(self.values)}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_only_a_higher_miou_is_kept(tmp_path: Path) -> None:
    log = Scripted(tmp_path / "scores.jsonl", [0.2, 0.1, 0.2, None, 0.3])
    kept_after = []
    for step in (10, 20, 30, 40, 50):
        log(step)
        kept_after.append(len(log.kept))
    assert kept_after == [1, 1, 1, 1, 2]
    rule, (note,) = log.kept[-1]
    assert rule == "best mIoU on the first 8 val images, every 10 steps"
    assert "optimistic" in note
    assert [line["step"] for line in lines(log.path)] == [10, 20, 30, 40, 50]


def test_a_continued_training_knows_the_best_so_far(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    first = Scripted(path, [0.2, 0.5, 0.9])
    for step in (10, 20, 30):
        first(step)
    # Killed; the saved state is of step 20, so the score of step 30 is made again.
    again = Scripted(path, [0.4, 0.6])
    again(30)
    assert again.kept == []
    again(40)
    assert len(again.kept) == 1
    assert [(line["step"], line["miou"]) for line in lines(path)] == [
        (10, 0.2), (20, 0.5), (30, 0.4), (40, 0.6),
    ]  # fmt: skip


def test_by_fid_only_a_lower_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    log = Scripted(path, [30.0, 40.0, None, 20.0], by="fid")
    kept_after = []
    for step in (10, 20, 30, 40):
        log(step)
        kept_after.append(len(log.kept))
    assert kept_after == [1, 1, 1, 2]
    assert log.kept[-1][0] == "best FID on the first 8 val images, every 10 steps"
    again = Scripted(path, [25.0, 15.0], by="fid")
    again(50)
    assert again.kept == [], "the best so far is the lowest"
    again(60)
    assert len(again.kept) == 1
    with pytest.raises(UserError, match="was made for the best FID"):
        Scripted(path, [0.2])(70)


def test_another_rule_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    Scripted(path, [0.2])(10)
    with pytest.raises(UserError, match="expected the same --score-every and --score-images"):
        Scripted(path, [0.2], images=9)(20)


def test_last_and_best_lie_side_by_side(benchmark_in: Make) -> None:
    scored, plain = benchmark_in("scored"), benchmark_in("plain")
    last = scored.train("spade", score_every=1, score_images=2)
    best = last.with_name(BEST + last.name)
    assert load_description(last)["checkpoint_rule"] == "last"
    described = load_description(best)
    assert described["checkpoint_rule"] == "best mIoU on the first 2 val images, every 1 steps"
    assert any("optimistic" in note for note in described["notes"])
    found = lines(last.with_name("scores.jsonl"))
    assert [line["step"] for line in found] == [1, 2]
    assert all({"miou", "fd_in_domain"} <= set(line) for line in found)
    by_distance = benchmark_in("by distance").train("spade", 1, 2, "fid")
    rule = load_description(by_distance.with_name(BEST + last.name))["checkpoint_rule"]
    assert rule == "best FD (in-domain) on the first 2 val images, every 1 steps"
    # Looking changes nothing: the last weights are those of a training without scores.
    expected, weights = load_weights(plain.train("spade")), load_weights(last)
    assert all(torch.equal(expected[name], weights[name]) for name in expected)


def test_a_distance_that_is_not_measured_is_refused_before_the_first_step(
    benchmark_in: Make,
) -> None:
    benchmark = benchmark_in()
    scorer = dataclasses.replace(benchmark.networks.scorer, distances=())
    benchmark.networks.__dict__["scorer"] = scorer  # as with --fid-profile none
    with pytest.raises(UserError, match="--score-by fid: this run measures no distance"):
        benchmark.train("spade", 1, 2, "fid")
    assert not list(benchmark.place.run_folder.glob("checkpoints/*"))
