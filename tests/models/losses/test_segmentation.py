# SPDX-License-Identifier: Apache-2.0
"""OASIS's losses against their definitions, pixel by pixel."""

import pytest
import torch
from torch import Tensor

from spade_eval.models.losses.segmentation import (
    as_fake,
    as_real,
    consistency,
    label_bits,
    label_weights,
    mixed,
)

LABELS = torch.tensor([[[0, 0, 1, 1], [3, 1, 1, 1]], [[0, 3, 3, 1], [1, 1, 1, 1]]])
NUM_LABELS = 5  # 2 and 4 do not occur


def counts(labels: Tensor = LABELS) -> Tensor:
    return torch.bincount(labels.flatten(), minlength=NUM_LABELS).float()


def logits(seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, NUM_LABELS + 1, 2, 4, generator=random)


def test_rare_labels_weigh_more_and_absent_ones_nothing() -> None:
    weights = label_weights(counts(), dont_care=False)
    torch.testing.assert_close(weights, torch.tensor([16 / 9, 16 / 30, 0.0, 16 / 9, 0.0]))


def test_unlabelled_pixels_weigh_nothing_and_are_no_label() -> None:
    weights = label_weights(counts(), dont_care=True)
    torch.testing.assert_close(weights, torch.tensor([0.0, 16 / 20, 0.0, 16 / 6, 0.0]))


def test_a_batch_without_labels_gives_zero() -> None:
    weights = label_weights(torch.tensor([8.0, 0.0, 0.0]), dont_care=True)
    assert weights.tolist() == [0.0] * 3


@pytest.mark.parametrize("dont_care", [True, False])
def test_the_mean_is_over_all_pixels(dont_care: bool) -> None:
    weights = label_weights(counts(), dont_care=dont_care)
    log_likelihood = torch.log_softmax(logits(), dim=1)
    total = sum(
        -weights[LABELS[n, y, x]] * log_likelihood[n, LABELS[n, y, x] + 1, y, x]
        for n in range(2) for y in range(2) for x in range(4)
    )  # fmt: skip
    torch.testing.assert_close(as_real(logits(), LABELS, weights), total / 16)


def test_fake_is_channel_0() -> None:
    expected = -torch.log_softmax(logits(), dim=1)[:, 0].mean()
    torch.testing.assert_close(as_fake(logits()), expected)


def overwritten(labels: Tensor, bits: Tensor) -> Tensor:
    """Bits written into the labels, one label after the other."""
    written = labels.clone()
    for label in torch.unique(labels).tolist():
        written[written == label] = int(bits[label])
    return written


@pytest.mark.parametrize("number", range(2**NUM_LABELS))
@pytest.mark.parametrize(
    "labels", [LABELS, LABELS.clamp(min=2), torch.where(LABELS == 1, 4, LABELS)]
)
def test_the_released_bits_are_those_of_overwritten_labels(labels: Tensor, number: int) -> None:
    drawn = torch.tensor([bool(number >> label & 1) for label in range(NUM_LABELS)])
    bits = label_bits(drawn, counts(labels), in_place=True)
    assert bits.dtype == torch.bool
    assert torch.equal(bits[labels], overwritten(labels, drawn).bool())


def test_by_the_rule_of_the_paper_each_label_has_its_bit() -> None:
    drawn = torch.tensor([True, False, False, True, False])
    assert torch.equal(label_bits(drawn, counts(), in_place=False), drawn)
    assert not torch.equal(label_bits(drawn, counts(), in_place=True), drawn)


def test_a_single_label_keeps_its_bit() -> None:
    for drawn in (torch.tensor([True]), torch.tensor([False])):
        assert torch.equal(label_bits(drawn, torch.tensor([8.0]), in_place=True), drawn)


def test_consistency_reaches_all_three_logits() -> None:
    mask = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0])[LABELS][:, None]
    three = [logits(seed).requires_grad_() for seed in range(3)]
    on_mixed, on_real, on_fake = three
    loss = consistency(on_mixed, mask, on_real, on_fake)
    taken = torch.where(mask.bool(), on_real, on_fake)
    torch.testing.assert_close(loss, (on_mixed - taken).square().mean())
    loss.backward()
    assert all(item.grad is not None and item.grad.any() for item in three)
    assert not on_real.grad[(mask == 0).expand_as(on_real)].any()
    assert torch.equal(mixed(mask, on_real, on_fake), taken)
