# SPDX-License-Identifier: Apache-2.0
"""What a scoring network is to the rest of the suite."""

from typing import Protocol

from torch import Tensor


class Segmenter(Protocol):
    """Image in [0, 1] to logits at the image's size, in the segmenter's own label space.

    Mean and standard deviation are the segmenter's own buffers, so that preprocessing cannot drift
    from the weights.
    """

    num_classes: int

    def __call__(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] -> (N, num_classes, H, W) logits."""
        ...
