# SPDX-License-Identifier: Apache-2.0
"""Tileable noise fields, made once from a fixed seed and sampled at random offsets.

Each tile is white noise shaped in the Fourier domain (spectral synthesis of fractional Brownian
motion: Peitgen and Saupe, The Science of Fractal Images, 1988, section 2.5), so that it is periodic
by construction. Sampling a tile costs one gather; a fresh fractal field would cost one per octave.
Convention: tiles have mean 0 and standard deviation 1, and one tile spans one unit of coordinates.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
"""Real values over pixels; float32 throughout the renderer."""

Spectrum = Callable[[Array, Array], Array]

TILE = 512
_TILE_SEED = 20190  # fixed: the tiles are part of the data set's definition


def _power_law(exponent: float) -> Spectrum:
    return lambda fx, fy: np.maximum(np.hypot(fx, fy), 1.0) ** -exponent


def _band(fx0: float, fy0: float, width: float) -> Spectrum:
    """Frequencies around the ellipse of half-axes (fx0, fy0) cycles per tile."""
    return lambda fx, fy: np.exp(-(((np.hypot(fx / fx0, fy / fy0) - 1.0) / width) ** 2))


_SPECTRA: dict[str, Spectrum] = {
    "fractal": _power_law(1.7),  # clouds, stains, large patches
    "rough": _power_law(1.05),  # ground, plaster, bark
    "blob": _band(22.0, 22.0, 0.5),  # clusters of leaves, tufts, pebbles
    "wave": _band(7.0, 34.0, 0.6),  # elongated crests of water and ripples of sand
    "grain": _power_law(0.25),  # single grains, sensor noise
}


def _shaped(spectrum: Spectrum, stream: int) -> Array:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([_TILE_SEED, stream])))
    frequency = np.fft.fftfreq(TILE, 1.0 / TILE)
    gain = spectrum(frequency[None, :], frequency[:, None])
    gain[0, 0] = 0.0
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((TILE, TILE))) * gain).real
    return np.asarray(field)


def _normalised(field: Array) -> Array:
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _slope(axis: int) -> Array:
    """Slope along `axis` of a ridged height field; the ridges are the zero crossings of noise."""
    height = -np.abs(_shaped(_power_law(1.95), stream=90))
    height += 0.5 * np.roll(height[::-1, ::-1], TILE // 3, axis=1)
    return np.roll(height, -1, axis=axis) - np.roll(height, 1, axis=axis)


@cache
def tile(kind: str) -> Array:
    """Return the (TILE, TILE) field of one kind: a key of the spectra, "slope_x" or "slope_y"."""
    if kind in ("slope_x", "slope_y"):
        field = _slope(axis=1 if kind == "slope_x" else 0)
    else:
        field = _shaped(_SPECTRA[kind], stream=list(_SPECTRA).index(kind))
    result = _normalised(field)
    result.flags.writeable = False
    return result


def sample(kind: str, x: Array, y: Array) -> Array:
    """Sample the tile at coordinates of any shape, repeated over the plane; nearest neighbour."""
    column = (x * np.float32(TILE)).astype(np.int32) & (TILE - 1)
    row = (y * np.float32(TILE)).astype(np.int32) & (TILE - 1)
    return tile(kind).reshape(-1).take(row * TILE + column)


def window(kind: str, top: int, left: int, size: tuple[int, int]) -> Array:
    """Cut a (H, W) piece of the tile at pixel scale, repeated if the size exceeds the tile."""
    rows = (np.arange(size[0]) + top) & (TILE - 1)
    columns = (np.arange(size[1]) + left) & (TILE - 1)
    return tile(kind)[rows[:, None], columns[None, :]]
