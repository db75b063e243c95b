# SPDX-License-Identifier: Apache-2.0
"""Images of earlier steps for a discriminator (Shrivastava et al., CVPR 2017, Sec. 2.3)."""

import torch
from torch import Tensor, nn

from spade_eval.models.labels import Size


class ImagePool(nn.Module):
    """So many synthesized images; its buffers are part of a training's state.

    While it fills, each image is kept and shown. Then it is shown with probability one half, else
    a random one of the kept is, whose place it takes.
    """

    def __init__(self, capacity: int, size: Size) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"a pool of {capacity} images, expected at least 1")
        self.register_buffer("images", torch.zeros(capacity, 3, *size))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.images: Tensor
        self.filled: Tensor

    def forward(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Map (N, 3, H, W) and uniform numbers (N, 2) in [0, 1) -> the images to show.

        Of an image's two numbers the first says whether it is swapped, the second with which.
        """
        shown = [self._shown(image, *row) for image, row in zip(images, drawn, strict=True)]
        return torch.stack(shown)

    @torch.no_grad()
    def _shown(self, image: Tensor, chance: Tensor, place: Tensor) -> Tensor:
        # Without control flow on numbers: a GPU is not waited for, and tensors may have no content.
        capacity = len(self.images)
        is_full = self.filled >= capacity
        index = torch.where(is_full, (place * capacity).long(), self.filled)[None]
        kept = self.images.index_select(0, index)[0]
        swapped = is_full & (chance > 0.5)
        stored = torch.where(swapped | ~is_full, image.to(kept.dtype), kept)
        self.images.index_copy_(0, index, stored[None])
        self.filled.add_((~is_full).long())
        return torch.where(swapped, kept, image)
