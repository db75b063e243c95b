# SPDX-License-Identifier: Apache-2.0
"""Losses on what a segmenting discriminator gives: OASIS's objective.

Sushko et al., ICLR 2021, Sec. 3.2. Logits are (N, L + 1, H, W): channel 0 means "fake", channel
l + 1 label l of the semantic map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def label_weights(counts: Tensor, *, dont_care: bool) -> Tensor:
    """Weigh labels by how rare they are, (L,) pixels of each in a batch, as floats -> (L,).

    Pixels / (labels present * pixels of the label); with `dont_care`, label 0 has no weight and
    is not counted as present.
    """
    pixels = counts.sum()
    if dont_care:
        counts = torch.cat([torch.zeros_like(counts[:1]), counts[1:]])
    present = counts > 0
    # Alpha of Eq. 2, over the number of labels present as in the code: its mean over pixels is 1.
    return torch.where(present, pixels / (present.sum() * counts), 0.0)


def as_real(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Average the weighted cross-entropies of pixels that shall be of their class.

    Labels (N, H, W) int64 and a weight each (L,); the mean is over all pixels, those of weight 0
    too. The second term of Eq. 1 in the discriminator, and Eq. 3 in the generator.
    """
    return (weights[labels] * F.cross_entropy(logits, labels + 1, reduction="none")).mean()


def as_fake(logits: Tensor) -> Tensor:
    """Average the cross-entropies of pixels that shall be "fake": the first term of Eq. 1."""
    return F.cross_entropy(logits, torch.zeros_like(logits[:, 0], dtype=torch.int64))


def label_bits(drawn: Tensor, counts: Tensor, *, in_place: bool) -> Tensor:
    """Return which labels are taken from the real image, (L,) bool of (L,) bool that were drawn.

    `in_place` is the published code, which overwrites the labels of a batch by their bits, one
    after the other: pixels of label 0 that became 1 are drawn again with label 1, if it is there.
    """
    if not in_place or len(drawn) < 2:
        return drawn
    return torch.cat([drawn[:1] & (drawn[1:2] | (counts[1:2] == 0)), drawn[1:]])


def mixed(mask: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Take `real` where M (N, 1, H, W) is 1 and `fake` where it is 0, (N, C, H, W) each."""
    return mask * real + (1 - mask) * fake


def consistency(on_mixed: Tensor, mask: Tensor, on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Compare the logits of a mixed image with the mixed logits: mean square, Eq. 4."""
    return F.mse_loss(on_mixed, mixed(mask, on_real, on_fake))
