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
from torch import Tensor

from spade_eval.models.fast.onednn import DirectConv2d, product

TILE = 4  # pixels of the output on each side; of the input two more
_A, _B = 2 / 3, 3 / 2  # the points; their product is 1, which the matrices make use of
_A2, _B2 = _A**2, _B**2
_INPUT = (  # B^T
    (1, 0, -_A2 - _B2, 0, 1, 0),
    (0, -_B, -_B2, _A, 1, 0),
    (0, _B, -_B2, -_A, 1, 0),
    (0, -_A, -_A2, _B, 1, 0),
    (0, _A, -_A2, -_B, 1, 0),
    (0, 1, 0, -_A2 - _B2, 0, 1),
)
# A^T. Row k holds the points to the power k, here k - 1, as the transformed kernel has the first
# power already; to the power -1 a point is the other one.
_OUTPUT = (
    (1, _B, _B, _A, _A, 0),
    (0, 1, -1, 1, -1, 0),
    (0, _A, _A, _B, _B, 0),
    (0, _A2, -_A2, _B2, -_B2, 1),
)
_TILES_AT_ONCE = 512  # more would leave the cache before they are used; measured
_CHANNELS_AT_ONCE = 256  # that a sum adds up in one go: a matter of rounding, see `_products`

# In multiplications of the direct form, measured, see docs/speed.md. Like all rules that choose a
# form this one reads the batch, never a clock: a repeated run takes the same form.
_PIXEL_COST = 300  # transforming a value of the input or the output
_WEIGHT_COST = 2000  # transforming a kernel
_MOST_COST = 0.9  # of the direct form's
_PRODUCTS = 3.2  # a pixel and pair of channels: 36 / 16, in narrower products; 9 in the direct form


class FastConv2d(DirectConv2d):
    """`nn.Conv2d`, equal but for the order of additions; a direct one is oneDNN's.

    It takes Winograd's form where that is faster, or `always` where it can, if no gradient is
    wanted. On GPUs cuDNN chooses its algorithms by itself.
    """

    always = False

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self._allows_winograd(input, weight) and (
            self.always or winograd_is_faster(input, weight, self.dilation[0])
        ):
            return winograd_convolution(input, weight, bias, self.padding_mode, self.dilation[0])
        return super()._conv_forward(input, weight, bias)

    def _allows_winograd(self, x: Tensor, weight: Tensor) -> bool:
        return (
            computes_in_float32_on_cpu(x, weight)
            and self.kernel_size == (3, 3)
            and self.stride == (1, 1)
            and self.dilation == self.padding
            and self.dilation[0] == self.dilation[1]
            and self.groups == 1
            and (
                self.padding_mode == "zeros"
                or (self.padding_mode == "reflect" and self.dilation == (1, 1))
            )
        )


def computes_in_float32_on_cpu(x: Tensor, weight: Tensor) -> bool:
    """Return whether no gradient, no compiler, no other device and no other precision is wanted."""
    return (
        not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
    )


def winograd_is_faster(x: Tensor, weight: Tensor, dilation: int = 1) -> bool:
    """Return whether it is for x (N, C, H, W), weight (out, C, 3, 3); their shapes alone decide."""
    pairs, channels = weight[:, :, 0, 0].numel(), sum(weight.shape[:2])
    height, width = x.shape[-2:]
    taps = _taps_inside(height, dilation) * _taps_inside(width, dilation)
    direct = x.shape[0] * taps * pairs
    tiles = _num_tiles(height, dilation) * _num_tiles(width, dilation)
    pixels = x.shape[0] * tiles * TILE**2
    cost = pixels * (_PRODUCTS * pairs + _PIXEL_COST * channels) + _WEIGHT_COST * pairs
    return cost <= _MOST_COST * direct


def _taps_inside(length: int, dilation: int) -> int:
    """Count the taps of a row of pixels that meet no padding: the others cost no time."""
    return length + 2 * max(0, length - dilation)


def _num_tiles(length: int, dilation: int) -> int:
    return -(-(length + min(dilation, length) - 1) // TILE)


def winograd_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding_mode: str = "zeros",
    dilation: int = 1,
    kernels: Tensor | None = None,
) -> Tensor:
    """Convolve x (N, C, H, W), weight (out, C, 3, 3) -> (N, out, H, W), channels-last in memory.

    Stride 1, as much padding as dilation, with zeros, or by reflection where the dilation is 1. No
    gradients. `kernels` are the `transformed` weight, where that is kept.
    """
    batch, _, height, width = x.shape
    if kernels is None:
        kernels = transformed(weight)
    pixels, across, down = _mosaic(x, dilation, padding_mode)
    y = x.new_empty(batch, TILE * down, TILE * across, weight.shape[0])
    for images, rows in _pieces(batch, down, across):
        tiles = _tiles(pixels[images, TILE * rows.start : TILE * rows.stop + 2], across)
        piece = y[images, TILE * rows.start : TILE * rows.stop]
        _output_transform(_products(_input_transform(tiles), kernels), piece)
        if bias is not None:
            piece += bias
    return _picture(y, dilation, (height, width)).permute(0, 3, 1, 2)


