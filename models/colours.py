# SPDX-License-Identifier: Apache-2.0
"""Label maps as pictures: a colour for each channel of a semantic map, and back.

Methods that translate images into images (pix2pix, CycleGAN, UNIT, MUNIT) read label maps in the
colours of the dataset. A network that does holds these colours in its configuration, written as
one string of hexadecimal digits, six a channel, so that its file alone suffices to synthesize.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from spade_eval.models.semantics import SemanticMap

_BLACK = (0, 0, 0)
_DIGITS = 6


def written_palette(
    colours: Sequence[tuple[int, int, int]], num_labels: int, *, unlabelled_first: bool
) -> str:
    """Write the colours of `num_labels` channels: the classes' in order, black for all others."""
    channels = [*[_BLACK] * unlabelled_first, *colours]
    channels += [_BLACK] * (num_labels - len(channels))
    return b"".join(bytes(colour) for colour in channels[:num_labels]).hex()


def spread_palette(num_labels: int) -> str:
    """Write colours that are far apart, for networks that are built without a dataset.

    The bits of the label's number, dealt to red, green and blue from the highest of each on
    (PASCAL VOC).
    """
    bits = [[label >> (3 * place) for place in range(8)] for label in range(num_labels)]
    colours = [
        tuple(sum((bit >> channel & 1) << 7 - place for place, bit in enumerate(of_label))
              for channel in range(3))
        for of_label in bits
    ]  # fmt: skip
    return b"".join(map(bytes, colours)).hex()


def require_palette(palette: str, num_labels: int) -> None:
    """Raise `ValueError` unless there are as many colours as channels."""
    digits = set(palette) <= set("0123456789abcdef")
    if not digits or len(palette) != _DIGITS * num_labels:
        raise ValueError(
            f"the palette has {len(palette)} characters, expected {_DIGITS * num_labels} "
            f"hexadecimal digits, {_DIGITS} for each of {num_labels} label channels"
        )


def coloured(semantics: SemanticMap, palette: str) -> Tensor:
    """Paint a semantic map, (N, 3, H, W) in [-1, 1].

    A soft one, and one with edges, gets the sum of its channels' colours.
    """
    table = _table(palette).to(semantics.device, semantics.dtype)
    if semantics.is_hard and not semantics.has_edges:
        return table[semantics.labels_at(semantics.size)].permute(0, 3, 1, 2).contiguous()
    # Not a matrix product, which would be counted among the network's multiplications.
    return (semantics.full[:, :, None] * table[:, :, None, None]).sum(dim=1)


def nearest_channels(images: Tensor, palette: str) -> Tensor:
    """Return the channel whose colour is nearest, (N, 3, H, W) in [-1, 1] -> (N, H, W) int64.

    Of equal ones the first.
    """
    return colour_distances(images, palette).argmin(dim=1)


def colour_distances(images: Tensor, palette: str) -> Tensor:
    """Return squared distances in RGB, (N, 3, H, W) in [-1, 1] -> (N, channels, H, W)."""
    table = _table(palette).to(images.device, images.dtype)
    distances = [(images - colour[:, None, None]).square().sum(dim=1) for colour in table]
    return torch.stack(distances, dim=1)


def _table(palette: str) -> Tensor:
    """Return the colours as (channels, 3) in [-1, 1], by the rule for photos."""
    values = torch.tensor(list(bytes.fromhex(palette)), dtype=torch.float32)
    return values.reshape(-1, 3) / 127.5 - 1
