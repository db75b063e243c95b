# SPDX-License-Identifier: Apache-2.0
"""Label maps that generators are given in the place of the split's: flags, names, words.

What each does to a label map is in `datasets/given_maps.py`.
"""

from collections.abc import Iterator

from spade_eval.errors import UserError, lookup
from spade_eval.models.choices import GivenMaps

DAMAGE: dict[GivenMaps, str] = {
    "ds": "every 4th pixel of rows and columns, nearest (SCDM: to 64x64 and back)",
    "edge": "no class where another class lies within an L1 distance of 2 pixels (SCDM)",
    "random": "no class in 10% of the pixels, drawn by the image's name (SCDM)",
}
MASKS: dict[GivenMaps, str] = {
    "large": "masks of at least 5% of the image, no class elsewhere (Dancette)",
    "few": "one to three masks of at least 5% of the image, drawn by its name, no class elsewhere "
    "(Dancette)",
}


def map_change(damage: str | None, masks: str | None) -> GivenMaps:
    """Return what --damage and --masks mean; `UserError` for both at once and for other names."""
    if damage is not None and masks is not None:
        raise UserError(
            f"--damage {damage} with --masks {masks}: no paper scores both at once; leave one out"
        )
    if damage is None and masks is None:
        return "whole"
    flag, settings, name = ("damage", DAMAGE, damage) if masks is None else ("masks", MASKS, masks)
    known: dict[str, GivenMaps] = {setting: setting for setting in settings}
    return lookup(known, str(name), f"setting of --{flag}")


def map_lines() -> Iterator[str]:
    """Yield the settings of --damage and --masks, one a line."""
    for flag, settings in (("--damage", DAMAGE), ("--masks", MASKS)):
        for name, text in settings.items():
            yield f"{flag} {name}: {text}"


def rows_of_maps(given_maps: GivenMaps) -> dict[str, str]:
    """Say what generators see, and against what that is scored; nothing of a split's own maps."""
    if given_maps == "whole":
        return {}
    scored = "the clean label maps, all of them"
    if given_maps in MASKS:
        scored = "the masks that are given; pixels elsewhere are ignored (acc_all: wrong)"
    text = {**DAMAGE, **MASKS}[given_maps]
    return {"generators see": f"{given_maps}: {text}", "scored against": scored}
