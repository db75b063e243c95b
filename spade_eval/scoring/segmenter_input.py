# SPDX-License-Identifier: Apache-2.0
"""What enters the segmenter and what it is compared with: practices A and B, as a protocol says.

Published scores differ by whether images are segmented as generated or enlarged first (section 2
of `docs/protocols.md`). Label values become scored classes before they are resized; nearest picks
pixels, so an order of the two that gave other classes would be an error.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.batches import label_maps
from spade_eval.datasets.base import Dataset, HasStoredLabels, Sample
from spade_eval.errors import UserError
from spade_eval.models.labels import IGNORE_INDEX, Size
from spade_eval.protocol import SegmenterInput
from spade_eval.segmenters.eight_bit import resize_pillow
from spade_eval.segmenters.label_spaces import ScoredLabels

_LONG_SIDE = 512


def target_maps(
    rule: SegmenterInput,
    labels: ScoredLabels,
    dataset: Dataset,
    indices: Sequence[int],
    samples: Sequence[Sample],
) -> Tensor:
    """Return (N, H, W) scored classes at the size at which images are segmented, 255 for none."""
    if rule.labels == "as stored":
        return labels.targets(_stored_label_maps(dataset, indices))
    targets = labels.targets(label_maps(samples))
    if rule.labels == "nearest to the images":
        return targets
    size = long_side_512((targets.shape[-2], targets.shape[-1]))
    # Floats hold classes up to 255 exactly.
    return F.interpolate(targets[:, None].float(), size, mode="nearest")[:, 0].long()


def entering(rule: SegmenterInput, images: Tensor, size: Size) -> Tensor:
    """Scale (N, 3, H, W) uint8 -> (N, 3, *size) in [0, 1]; `size` is that of the target maps."""
    if rule.filter == "bicubic":
        return resize_pillow(images, size, "bicubic").float() / 255
    scaled = images.float() / 255
    if rule.filter == "none":
        return scaled
    # The segmenter takes 8-bit levels: its rounding is all that differs from the original.
    enlarged = F.interpolate(scaled, size, mode="bilinear", align_corners=True)
    return enlarged.clamp(0, 1)


def without(left_out: Sequence[int], prediction: Tensor, targets: Tensor) -> Tensor:
    """Return the targets, ignored where either of two (N, H, W) has one of these classes."""
    for value in left_out:
        targets = targets.masked_fill((targets == value) | (prediction == value), IGNORE_INDEX)
    return targets


def long_side_512(size: Size) -> Size:
    """Return the size scaled so that its long side is 512, cut off to whole pixels."""
    scale = _LONG_SIDE / max(size)
    return int(size[0] * scale), int(size[1] * scale)


def _stored_label_maps(dataset: Dataset, indices: Sequence[int]) -> Tensor:
    if not isinstance(dataset, HasStoredLabels):
        raise UserError(
            f"{dataset.name} has no label files, but the profile scores at their size; choose "
            "another --profile"
        )
    stored = [dataset.stored_label_map(index) for index in indices]
    if len({label_map.shape for label_map in stored}) > 1:
        sizes = sorted({label_map.shape for label_map in stored})
        raise UserError(
            f"{dataset.name}: label files of {sizes} in one batch, one size was expected, since "
            "the profile scores at the size of the label files; choose another --profile"
        )
    return torch.from_numpy(np.stack(stored)).long()
