# SPDX-License-Identifier: Apache-2.0
"""Photos whose proportions change when they are resized: scores keep no aspect ratio."""

from collections.abc import Mapping

from spade_eval.datasets.files import shortened, text_of_size
from spade_eval.models.labels import Size

_SAME = 0.02  # as much as rounding to whole pixels may change it
_MULTIPLES = (32, 16, 8)  # sizes that every generator takes, then those that most take


def note_of_aspect(sizes: Mapping[Size, int], size: Size) -> tuple[str, ...]:
    """Say how many photos, counted by size, are squeezed into another shape by `size`."""
    squeezed = {photo: count for photo, count in sizes.items() if _is_squeezed(photo, size)}
    if not squeezed:
        return ()
    frequent = sorted(squeezed, key=lambda photo: -squeezed[photo])
    shown = shortened([f"{squeezed[photo]} of {text_of_size(photo)}" for photo in frequent], 3)
    return (
        f"{sum(squeezed.values())} of {sum(sizes.values())} photos ({shown}, height x width) have "
        f"another aspect ratio than {text_of_size(size)}, to which they and their label maps are "
        f"resized: they are squeezed{_remedy(frequent[0], size)}.",
    )


def _is_squeezed(photo: Size, size: Size) -> bool:
    (height, width), (new_height, new_width) = photo, size
    return abs(height * new_width / (width * new_height) - 1) > _SAME


def _remedy(photo: Size, size: Size) -> str:
    """Name a size in a photo's proportion, about as large as `size`, where there is one."""
    scale = max(size) / max(photo)
    for step in _MULTIPLES:
        height, width = (max(1, round(side * scale / step)) * step for side in photo)
        if not _is_squeezed(photo, (height, width)):
            return f"; --size {text_of_size((height, width))} has the shape of most of these"
    return ""
