# SPDX-License-Identifier: Apache-2.0
"""A step of the in-domain segmenter on batches with and without labelled pixels."""

import torch
import torch.nn.functional as F

from spade_eval.segmenters.in_domain import InDomainSegmenter
from spade_eval.segmenters.training import SegmenterBatch, SegmenterTraining


def _training() -> SegmenterTraining:
    torch.manual_seed(0)
    config = InDomainSegmenter.Config(num_classes=3, base_channels=4)
    return SegmenterTraining(InDomainSegmenter(config), steps=4)


def test_a_batch_without_labelled_pixels_counts_0_and_leaves_finite_weights() -> None:
    training, photos = _training(), torch.rand(2, 3, 32, 32)
    unlabelled = SegmenterBatch(photos, torch.full((2, 32, 32), 255))
    labelled = SegmenterBatch(photos, torch.randint(3, (2, 32, 32)))
    losses = [training.step(batch, n) for n, batch in enumerate((unlabelled, labelled, unlabelled))]
    assert [bool(item["cross_entropy"] > 0) for item in losses] == [False, True, False]
    assert all(tensor.isfinite().all() for tensor in training.segmenter.state_dict().values())


def test_the_loss_is_the_mean_over_labelled_pixels() -> None:
    training, photos = _training(), torch.rand(2, 3, 32, 32)
    labels = torch.randint(3, (2, 32, 32))
    labels[0] = 255
    logits = _training().segmenter.train()(photos.contiguous(memory_format=torch.channels_last))
    expected = F.cross_entropy(logits[1:], labels[1:])
    loss = training.step(SegmenterBatch(photos, labels), 0)["cross_entropy"]
    assert torch.allclose(loss, expected, rtol=1e-5)  # sums in another order
