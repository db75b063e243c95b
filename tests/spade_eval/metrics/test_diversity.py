# SPDX-License-Identifier: Apache-2.0
"""Diversity among samples of one label map: every pair once, averaged twice."""

from itertools import combinations

import pytest
import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.base import ScoredSplit, in_order, merged
from spade_eval.metrics.diversity import (
    DiversityMetric,
    LPIPSDiversity,
    LPIPSPairs,
    MSSSIMDiversity,
    Samples,
    ms_ssim_pairs,
    pair_indices,
)
from spade_eval.metrics.lpips import LPIPS
from spade_eval.metrics.ms_ssim import ms_ssim


def distances_of_means(samples: Tensor) -> Tensor:
    """A stand-in whose every pair can be worked out by hand."""
    first, second = pair_indices(len(samples))
    means = samples.mean(dim=(1, 2, 3))
    return (means[first] - means[second]).abs()


def constant_samples(*levels: int) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_every_pair_once() -> None:
    for count in (2, 3, 10):
        first, second = pair_indices(count)
        assert list(zip(first.tolist(), second.tolist(), strict=True)) == list(
            combinations(range(count), 2)
        )


def diversity_of(metric: DiversityMetric, *samples: Tensor) -> float:
    """Of one label map after the other, each in a part of its own as if in another process."""
    for number, images in enumerate(samples):
        metric.update(Samples(number, images))
    maps = [merged([metric])[number] for number in range(len(samples))]
    values = metric.compute(ScoredSplit(rows=in_order(maps)))
    (value,) = values.values()
    assert isinstance(value, float)
    return value


def test_mean_over_pairs_then_over_label_maps() -> None:
    metric = LPIPSDiversity(distances_of_means, num_samples=3)
    # Pairs 0.2, 1, 0.8; and three equal ones.
    found = diversity_of(metric, constant_samples(0, 51, 255), constant_samples(9, 9, 9))
    assert found == pytest.approx(((0.2 + 1 + 0.8) / 3 + 0) / 2)


def test_wrong_numbers() -> None:
    with pytest.raises(UserError, match="1 samples a label map, expected at least 2"):
        LPIPSDiversity(distances_of_means, num_samples=1)
    metric = LPIPSDiversity(distances_of_means, num_samples=3)
    with pytest.raises(ValueError, match="2 samples of label map 0, expected 3"):
        metric.update(Samples(0, constant_samples(0, 1)))
    with pytest.raises(UserError, match="no label map"):
        metric.compute(ScoredSplit(rows={}))


def random_lpips() -> LPIPS:
    generator = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3)}
    shapes |= {8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    backbone = {}
    for place, shape in shapes.items():
        backbone[f"features.{place}.weight"] = 0.05 * torch.randn(shape, generator=generator)
        backbone[f"features.{place}.bias"] = torch.zeros(shape[0])
    linear = {
        f"lin{layer}.model.1.weight": torch.rand(1, shape[0], 1, 1, generator=generator)
        for layer, shape in enumerate(shapes.values())
    }
    return LPIPS(backbone, linear)


def test_lpips_of_pairs_equals_pair_by_pair() -> None:
    network = random_lpips()
    samples = torch.rand(4, 3, 40, 48, generator=torch.Generator().manual_seed(1))
    expected = [
        network(samples[i : i + 1], samples[j : j + 1]) for i, j in combinations(range(4), 2)
    ]
    # Convolutions may round differently by batch size.
    torch.testing.assert_close(LPIPSPairs(network)(samples), torch.cat(expected), rtol=1e-4, atol=0)


def test_ms_ssim_of_pairs_equals_pair_by_pair() -> None:
    samples = torch.rand(3, 3, 161, 161, generator=torch.Generator().manual_seed(1))
    samples = 0.5 * samples + 0.5 * samples[:1]
    expected = [
        ms_ssim(samples[i : i + 1], samples[j : j + 1]) for i, j in combinations(range(3), 2)
    ]
    assert torch.equal(ms_ssim_pairs(samples), torch.cat(expected))


def test_a_generator_without_noise() -> None:
    random = torch.Generator().manual_seed(2)
    same = torch.randint(256, (1, 3, 161, 161), generator=random).byte().expand(3, -1, -1, -1)
    # Equal images; the processor may sum the two sides of a difference in another order.
    lpips = LPIPSDiversity(LPIPSPairs(random_lpips()), num_samples=3)
    assert diversity_of(lpips, same) == pytest.approx(0, abs=1e-12)
    likeness = MSSSIMDiversity(ms_ssim_pairs, num_samples=3)
    assert diversity_of(likeness, same) == pytest.approx(1, abs=1e-12)
