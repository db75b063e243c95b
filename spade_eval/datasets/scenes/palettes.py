# SPDX-License-Identifier: Apache-2.0
"""The tables that styles are drawn from: times of the day, seasons, weathers and materials.

Colours are RGB in 0..1 in display space. `share` is the probability of a row of a table.
"""

from typing import NamedTuple

Colour = tuple[float, float, float]


class Daytime(NamedTuple):
    """Sky and light at one time of the day."""

    share: float
    zenith: Colour
    rim: Colour  # the sky at the horizon
    sunlight: Colour
    ambient: Colour
    disc: Colour
    elevation: float  # of the light, 0 at the horizon, 1 overhead


DAYTIMES: dict[str, Daytime] = {
    "dawn": Daytime(
        0.13,
        (0.40, 0.47, 0.72),
        (0.97, 0.77, 0.70),
        (0.70, 0.50, 0.40),
        (0.44, 0.43, 0.52),
        (1.0, 0.90, 0.72),
        0.2,
    ),
    "noon": Daytime(
        0.30,
        (0.17, 0.40, 0.80),
        (0.66, 0.82, 0.95),
        (0.72, 0.69, 0.62),
        (0.42, 0.47, 0.53),
        (1.0, 1.0, 0.93),
        0.9,
    ),
    "afternoon": Daytime(
        0.22,
        (0.25, 0.50, 0.82),
        (0.80, 0.87, 0.90),
        (0.74, 0.67, 0.54),
        (0.42, 0.45, 0.50),
        (1.0, 0.98, 0.85),
        0.55,
    ),
    "golden": Daytime(
        0.17,
        (0.36, 0.49, 0.72),
        (1.0, 0.81, 0.53),
        (0.86, 0.60, 0.31),
        (0.39, 0.38, 0.43),
        (1.0, 0.93, 0.62),
        0.2,
    ),
    "dusk": Daytime(
        0.11,
        (0.21, 0.20, 0.44),
        (0.94, 0.50, 0.40),
        (0.62, 0.38, 0.32),
        (0.42, 0.38, 0.50),
        (1.0, 0.72, 0.42),
        0.12,
    ),
    "night": Daytime(
        0.07,
        (0.05, 0.08, 0.21),
        (0.17, 0.24, 0.42),
        (0.30, 0.34, 0.46),
        (0.27, 0.31, 0.44),
        (0.94, 0.95, 0.88),
        0.6,
    ),
}


class Season(NamedTuple):
    """Vegetation and snow in one season."""

    share: float
    grass: tuple[Colour, ...]
    foliage: tuple[Colour, ...]
    crops: tuple[Colour, ...]
    snow_line: tuple[float, float]  # range of the height on a mountain, 0 at its foot, 1 at its top
    snow: float  # cover of the ground


_WHEAT, _RAPE, _SOIL = (0.84, 0.70, 0.36), (0.92, 0.82, 0.16), (0.46, 0.32, 0.22)
_LAVENDER, _STUBBLE = (0.56, 0.42, 0.72), (0.76, 0.63, 0.42)

SEASONS: dict[str, Season] = {
    "spring": Season(
        0.27,
        ((0.46, 0.70, 0.26), (0.40, 0.66, 0.30)),
        ((0.36, 0.58, 0.20), (0.50, 0.66, 0.26), (0.88, 0.66, 0.74)),
        (_RAPE, _SOIL, _RAPE),
        (0.35, 0.8),
        0.0,
    ),
    "summer": Season(
        0.35,
        ((0.40, 0.60, 0.22), (0.54, 0.62, 0.26)),
        ((0.20, 0.42, 0.14), (0.27, 0.47, 0.17), (0.16, 0.36, 0.18)),
        (_WHEAT, _LAVENDER, _WHEAT),
        (0.6, 1.3),
        0.0,
    ),
    "autumn": Season(
        0.24,
        ((0.56, 0.58, 0.26), (0.62, 0.57, 0.30)),
        ((0.82, 0.44, 0.12), (0.72, 0.24, 0.12), (0.86, 0.66, 0.16), (0.36, 0.42, 0.16)),
        (_SOIL, _STUBBLE),
        (0.4, 1.0),
        0.0,
    ),
    "winter": Season(
        0.14,
        ((0.58, 0.60, 0.40), (0.52, 0.56, 0.36)),
        ((0.20, 0.34, 0.24), (0.34, 0.30, 0.24), (0.26, 0.38, 0.28)),
        (_SOIL, _STUBBLE),
        (0.05, 0.4),
        0.55,
    ),
}


class Weather(NamedTuple):
    """What the air does to light and distance."""

    share: float
    grey: float  # how far the sky goes to grey
    direct: float  # factor of the sunlight
    diffuse: float  # factor of the ambient light
    haze: float  # extinction per unit of distance


WEATHERS: dict[str, Weather] = {
    "clear": Weather(0.55, 0.0, 1.0, 1.0, 0.012),
    "hazy": Weather(0.22, 0.25, 0.8, 1.1, 0.05),
    "overcast": Weather(0.23, 0.75, 0.3, 1.35, 0.03),
}

EVERGREENS: tuple[Colour, ...] = ((0.24, 0.46, 0.18), (0.32, 0.48, 0.22), (0.22, 0.40, 0.24))
SANDS: tuple[Colour, ...] = (
    (0.90, 0.79, 0.56),
    (0.95, 0.88, 0.71),
    (0.87, 0.66, 0.42),
    (0.84, 0.53, 0.34),
)
STONES: tuple[Colour, ...] = (
    (0.52, 0.50, 0.48),
    (0.44, 0.43, 0.45),
    (0.56, 0.47, 0.40),
    (0.36, 0.35, 0.36),
)
RANGES: tuple[Colour, ...] = (
    (0.46, 0.45, 0.48),
    (0.50, 0.42, 0.36),
    (0.66, 0.42, 0.32),
    (0.38, 0.40, 0.45),
)
WATERS: tuple[Colour, ...] = (
    (0.05, 0.24, 0.42),
    (0.04, 0.36, 0.46),
    (0.09, 0.28, 0.33),
    (0.07, 0.17, 0.33),
)
ASPHALTS: tuple[Colour, ...] = ((0.33, 0.33, 0.35), (0.27, 0.27, 0.30), (0.40, 0.38, 0.38))
PAVINGS: tuple[Colour, ...] = (
    (0.70, 0.68, 0.66),
    (0.74, 0.62, 0.54),
    (0.62, 0.62, 0.66),
    (0.72, 0.68, 0.56),
)
PLASTERS: tuple[tuple[Colour, ...], ...] = (
    (
        (0.88, 0.80, 0.66),
        (0.84, 0.62, 0.46),
        (0.90, 0.86, 0.78),
        (0.78, 0.48, 0.38),
        (0.72, 0.74, 0.66),
    ),
    ((0.66, 0.34, 0.26), (0.56, 0.29, 0.24), (0.72, 0.46, 0.34), (0.60, 0.50, 0.44)),
    ((0.58, 0.62, 0.68), (0.44, 0.50, 0.58), (0.76, 0.78, 0.80), (0.62, 0.58, 0.54)),
    (
        (0.86, 0.72, 0.36),
        (0.78, 0.40, 0.34),
        (0.42, 0.58, 0.62),
        (0.88, 0.84, 0.76),
        (0.52, 0.62, 0.46),
    ),
)
