# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, Eq. 8: a 4x4 tile of
the output is A^T [(G g G^T) * (B^T d B)] A, with g the kernel and d the 6x6 pixels that it meets.
The sum over channels stays inside, so that a convolution is 36 matrix products of tiles.

`F.conv2d` is the specification. Rounding depends on the points where the polynomials behind it
are evaluated (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution
for Deep Neural Networks", arXiv:1803.10986). Here they are 0, +-2/3, +-3/2 and infinity, whose
powers stay near one: the largest error is about a quarter of that with the usual 0, +-1, +-2, and
about that of the direct sum.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 4  # pixels of the output on each side; of the input two more
_A, _B = 2 / 3, 3 / 2  # the points; their product is 1, which the sums below make use of
_A2, _B2 = _A**2, _B**2
_TILES_AT_ONCE = 512  # more would leave the cache before they are used; measured

# In multiplications of the direct form, measured, see docs/speed.md. Like all rules that choose a
# form this one reads the batch, never a clock: a repeated run takes the same form.
_PIXEL_COST = 300  # transforming a value of the input or the output
_WEIGHT_COST = 2000  # transforming a kernel
_MOST_COST = 0.9  # of the direct form's
_PRODUCTS = 36 / TILE**2  # multiplications a pixel and pair of channels, 9 in the direct form


class FastConv2d(nn.Conv2d):
    """`nn.Conv2d`, equal but for the order of additions.

    It takes Winograd's form where that is faster, or `always` where it can, if no gradient is
    wanted. On GPUs cuDNN chooses its algorithms by itself.
    """

    always = False

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self._allows_winograd(input, weight) and (
            self.always or winograd_is_faster(input, weight)
        ):
            return winograd_convolution(input, weight, bias, self.padding_mode)
        return super()._conv_forward(input, weight, bias)

    def _allows_winograd(self, x: Tensor, weight: Tensor) -> bool:
        return (
            not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and not torch.is_autocast_enabled("cpu")
            and x.device.type == "cpu"
            and x.dtype == weight.dtype == torch.float32
            and self.kernel_size == (3, 3)
            and self.stride == self.dilation == self.padding == (1, 1)
            and self.groups == 1
            and self.padding_mode in ("zeros", "reflect")
            and x.shape[-2] % TILE == x.shape[-1] % TILE == 0
        )


def winograd_is_faster(x: Tensor, weight: Tensor) -> bool:
    """Return whether it is for x (N, C, H, W), weight (out, C, 3, 3); their shapes alone decide."""
    pixels, pairs = x[:, 0].numel(), weight[:, :, 0, 0].numel()
    cost = pixels * (_PRODUCTS * pairs + _PIXEL_COST * sum(weight.shape[:2])) + _WEIGHT_COST * pairs
    return cost <= _MOST_COST * pixels * 9 * pairs


def winograd_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding_mode: str = "zeros"
) -> Tensor:
    """Convolve x (N, C, H, W), weight (out, C, 3, 3) -> (N, out, H, W), channels-last in memory.

    Stride 1, padding 1 with zeros or by reflection. H and W are multiples of 4. No gradients.
    """
    batch, _, height, width = x.shape
    across = width // TILE
    margin = 1
    if padding_mode == "reflect":
        x, margin = F.pad(x, (1, 1, 1, 1), mode="reflect"), 0
    pixels = x.permute(0, 2, 3, 1)
    kernels = _kernel_transform(weight).transpose(1, 2)  # (36, C, out)
    y = x.new_empty(batch, height, width, weight.shape[0])
    for images, rows in _pieces(batch, height // TILE, across):
        tiles = _tiles(pixels[images], rows, across, margin)
        products = torch.bmm(_input_transform(tiles), kernels)
        piece = y[images, TILE * rows.start : TILE * rows.stop]
        _output_transform(products, piece)
        if bias is not None:
            piece += bias
    return y.permute(0, 3, 1, 2)


def _pieces(batch: int, down: int, across: int) -> Iterator[tuple[slice, slice]]:
    """Images, and rows of tiles in them: several whole images, or a part of one."""
    images = max(1, _TILES_AT_ONCE // (down * across))
    rows = max(1, min(down, _TILES_AT_ONCE // across))
    for first in range(0, batch, images):
        for top in range(0, down, rows):
            yield slice(first, first + images), slice(top, min(top + rows, down))


def _tiles(pixels: Tensor, rows: slice, across: int, margin: int) -> Tensor:
    """(n, 4 * rows + 2, across + 1, 4, C): padded pixels, columns in fours.

    `margin` pixels of the padding are still missing. The two columns that a tile shares with its
    neighbour are the first two of the next four.
    """
    top, bottom = TILE * rows.start - margin, TILE * rows.stop + 2 - margin
    piece = pixels[:, max(0, top) : bottom]
    beyond = max(0, bottom - pixels.shape[1])
    right = TILE * (across + 1) - margin - pixels.shape[2]
    padded = F.pad(piece, (0, 0, margin, right, max(0, -top), beyond))
    return padded.reshape(*padded.shape[:2], across + 1, TILE, -1)


def _kernel_transform(weight: Tensor) -> Tensor:
    """(out, C, 3, 3) -> (36, out, C): G g G^T."""
    of_a, of_b = 2 * _A * (_A2 - _B2), 2 * _B * (_B2 - _A2)
    one_side = weight.new_tensor(
        [
            [1, 0, 0],
            [1 / of_a, _A / of_a, _A2 / of_a],
            [1 / of_a, -_A / of_a, _A2 / of_a],
            [1 / of_b, _B / of_b, _B2 / of_b],
            [1 / of_b, -_B / of_b, _B2 / of_b],
            [0, 0, 1],
        ],
        dtype=torch.float64,
    )
    both = torch.kron(one_side, one_side).to(weight.dtype)
    return (both @ weight.reshape(-1, 9).T).view(36, *weight.shape[:2])


def _input_transform(tiles: Tensor) -> Tensor:
    """`_tiles` -> (36, n * rows * across, C): B^T d B, along the columns, then along the rows."""
    images, height, more, _, channels = tiles.shape
    across, down = more - 1, (height - 2) // TILE
    columns = [tiles[:, :, :-1, tap] for tap in range(4)] + [tiles[:, :, 1:, tap] for tap in (0, 1)]
    half = tiles.new_empty(6, images, height, across, channels)
    _input_sums(columns, half)
    whole = tiles.new_empty(6, 6, images, down, across, channels)
    _input_sums([half[:, :, tap : tap + TILE * down - 3 : TILE] for tap in range(6)], whole)
    return whole.view(36, -1, channels)


def _output_transform(products: Tensor, out: Tensor) -> None:
    """(36, n * rows * across, out) -> `out` (n, 4 * rows, 4 * across, out): A^T m A."""
    images, height, width, channels = out.shape
    tiles = (images, height // TILE, width // TILE, channels)
    half = products.new_empty(TILE, 6, *tiles)
    _output_sums(products.view(6, 6, *tiles), half)
    pixels = out.view(images, tiles[1], TILE, tiles[2], TILE, channels)
    _output_sums(half.transpose(0, 1), pixels.permute(4, 2, 0, 1, 3, 5))


def _input_sums(taps: Sequence[Tensor], out: Tensor) -> None:
    """Six taps -> out[0..5]: B^T d along one axis; even and odd taps are shared by a pair."""
    torch.add(taps[0], taps[4], out=out[0]).sub_(taps[2], alpha=_A2 + _B2)
    torch.add(taps[1], taps[5], out=out[5]).sub_(taps[3], alpha=_A2 + _B2)
    even, odd = torch.empty_like(out[0]), torch.empty_like(out[0])
    for index, point, other in ((1, _A, _B2), (3, _B, _A2)):
        torch.sub(taps[4], taps[2], alpha=other, out=even)
        torch.sub(taps[3], taps[1], alpha=other, out=odd)
        torch.add(even, odd, alpha=point, out=out[index])
        torch.sub(even, odd, alpha=point, out=out[index + 1])


def _output_sums(terms: Tensor, out: Tensor) -> None:
    """terms[0..5] -> out[0..3]: A^T m along one axis.

    Row k of A^T holds the points to the power k. Here to the power k - 1, as the transformed kernel
    has the first power already; to the power -1 a point is the other one.
    """
    sum_a, difference_a = terms[1] + terms[2], terms[1] - terms[2]
    sum_b, difference_b = terms[3] + terms[4], terms[3] - terms[4]
    torch.add(terms[0], sum_a, alpha=_B, out=out[0]).add_(sum_b, alpha=_A)
    torch.add(difference_a, difference_b, out=out[1])
    torch.add(terms[5], difference_a, alpha=_A2, out=out[3]).add_(difference_b, alpha=_B2)
    torch.add(sum_a.mul_(_A), sum_b, alpha=_B, out=out[2])
