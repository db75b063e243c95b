# SPDX-License-Identifier: Apache-2.0
"""The distinct windows of label maps, and the taps of stacked convolutions that read them.

Two k x k convolutions of a label map give, at a pixel, a function of the (2k - 1) x (2k - 1) labels
around it. Label maps are mostly uniform, so that a batch holds far fewer distinct windows than
pixels (5x5 windows of COCO-Stuff maps: 11% of the pixels at 256x256). Whatever is a function of the
window is computed once per distinct one and looked up at the pixels.

Windows are distinguished exactly: a window is the sequence of its symbols, read as a number in the
base of the alphabet; where the number would outgrow 62 bits, prefixes are renumbered first. What
lies outside the image is a symbol of its own, because a convolution pads zeros there.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.models.labels import Size
from spade_eval.models.semantics import SemanticMap

Padding = Literal["zeros", "reflect"]
"""What a convolution sees outside the image."""

_LARGEST_KEY = 2**62


@dataclass(frozen=True)
class Windows:
    """The distinct k x k windows of a batch of symbol maps."""

    ids: Tensor  # (N, H, W) int64: number of the window around each pixel, 0..count-1
    symbols: Tensor  # (count, k * k) int64: what each window holds, row by row
    _users: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def count(self) -> int:
        return self.symbols.shape[0]

    @cached_property
    def rows(self) -> Tensor:
        """(count, k * k): the rows of a table (symbol, tap) -> value that each window adds up."""
        taps = self.symbols.shape[1]
        return self.symbols * taps + torch.arange(taps, device=self.symbols.device)

    def users(self, num_symbols: int) -> tuple[Tensor, Tensor]:
        """Return `rows` turned round: the windows that add up each row, and where its list starts.

        (count * k * k,) and (num_symbols * k * k,). Found once for all layers of a resolution.
        """
        if num_symbols not in self._users:
            rows, taps = self.rows.flatten(), self.symbols.shape[1]
            counts = torch.bincount(rows, minlength=num_symbols * taps)
            windows = torch.argsort(rows, stable=True) // taps
            self._users[num_symbols] = windows, counts.cumsum(0) - counts
        return self._users[num_symbols]

    @cached_property
    def pixels(self) -> Tensor:
        """(N * H * W,): the window of each pixel."""
        return self.ids.flatten()


def windows_at(
    semantics: SemanticMap,
    size: Size,
    kernel_size: int,
    *,
    padding: Padding = "zeros",
    stride: int = 1,
    layer: int = 1,
) -> Windows:
    """Find a hard map's distinct windows of a convolution, once per batch and resolution.

    Half the kernel is padded. The first of several convolutions (`layer=1`) sees windows of
    symbols, the second of the first one's outputs, which are numbered as its windows are.
    """
    size = (int(size[0]), int(size[1]))

    def make() -> Windows:
        if layer == 1:
            symbols, count = symbols_at(semantics, size)
        else:
            below = windows_at(semantics, size, kernel_size, padding=padding, layer=layer - 1)
            symbols, count = below.ids, below.count
        return distinct_windows(symbols, count, kernel_size, padding, stride)

    return semantics.memo(("windows", size, kernel_size, padding, stride, layer), make)


def symbols_at(semantics: SemanticMap, size: Size) -> tuple[Tensor, int]:
    """Return (N, h, w) int64 in 0..count-1, and count, of a hard map: what a pixel can hold.

    The label, counted on past all labels where the pixel is on an instance edge.
    """
    labels, edges = semantics.labels_at(size), semantics.edges_at(size)
    if edges is None:
        return labels, semantics.num_labels
    classes = semantics.num_labels - 1
    return labels + classes * edges, 2 * classes


def distinct_windows(
    symbols: Tensor,
    num_symbols: int,
    kernel_size: int,
    padding: Padding = "zeros",
    stride: int = 1,
) -> Windows:
    """Find the distinct windows around every `stride`-th pixel of (N, H, W) symbols.

    Symbols are in 0..num_symbols-1, pixels outside the image the symbol `num_symbols` or mirrored.
    An even kernel has its middle before the pixel.
    """
    margin = (kernel_size // 2,) * 4
    if padding == "reflect":  # float32 holds symbols exactly; integers cannot be mirrored
        padded = F.pad(symbols.float(), margin, mode="reflect").long()
    else:
        padded = F.pad(symbols, margin, value=num_symbols)
    ids, count = _renumbered(padded)
    for axis in (2, 1):  # rows of a window, then the column of its rows
        ids, count = _joined(ids, count, axis, kernel_size, stride)
    return Windows(ids, _members(padded, ids, count, kernel_size, stride))


def _joined(ids: Tensor, count: int, axis: int, length: int, stride: int) -> tuple[Tensor, int]:
    """Number the distinct sequences of `length` neighbours along an axis."""
    starts = ids.unfold(axis, length, stride)  # (..., length)
    keys, bound = starts[..., 0], count
    for tap in range(1, length):
        if bound * count > _LARGEST_KEY:
            keys, bound = _renumbered(keys)
        keys = keys * count + starts[..., tap]
        bound *= count
    return _renumbered(keys)


def _renumbered(keys: Tensor) -> tuple[Tensor, int]:
    """Return the same keys as ranks 0..count-1, and count."""
    # Neighbours mostly agree: sorting the runs instead of the pixels is several times faster.
    runs, run_of = torch.unique_consecutive(keys, return_inverse=True)
    values, rank_of = torch.unique(runs, return_inverse=True)
    return rank_of[run_of].view(keys.shape), values.numel()


def _members(padded: Tensor, ids: Tensor, count: int, kernel_size: int, stride: int) -> Tensor:
    """(count, k * k): the symbols of each window, read where it occurs (anywhere: all agree)."""
    height, width = ids.shape[1:]
    at = torch.arange(ids.numel(), device=ids.device)
    place = torch.empty(count, dtype=torch.int64, device=ids.device)
    place[ids.flatten()] = at
    n, y, x = place // (height * width), place // width % height, place % width
    corner = (n * padded.shape[1] + stride * y) * padded.shape[2] + stride * x
    tap = torch.arange(kernel_size, device=ids.device)
    offsets = (tap[:, None] * padded.shape[2] + tap).flatten()
    return padded.flatten()[corner[:, None] + offsets]
