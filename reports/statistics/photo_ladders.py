# SPDX-License-Identifier: Apache-2.0
"""How far a distance between clean and corrupted photos lies above that between clean ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spade_eval.reports.statistics.feature_distances import left_out_frechet
from spade_eval.reports.statistics.jackknife import FEWEST_IMAGES, Floats, LeftOut

FEWEST_PHOTOS = 2 * FEWEST_IMAGES
SEEN = 3.0
"""Standard errors above the clean halves from which a step counts as seen."""
# Modes that a generator drops: of so many photos one is left, repeated in the place of the others.
DROPPED = (2, 4, 10)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One step of a ladder through one network."""

    column: str  # label of the distance
    ladder: str
    strength: str
    distance: float
    clean: float  # of the two clean halves
    errors: float | None  # standard errors between them; None where photos repeat

    @property
    def is_seen(self) -> bool:
        return self.errors is None or self.errors >= SEEN


def rungs(
    column: str, real: Floats, clean: Floats, corrupted: Mapping[tuple[str, str], Floats]
) -> Iterator[Rung]:
    """Yield a rung for each step (ladder, strength), and those of dropped modes.

    All are (N, D) features: `real` of one half of the photos, the others of the other half, photo
    by photo. Groups of photos of both halves are left out of all distances together.
    """
    plain = left_out_frechet(real, clean, paired=False)
    for (ladder, strength), features in corrupted.items():
        found = left_out_frechet(real, features, paired=False)
        yield Rung(
            column=column, ladder=ladder, strength=strength, distance=found.value,
            clean=plain.value, errors=_errors(found, plain),
        )  # fmt: skip
    for share in DROPPED:
        repeated = clean[np.arange(len(clean)) // share * share]
        distance = left_out_frechet(real, repeated, paired=False).value
        yield Rung(
            column=column, ladder="modes left", strength=f"1/{share}", distance=distance,
            clean=plain.value, errors=None,
        )  # fmt: skip


def _errors(found: LeftOut, plain: LeftOut) -> float:
    """Return the difference in its standard errors."""
    difference = LeftOut(found.value - plain.value, found.without - plain.without)
    return difference.value / max(difference.standard_error, np.finfo(float).tiny)
