# SPDX-License-Identifier: Apache-2.0
"""The style of a photo: all that the maps leave open, drawn afresh for each photo of a scene.

Colours are RGB in 0..1 in display space; light is multiplied in that space too, which keeps the
palettes readable and is what a painter would do, not what a radiometer would.
"""

from dataclasses import dataclass

import numpy as np

from spade_eval.datasets.scenes.palettes import (
    ASPHALTS,
    DAYTIMES,
    EVERGREENS,
    PAVINGS,
    PLASTERS,
    RANGES,
    SANDS,
    SEASONS,
    STONES,
    WATERS,
    WEATHERS,
    Colour,
)


@dataclass(frozen=True, kw_only=True)
class Style:
    """One drawing of time, season, weather and materials."""

    daytime: str
    season: str
    weather: str
    zenith: Colour
    rim: Colour
    sunlight: Colour
    ambient: Colour
    disc: Colour
    elevation: float
    light_side: float  # where the light comes from if the maps show no sun: -1 left, 1 right
    grey: float
    haze: float
    grass: Colour
    foliage: tuple[Colour, ...]
    evergreen: tuple[Colour, ...]  # of palms and cacti, in any season
    crop: Colour
    sand: Colour
    stone: Colour
    range: Colour
    water: Colour
    asphalt: Colour
    paving: Colour
    plasters: tuple[Colour, ...]
    snow: float
    snow_line: float
    swell: float  # height of the waves
    flowers: float
    noise: float  # of the sensor, standard deviation

    @property
    def is_night(self) -> bool:
        return self.daytime == "night"


def _jittered(rng: np.random.Generator, colour: Colour, amount: float = 0.03) -> Colour:
    red, green, blue = (
        np.asarray(colour) * rng.uniform(0.95, 1.05) + rng.normal(0.0, amount, 3)
    ).clip(0.0, 1.1)
    return float(red), float(green), float(blue)


def _mixed(colour: Colour, grey: float, amount: float) -> Colour:
    red, green, blue = (channel + (grey - channel) * amount for channel in colour)
    return red, green, blue


def _scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def draw_style(rng: np.random.Generator) -> Style:
    """Draw a style from the tables of `palettes`, each colour varied a little."""

    def name_of(shares: list[float], names: list[str]) -> str:
        return names[int(np.searchsorted(np.cumsum(shares), rng.random() * sum(shares)))]

    def one_of(colours: tuple[Colour, ...]) -> Colour:
        return _jittered(rng, colours[int(rng.integers(len(colours)))])

    daytime = name_of([entry.share for entry in DAYTIMES.values()], list(DAYTIMES))
    season = name_of([entry.share for entry in SEASONS.values()], list(SEASONS))
    weather = name_of([entry.share for entry in WEATHERS.values()], list(WEATHERS))
    time, year, air = DAYTIMES[daytime], SEASONS[season], WEATHERS[weather]
    brightness = sum(time.rim) / 3.0
    return Style(
        daytime=daytime,
        season=season,
        weather=weather,
        zenith=_mixed(_jittered(rng, time.zenith), 0.85 * brightness, air.grey),
        rim=_mixed(_jittered(rng, time.rim), brightness, 0.8 * air.grey),
        sunlight=_scaled(_jittered(rng, time.sunlight), air.direct),
        ambient=_scaled(_jittered(rng, time.ambient, 0.015), air.diffuse),
        disc=time.disc,
        elevation=time.elevation,
        light_side=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.0)),
        grey=air.grey,
        haze=air.haze * float(rng.uniform(0.6, 1.5)),
        grass=one_of(year.grass),
        foliage=tuple(_jittered(rng, colour) for colour in year.foliage),
        evergreen=tuple(_jittered(rng, colour) for colour in EVERGREENS),
        crop=one_of(year.crops),
        sand=one_of(SANDS),
        stone=one_of(STONES),
        range=one_of(RANGES),
        water=one_of(WATERS),
        asphalt=one_of(ASPHALTS),
        paving=one_of(PAVINGS),
        plasters=PLASTERS[int(rng.integers(len(PLASTERS)))],
        snow=year.snow * float(rng.uniform(0.4, 1.2)),
        snow_line=float(rng.uniform(*year.snow_line)),
        swell=float(rng.uniform(0.4, 1.0)),
        flowers=float(rng.uniform(0.0, 1.0)) if season in ("spring", "summer") else 0.0,
        noise=float(rng.uniform(0.002, 0.009)),
    )
