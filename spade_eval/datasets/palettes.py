# SPDX-License-Identifier: Apache-2.0
"""Palette files as label maps. The one rule: the index is the value.

Colours are for the eye, but they tell whether the rule holds: an index has to have the colour of
its class where the file has colours, and to be its own grey where all are greys, since optimizers
turn a grey PNG into a palette file in any order.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets import layouts

Colours = Mapping[int, tuple[int, int, int] | None]
"""The colour of each id in a palette, None where any will do that is no other id's."""


def has_grey_palette(image: Image.Image) -> bool:
    """Return whether every colour of a palette file is a grey."""
    return image.mode == "P" and bool((np.ptp(_entries(image), axis=1) == 0).all())


def other_greys(image: Image.Image, indices: NDArray[np.uint8]) -> list[str]:
    """Name the indices of a grey palette file that are used and are other greys than themselves."""
    greys = dict(enumerate(_entries(image)[:, 0].tolist()))
    used = np.unique(indices).tolist() if has_grey_palette(image) else []
    return [f"{k} is grey {greys.get(k, 'of no entry')}" for k in used if greys.get(k) != k]


def agrees(image: Image.Image, colours: Colours | None) -> bool:
    """Return whether each index that a palette file uses has the colour of that id."""
    if image.mode != "P" or not colours:
        return False
    shown = dict(enumerate(map(tuple, _entries(image).tolist())))
    others = set(colours.values())
    return all(
        k in colours and (shown.get(k) == colours[k] or not (colours[k] or shown.get(k) in others))
        for k in np.unique(np.asarray(image)).tolist()
    )


def converter(folder: Path, mode: str) -> str:
    """Return the command that makes ids of a folder's files of this mode."""
    places = shlex.join([str(folder), str(layouts.folder_of_ids(folder))])
    of_colours = (
        f"`spade-eval data convert {places} --palette FILE` makes ids of exact colours, FILE "
        "having a line `id red green blue` for each class"
    )
    if mode != "P":
        return of_colours
    return (
        f"`spade-eval data convert {places} --palette index` writes its indices, if they are the "
        f"ids; else {of_colours}"
    )


def _entries(image: Image.Image) -> NDArray[np.uint8]:
    return np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