def _mosaic(x: Tensor, dilation: int, padding_mode: str) -> tuple[Tensor, int, int]:
    """(N, C, H, W) -> (N, 4 * down + 2, 4 * across + 2, C), `across` and `down`: padded pixels.

    A convolution of dilation d is one of dilation 1 on each of d * d pictures: every d-th pixel
    of every d-th row. They lie side by side, with a line of zeros between two, which pads both.
    """
    height, width = x.shape[-2:]
    down, across = _num_tiles(height, dilation), _num_tiles(width, dilation)
    whole, before = (TILE * down + 2, TILE * across + 2), 1
    if padding_mode == "reflect":
        x, before = F.pad(x, (1, 1, 1, 1), mode="reflect"), 0
    x = x.permute(0, 2, 3, 1)
    if dilation == 1:
        below, right = (
            side - length - before for side, length in zip(whole, x.shape[1:3], strict=True)
        )
        return F.pad(x, (0, 0, before, right, before, below)), across, down
    pixels = x.new_zeros(x.shape[0], *whole, x.shape[3])
    inside = pixels[:, 1:, 1:]
    for rows, down_there in _phases(height, dilation):
        for columns, across_there in _phases(width, dilation):
            inside[:, down_there, across_there] = x[:, rows, columns]
    return pixels, across, down


def _picture(y: Tensor, dilation: int, size: tuple[int, int]) -> Tensor:
    """Put the parts of a mosaic (N, 4 * down, 4 * across, out) back -> (N, H, W, out)."""
    if dilation == 1:
        return y[:, : size[0], : size[1]].contiguous()
    picture = y.new_empty(y.shape[0], *size, y.shape[3])
    for rows, down_there in _phases(size[0], dilation):
        for columns, across_there in _phases(size[1], dilation):
            picture[:, rows, columns] = y[:, down_there, across_there]
    return picture


def _phases(length: int, dilation: int) -> Iterator[tuple[slice, slice]]:
    """Every d-th pixel of a line, and where in the mosaic's line these lie."""
    start = 0
    for phase in range(min(dilation, length)):
        count = -(-(length - phase) // dilation)
        yield slice(phase, None, dilation), slice(start, start + count)
        start += count + 1


def _pieces(batch: int, down: int, across: int) -> Iterator[tuple[slice, slice]]:
    """Images, and rows of tiles in them: several whole images, or a part of one."""
    images = max(1, _TILES_AT_ONCE // (down * across))
    rows = max(1, min(down, _TILES_AT_ONCE // across))
    for first in range(0, batch, images):
        for top in range(0, down, rows):
            yield slice(first, first + images), slice(top, min(top + rows, down))


def _tiles(pixels: Tensor, across: int) -> Tensor:
    """(n, 4 * rows + 2, 4 * across + 2, C) -> (6, 6, n, rows, across, C): what each tile meets."""
    images, height, _, channels = pixels.shape
    of_image, of_row, of_pixel, of_channel = pixels.stride()
    return pixels.as_strided(
        (TILE + 2, TILE + 2, images, (height - 2) // TILE, across, channels),
        (of_row, of_pixel, of_image, TILE * of_row, TILE * of_pixel, of_channel),
    )


def transformed(weight: Tensor) -> Tensor:
    """(out, C, 3, 3) -> (36, parts, out, C / parts): G g G^T, channels in parts for `_products`."""
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
    kernels = (both @ weight.reshape(-1, 9).T).view(36, *weight.shape[:2])
    channels = weight.shape[1]
    step = _CHANNELS_AT_ONCE if channels % _CHANNELS_AT_ONCE == 0 else channels
    return kernels.unflatten(2, (-1, step)).transpose(1, 2).contiguous()


def _products(tiles: Tensor, kernels: Tensor) -> Tensor:
    """(36, T, C) by `transformed` kernels -> (36, T, out).

    oneDNN adds up a sum over all channels term by term, whose rounding grows with their number.
    """
    _, parts, out, step = kernels.shape
    products = tiles.new_empty(*tiles.shape[:2], out)
    for rows, of_position, sums in zip(tiles, kernels, products, strict=True):
        for part in range(parts):
            added = product(rows[:, part * step : (part + 1) * step], of_position[part])
            sums.copy_(added) if part == 0 else sums.add_(added)
    return products


def _input_transform(tiles: Tensor) -> Tensor:
    """`_tiles` -> (36, n * rows * across, C): B^T d B, both sides at once."""
    channels = tiles.shape[-1]
    return product(_both_sides(_INPUT, tiles), tiles.reshape(36, -1).T).view(36, -1, channels)


def _output_transform(products: Tensor, out: Tensor) -> None:
    """(36, n * rows * across, out) -> `out` (n, 4 * rows, 4 * across, out): A^T m A."""
    images, height, width, channels = out.shape
    tiles = product(_both_sides(_OUTPUT, products), products.view(36, -1).T).view(
        TILE, TILE, images, height // TILE, width // TILE, channels
    )
    pixels = out.view(images, height // TILE, TILE, width // TILE, TILE, channels)
    pixels.copy_(tiles.permute(2, 3, 0, 4, 1, 5))


def _both_sides(one_side: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    side = torch.tensor(one_side, dtype=torch.float64, device=like.device)
    return torch.kron(side, side).to(like.dtype)
