# SPDX-License-Identifier: Apache-2.0
"""Several images a label map in one pass each: every number against its plain definition."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.engine import Benchmark
from spade_eval.metrics.counts import miou_of
from spade_eval.metrics.draws import over_of
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.scoring.draws import score_draws
from spade_eval.scoring.scorer import Photos, Scorer, Scores, score_together
from spade_eval.sources.draws import Draw

COLUMNS = ("miou", "acc_valid", "fd_in_domain", "memorised")


class Noisy:
    """The photos with noise, other noise for each draw."""

    name = "noisy"
    provenance: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()

    def __init__(self, num_draws: int, amount: float = 0.4) -> None:
        self.num_draws, self.amount = num_draws, amount

    def floats(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        photos = torch.stack([torch.from_numpy(sample.photo) for sample in samples])
        noise = [
            torch.rand(3, *photos.shape[1:3], generator=torch.Generator().manual_seed(9 * i + draw))
            for i in indices
        ]
        images = photos.permute(0, 3, 1, 2).float() / 255 + self.amount * torch.stack(noise)
        return ((images.clamp(0, 1) * 255).round()) / 255


@pytest.fixture
def scorer(benchmark_in: Callable[..., Benchmark]) -> Scorer:
    return benchmark_in().networks.scorer


def scored(scorer: Scorer, source: Noisy, best: bool = False) -> Scores:
    (found,) = score_draws([scorer], source, [Photos(scorer.references())], best=best)
    return found


def test_every_number_by_its_definition(scorer: Scorer) -> None:
    source, photos = Noisy(3), Photos(scorer.references())
    found = scored(scorer, source, best=True)
    draws = [score_together([scorer], Draw(source, k), [photos])[0] for k in range(3)]
    assert len(found.further) == 2
    numbers = found.numbers
    for column in COLUMNS[:3]:
        singles = [draw.numbers[column] for draw in draws]
        assert len(set(singles)) == 3, "equal draws would show nothing"
        assert [
            numbers[column],
            numbers[f"{column}_draw_2"],
            numbers[f"{column}_draw_3"],
        ] == singles
        known = [value for value in singles if value is not None]
        assert numbers[f"{column}_mean"] == math.fsum(known) / 3
    pooled = sum(draw.per_image.counts.sum(axis=0, dtype=np.float64) for draw in draws)
    assert numbers["miou_pooled"] == pytest.approx(float(miou_of(pooled, "target")), abs=1e-12)
    moments = FeatureMoments(scorer.distances[0].feature_dim)
    for draw in draws:
        features = draw.features["fd_in_domain"].features
        assert features is not None
        moments.update(features)
    expected = frechet_distance(photos.references["fd_in_domain"].moments, moments)
    assert numbers["fd_in_domain_pooled"] == pytest.approx(expected)
    assert numbers["fd_in_domain_pooled"] != numbers["fd_in_domain_mean"]


def test_the_best_is_no_worse_than_any_draw_and_has_no_distance(scorer: Scorer) -> None:
    numbers = scored(scorer, Noisy(3), best=True).numbers
    best, singles = numbers["acc_valid_best"], [
        numbers["acc_valid"], numbers["acc_valid_draw_2"], numbers["acc_valid_draw_3"],
    ]  # fmt: skip
    assert best is not None
    assert all(single is not None and best >= single for single in singles)
    assert "fd_in_domain_best" not in numbers
    assert not any(over_of(name) == "best" for name in scored(scorer, Noisy(3)).numbers)


def test_one_draw_is_scored_as_ever(scorer: Scorer) -> None:
    photos = Photos(scorer.references())
    (plain,) = score_together([scorer], Noisy(1), [photos])
    found = scored(scorer, Noisy(1), best=True)
    assert found.values == plain.values
    assert found.further == ()
