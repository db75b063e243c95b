# SPDX-License-Identifier: Apache-2.0
"""mIoU between a floor and the oracle: 0 for label maps as images, 100% for photos taken again.

    s = (m - f) / (o - f),    psi_i = [ (m_i - f_i) - s (o_i - f_i) ] / (o - f)

m, f, o are the mIoU of a row, of `label colours` (the higher of the two floors) and of `oracle`;
with an index, the influence of an image on them (docs/statistics.md, section 14). All three are of
the same label maps: what these do to floor and oracle cancels where it does the same to the row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spade_eval.metrics.count_influence import Floats
from spade_eval.reports.measured.failures import without_verdict
from spade_eval.reports.measured.grouping import Row, value_of
from spade_eval.reports.statistics.frechet_influence import standard_error_of
from spade_eval.reports.statistics.sides import Side
from spade_eval.reports.statistics.stored_distances import NORMAL_QUANTILE

METRIC = "miou"
FLOOR, ORACLE = "label colours", "oracle"


@dataclass(frozen=True)
class Part:
    """A score, and the influence of each image on it; fractions."""

    value: float
    influence: Floats  # (N,)
    names: tuple[str, ...]  # of the images

    @classmethod
    def of(cls, side: Side) -> "Part | None":
        """Return that of a row; None without counts, and where a rule ended it at an N of its own.

        Rows of a rule have other images each.
        """
        influence = side.influence(METRIC)
        if influence is None or side.counts is None or side.row.until is not None:
            return None
        return cls(value_of(side.row.scores[METRIC]), influence, side.counts.names)


@dataclass(frozen=True)
class Normalised:
    """The share of the way from floor to oracle, with its 95% interval over images."""

    value: float
    low: float
    high: float


def normalised_scores(rows: Sequence[Row], parts: Mapping[str, Part]) -> dict[str, Normalised]:
    """Return the score of every row whose images are those of floor and oracle, by title.

    Of none where one of the two is absent, where the oracle is not above the floor, and where the
    segmenter fails on the real photos.
    """
    floor, oracle = (_part_of(kind, rows, parts) for kind in (FLOOR, ORACLE))
    if floor is None or oracle is None or METRIC in without_verdict(rows):
        return {}
    if floor.names != oracle.names or not oracle.value > floor.value:
        return {}
    return {
        title: normalised(part, floor, oracle)
        for title, part in parts.items()
        if part.names == floor.names
    }


def normalised(row: Part, floor: Part, oracle: Part) -> Normalised:
    """Return (m - f) / (o - f) with its interval by the delta method."""
    span = oracle.value - floor.value
    value = (row.value - floor.value) / span
    moved = (row.influence - floor.influence) - value * (oracle.influence - floor.influence)
    half = NORMAL_QUANTILE * standard_error_of(moved / span)
    return Normalised(value, value - half, value + half)


def _part_of(kind: str, rows: Sequence[Row], parts: Mapping[str, Part]) -> Part | None:
    return next((parts[row.title] for row in rows if row.kind == kind and row.title in parts), None)
