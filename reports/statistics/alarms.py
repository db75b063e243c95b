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
from spade_eval.reports.measured.grouping import Row, value_of
from spade_eval.reports.measured.panels import CHEAT, MODELS, Panel
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
_FALL = 0.10  # of mIoU under another segmenter, beyond that of the real photos
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

    def distance(self, row: Row) -> Corrected | None:
        """Return the corrected FD or FID of a row under the first segmenter."""
        metric = next((name for name in row.scores if is_frechet(name)), "")
        return self.known[0].corrected.get((row.title, metric))


@dataclass(frozen=True)
class Rule:
    """A column, and when it rings."""

    name: str
    unit: str
    says: str  # the rule in words
    read: Callable[[Evidence, Row], Reading]


@dataclass(frozen=True)
class Alarms:
    """Readings of every row by column, and which columns tell each cheat."""

    readings: Mapping[str, Mapping[str, Reading]]  # by row, by rule
    told: Mapping[str, tuple[str, ...]]  # columns, by cheat
    rung: Mapping[str, tuple[str, ...]]  # columns that ring for models as well, by cheat


def alarms_of(panel: Panel, run_folder: Path, known: Sequence[Uncertainty]) -> Alarms:
    """Read all columns of RULES for all rows of a panel."""
    evidence = Evidence(panel, run_folder, known, _falls(panel, run_folder))
    readings = {
        row[0].title: {rule.name: rule.read(evidence, row[0]) for rule in RULES}
        for row in panel.rows
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
    return Alarms(readings, told, rung)


def _copies(metric: str) -> Callable[[Evidence, Row], Reading]:
    def read(evidence: Evidence, row: Row) -> Reading:
        if metric not in row.scores or row.scores[metric].value is None:
            return Reading()
        value = value_of(row.scores[metric])
        return Reading(value, rings=value > _COPIES)

    return read


def _other_segmenters(evidence: Evidence, row: Row) -> Reading:
    if row.title not in evidence.falls:
        return Reading()
    fall, low = evidence.falls[row.title]
    return Reading(fall, rings=low > _FALL)


def _few_modes(evidence: Evidence, row: Row) -> Reading:
    if not {"precision", "recall"} <= row.scores.keys():
        return Reading()
    gap = value_of(row.scores["precision"]) - value_of(row.scores["recall"])
    return Reading(None if math.isnan(gap) else gap, rings=gap > _GAP)


def _distance_disagrees(evidence: Evidence, row: Row) -> Reading:
    """Ring where a model that is behind in mIoU is ahead in the distance, intervals apart."""
    own = evidence.distance(row)
    if own is None or math.isnan(own.value):
        return Reading()
    behind = [
        other
        for (model, *_), other in ((of, evidence.distance(of[0])) for of in evidence.models)
        if other is not None
        and value_of(model.scores.get("miou")) < value_of(row.scores.get("miou"))
    ]
    return Reading(own.value, rings=any(other.high < own.low for other in behind))


def _file_format(evidence: Evidence, row: Row) -> Reading:
    found = row.measurements[0].file_format
    if found is None:
        return Reading()
    return Reading(text=found, rings=any(kind in found.split(", ") for kind in _LOSSY))


_SAYS_COPIES = f"above {100 * _COPIES:.0f}%, four times what photos have"
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
        "distance, corrected",
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
