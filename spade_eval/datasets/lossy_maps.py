# SPDX-License-Identifier: Apache-2.0
"""Label maps that were JPEG files: what of them is lost, counted when they became maps of ids.

What the first encoding changed nobody can know. A second one by the same tables, on another grid of
blocks, changes less, and that is counted: pixels that change their class, and the IoU of each class
between the two. On painted scenes of 64 and 256 pixels it was 46% to 88% of what the first one had
changed, at qualities 20 to 95 (on the same grid 22% to 41%). So a segmenter without mistakes scores
no more than that mean IoU against such maps, and the real photos neither.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.jpeg import JPEGEncoding
from spade_eval.datasets.parallel import write_text
from spade_eval.datasets.positional_maps import MARK
from spade_eval.json_fields import parsed_json, require_types

JPEG = "jpeg"  # in the mark of a folder
_PIXELS_AT_ONCE = 1 << 12  # of which the distances to all colours are kept
_SHIFT = (3, 5)  # odd, so that blocks of colours at half resolution move as well


@dataclass(frozen=True, kw_only=True)
class LossyCounts:
    """Of all files together; `hits` and `unions` by the id of the class."""

    files: int = 0
    pixels: int = 0
    inexact: int = 0  # whose colour the palette lacks
    changed: int = 0  # that a second encoding takes to another class
    hits: Mapping[str, int]
    unions: Mapping[str, int]
    encoding: str = ""

    def __add__(self, other: "LossyCounts") -> "LossyCounts":
        def both(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
            return {key: first.get(key, 0) + second.get(key, 0) for key in {**first, **second}}

        return LossyCounts(
            files=self.files + other.files,
            pixels=self.pixels + other.pixels,
            inexact=self.inexact + other.inexact,
            changed=self.changed + other.changed,
            hits=both(self.hits, other.hits),
            unions=both(self.unions, other.unions),
            encoding=self.encoding or other.encoding,
        )

    @property
    def miou(self) -> float:
        """The mean IoU of the maps and the same maps encoded again."""
        shares = [self.hits.get(key, 0) / union for key, union in self.unions.items() if union]
        return float(np.mean(shares)) if shares else 1.0

    def sentence(self) -> str:
        """Say what is lost."""
        inexact, changed = (
            f"{100 * count / max(self.pixels, 1):.2f}%" for count in (self.inexact, self.changed)
        )
        return (
            f"{self.files} of them come from JPEG files ({self.encoding}): {inexact} of the pixels "
            f"had no exact colour and got the nearest, and the same JPEG once more changes "
            f"{changed} (the first time more), so that a segmenter without mistakes, and the row "
            f"real, scores at most about {100 * self.miou:.1f}% mIoU against them"
        )


def nearest_places(image: NDArray[np.uint8], colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (H, W) places of the nearest of (K, 3) colours to (H, W, 3); the first of equal."""
    unique, inverse = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = np.empty(len(unique), dtype=np.int64)
    for start in range(0, len(unique), _PIXELS_AT_ONCE):
        part = unique[start : start + _PIXELS_AT_ONCE].astype(np.int64)
        distances = ((part[:, None] - colours[None]) ** 2).sum(-1)
        nearest[start : start + _PIXELS_AT_ONCE] = distances.argmin(1)
    return nearest[inverse.reshape(image.shape[:2])]


def counted(
    image: NDArray[np.uint8],
    places: NDArray[np.int64],
    colours: NDArray[np.int64],
    ids: NDArray[np.int64],
    encoding: JPEGEncoding,
) -> LossyCounts:
    """Count what is lost of one map: (H, W, 3) as decoded, the classes that it was taken for."""
    painted = colours[places].astype(np.uint8)
    again = nearest_places(applied_again(painted, encoding), colours)
    same, num = places == again, len(colours)
    hits = np.bincount(places[same], minlength=num)
    unions = np.bincount(places.ravel(), minlength=num) + np.bincount(again.ravel(), minlength=num)
    return LossyCounts(
        files=1,
        pixels=places.size,
        inexact=int((painted != image).any(-1).sum()),
        changed=int((~same).sum()),
        hits={str(ids[k]): int(hits[k]) for k in range(num) if hits[k]},
        unions={str(ids[k]): int(unions[k] - hits[k]) for k in range(num) if unions[k]},
        encoding=encoding.described,
    )


def applied_again(painted: NDArray[np.uint8], encoding: JPEGEncoding) -> NDArray[np.uint8]:
    """Return (H, W, 3) through an encoding whose blocks lie elsewhere than those of a file."""
    down, right = _SHIFT
    moved = np.pad(painted, ((down, 0), (right, 0), (0, 0)), mode="edge")
    return encoding.applied(moved)[down:, right:]


def recorded(folder: Path) -> LossyCounts | None:
    """Return what the mark of a folder says of its maps; None where they are exact."""
    with suppress(OSError, ValueError, TypeError):
        mark = parsed_json((folder / MARK).read_bytes())
        fields: Any = mark.get(JPEG) if isinstance(mark, dict) else None
        if isinstance(fields, dict):
            require_types(LossyCounts, fields)
            return LossyCounts(**fields)
    return None


def record(folder: Path, counts: LossyCounts) -> None:
    """Write it into the mark of the folder, which is there."""
    mark = parsed_json((folder / MARK).read_bytes())
    write_text(folder / MARK, json.dumps({**mark, JPEG: vars(counts)}, indent=1))


def doubts_of(folders: Iterable[Path]) -> tuple[str, ...]:
    """Say of each folder of label maps what is lost there; nothing of exact ones."""
    found = (recorded(folder) for folder in dict.fromkeys(folders))
    return tuple(counts.sentence() for counts in found if counts is not None)
