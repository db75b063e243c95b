# SPDX-License-Identifier: Apache-2.0
"""Which columns tell a cheat from a model: of each a rule, and what it reads of every row.

A column *rings* for a row where its rule holds. It *tells* a cheat where it rings for it and for no
model of the run: a bell that rings for everybody tells nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.reports.measured.counts import average_of, stored_counts
from spade_eval.reports.measured.grouping import CHEAT, Row, value_of
from spade_eval.reports.measured.panels import MODELS, Panel
from spade_eval.reports.statistics.bootstrap import (
    Floats,
    draw_counts,
    drawn_images,
    interval,
    resampled,
)
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.statistics.stored_distances import Corrected, is_frechet

_COPIES = 0.20  # of images, four times what photos have by the definition of the limit
_GAP = 0.5  # of precision over recall: real-looking, and few
_FALL = 0.02  # of mIoU under another segmenter, beyond that of the real photos
_LOSSY = ("JPEG", "WEBP", "MPO", "GIF")


@dataclass(frozen=True)
class Reading:
    """What a column shows of a row."""

    value: float | None = None
    text: str = ""  # in the place of a number
    rings: bool = False


@dataclass(frozen=True)
class Evidence:
    """A panel with what its rules look at."""

    panel: Panel
    run_folder: Path
    known: Sequence[Uncertainty]  # of each group
    falls: Mapping[str, tuple[float, float]]  # of mIoU beyond that of photos: value, low end

    @property
    def models(self) -> list[tuple[Row, ...]]:
        """Rows of models, under each segmenter."""
        return [row for row in self.panel.rows if row[0].kind in MODELS]

    def distance(self, rows: Sequence[Row], place: int = 0) -> Corrected | None:
        """Return the corrected FD or FID of a row in the tables of one segmenter."""
        row = rows[place]
        metric = next((name for name in row.scores if is_frechet(name)), "")
        return self.known[place].corrected.get((row.title, metric))

    def is_behind_in_distance(self, rows: Sequence[Row], place: int = 0) -> bool:
        """Tell whether a model that is behind in mIoU is ahead in distance, intervals apart."""
        own = self.distance(rows, place)
        if own is None or math.isnan(own.value):
            return False
        others = [
            self.distance(model, place)
            for model in self.models
            if value_of(model[place].scores.get("miou")) < value_of(rows[place].scores.get("miou"))
        ]
        return any(other is not None and other.high < own.low for other in others)


@dataclass(frozen=True)
class Rule:
    """A column, and when it rings."""

    name: str
    unit: str
    says: str  # the rule in words
    read: Callable[[Evidence, Sequence[Row]], Reading]


@dataclass(frozen=True)
class Alarms:
    """Readings of every row by column, and which columns tell each cheat."""

    readings: Mapping[str, Mapping[str, Reading]]  # by row, by rule
    told: Mapping[str, tuple[str, ...]]  # columns, by cheat
    rung: Mapping[str, tuple[str, ...]]  # columns that ring for models as well, by cheat
    # Segmenters in whose own features the distance does not ring, of cheats that it tells.
    blind: Mapping[str, tuple[str, ...]]


def alarms_of(panel: Panel, run_folder: Path, known: Sequence[Uncertainty]) -> Alarms:
    """Read all columns of RULES for all rows of a panel."""
    evidence = Evidence(panel, run_folder, known, _falls(panel, run_folder))
    readings = {
        row[0].title: {rule.name: rule.read(evidence, row) for rule in RULES} for row in panel.rows
    }
    models = [row[0].title for row in evidence.models]
    told, rung = {}, {}
    for row in panel.rows:
        if row[0].kind == CHEAT:
            own = readings[row[0].title]
            names = [rule.name for rule in RULES if own[rule.name].rings]
            common = {name for name in names if any(readings[m][name].rings for m in models)}
            told[row[0].title] = tuple(name for name in names if name not in common)
            rung[row[0].title] = tuple(name for name in names if name in common)
    return Alarms(readings, told, rung, _blind(evidence, told))


def _blind(evidence: Evidence, told: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    panel = evidence.panel
    return {
        row[0].title: tuple(
            panel.segmenters[place]
            for place in range(1, len(row))
            if evidence.distance(row, place) is not None
            and not evidence.is_behind_in_distance(row, place)
        )
        for row in panel.rows
        if DISTANCE in told.get(row[0].title, ())
    }


def _copies(metric: str) -> Callable[[Evidence, Sequence[Row]], Reading]:
    def read(evidence: Evidence, rows: Sequence[Row]) -> Reading:
        row = rows[0]
        if metric not in row.scores or row.scores[metric].value is None:
            return Reading()
        value = value_of(row.scores[metric])
        return Reading(value, rings=value > _COPIES)

    return read


def _other_segmenters(evidence: Evidence, rows: Sequence[Row]) -> Reading:
    if rows[0].title not in evidence.falls:
        return Reading()
    fall, low = evidence.falls[rows[0].title]
    return Reading(fall, rings=low > _FALL)


def _few_modes(evidence: Evidence, rows: Sequence[Row]) -> Reading:
    scores = rows[0].scores
    if not {"precision", "recall"} <= scores.keys():
        return Reading()
    gap = value_of(scores["precision"]) - value_of(scores["recall"])
    return Reading(None if math.isnan(gap) else gap, rings=gap > _GAP)


def _distance_disagrees(evidence: Evidence, rows: Sequence[Row]) -> Reading:
    own = evidence.distance(rows)
    if own is None or math.isnan(own.value):
        return Reading()
    return Reading(own.value, rings=evidence.is_behind_in_distance(rows))


def _file_format(evidence: Evidence, rows: Sequence[Row]) -> Reading:
    found = rows[0].measurements[0].file_format
    if found is None:
        return Reading()
    return Reading(text=found, rings=any(kind in found.split(", ") for kind in _LOSSY))


_SAYS_COPIES = f"above {100 * _COPIES:.0f}%, four times what photos have"
DISTANCE = "distance, corrected"
RULES = (
    Rule("memorised", "%", _SAYS_COPIES, _copies("memorised")),
    Rule("leaked", "%", _SAYS_COPIES, _copies("leaked")),
    Rule(
        "fall under other segmenters",
        "%",
        f"mIoU falls by more than {100 * _FALL:.0f} points beyond the fall of the real photos, "
        "with its whole interval, under any other segmenter",
        _other_segmenters,
    ),
    Rule(
        "precision - recall",
        "%",
        f"above {100 * _GAP:.0f} points: real-looking, and few",
        _few_modes,
    ),
    Rule(
        DISTANCE,
        "",
        "a model that is behind in mIoU is ahead in the distance, their intervals apart",
        _distance_disagrees,
    ),
    Rule("file format", "", "a lossy one", _file_format),
)


def _falls(panel: Panel, run_folder: Path) -> dict[str, tuple[float, float]]:
    """Return how far mIoU falls under another segmenter beyond real photos', the largest."""
    real = next((row for row in panel.rows if row[0].kind == "real"), None)
    if real is None or len(panel.groups) < 2:
        return {}
    photos = _drawn(real, run_folder)
    falls = {}
    for row in panel.rows:
        own = _drawn(row, run_folder)
        if own is None or photos is None:
            continue
        found = []
        for place in range(1, len(row)):
            excess = (own[0] - own[place]) - (photos[0] - photos[place])
            recorded = _fall(row, place) - _fall(real, place)
            found.append((recorded, float(interval(excess)[0])))
        falls[row[0].title] = max(found)
    return falls


def _fall(row: Sequence[Row], place: int) -> float:
    return value_of(row[0].scores.get("miou")) - value_of(row[place].scores.get("miou"))


def _drawn(row: Sequence[Row], run_folder: Path) -> list[Floats] | None:
    """(R,) mIoU of the resamples under each segmenter."""
    drawn = []
    for one in row:
        counts = stored_counts(run_folder, one.measurements[0])
        if counts is None:
            return None
        times = draw_counts(drawn_images(len(counts)))
        drawn.append(resampled(counts, times, average_of(one, counts)).miou)
    return drawn
