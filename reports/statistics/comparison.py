# SPDX-License-Identifier: Apache-2.0
"""One method against others on the same images: which differences can be told from chance.

Accuracies and mIoU: paired bootstrap over the images (`bootstrap.py`). Distances: the difference
without bias, and paired influence values (`frechet_influence.py`, `kernel_distances.py`). Where
the 95% interval of a difference holds zero, no difference is shown, whatever the two numbers look
like. An interval is about the images of this split and one training of each method; another seed is
another matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from spade_eval.errors import UserError, lookup
from spade_eval.metrics.counts import StoredCounts
from spade_eval.reports.measured.counts import average_of, stored_counts
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    Row,
    metric_names,
    value_of,
)
from spade_eval.reports.statistics.bootstrap import (
    NUM_RESAMPLES,
    Resampled,
    draw_counts,
    drawn_images,
    interval,
    resampled,
)
from spade_eval.reports.statistics.stored_distances import (
    StoredDistance,
    difference_of,
    stored_distances,
)

Verdict = Literal["better", "worse", "no difference shown", "no interval"]
NUM_IMAGES_SHOWN = 20
BOOTSTRAP = f"paired bootstrap over images, {NUM_RESAMPLES:,} resamples"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Subject minus baseline in one metric, as recorded, with its 95% interval.

    The interval of a distance is about `corrected`, the difference without the bias of both.
    """

    metric: str
    label: str
    unit: str
    larger_is_better: bool
    subject: float
    baseline: float
    difference: float
    corrected: float
    low: float
    high: float
    method: str  # "" where there is no interval
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ClassDifference:
    """The same for the IoU of one class."""

    name: str
    subject: float
    baseline: float
    difference: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ImageDifference:
    """Accuracy of one image under both methods."""

    name: str
    subject: float
    baseline: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The subject against one baseline."""

    subject: str
    baseline: str
    differences: tuple[Difference, ...]
    classes: tuple[ClassDifference, ...]  # largest win first
    images: tuple[ImageDifference, ...]  # won and lost, largest absolute difference first


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One subject against several baselines under one protocol."""

    title: str
    subject: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def compare(
    group: ProtocolGroup,
    subject: str,
    baselines: Sequence[str],
    run_folder: Path,
) -> Comparison:
    """Compare rows of one protocol by title; `UserError` for a name that no row has."""
    by_title = {row.title: row for row in group.rows}
    mine = _Side.open(lookup(by_title, subject, "row"), run_folder)
    others = [_Side.open(lookup(by_title, name, "row"), run_folder) for name in baselines]
    notes = [*_notes(mine, others), *group.notes]
    return Comparison(
        title=f"{subject} against {', '.join(baselines)}: {group.title}",
        subject=subject,
        pairs=tuple(_pair(mine, other) for other in others),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Side:
    """A row with everything that its intervals are made from."""

    row: Row
    counts: StoredCounts | None
    resamples: Resampled | None
    distances: Mapping[str, StoredDistance]

    @classmethod
    def open(cls, row: Row, run_folder: Path) -> "_Side":
        counts = stored_counts(run_folder, row.measurements[0])
        resamples = None
        if counts is not None:
            times = draw_counts(drawn_images(len(counts)))
            resamples = resampled(counts, times, average_of(row, counts))
        return cls(row, counts, resamples, stored_distances(row, run_folder))


def _pair(subject: _Side, baseline: _Side) -> Pair:
    for side in (subject, baseline):
        if side.counts and subject.counts and side.counts.names != subject.counts.names:
            raise UserError(
                f"{subject.row.title} and {baseline.row.title} were scored on other images or in "
                "another order; score both again in one run"
            )
    return Pair(
        subject=subject.row.title,
        baseline=baseline.row.title,
        differences=tuple(
            _difference(name, subject, baseline)
            for name in metric_names([subject.row, baseline.row])
            if name in subject.row.scores and name in baseline.row.scores
        ),
        classes=tuple(_classes(subject, baseline)),
        images=tuple(_images(subject, baseline)),
    )


def _difference(metric: str, subject: _Side, baseline: _Side) -> Difference:
    about = subject.row.scores[metric]
    mine, other = value_of(about), value_of(baseline.row.scores[metric])
    corrected, low, high, method = _interval_of(metric, mine - other, subject, baseline)
    return Difference(
        metric=metric, label=about.label, unit=about.unit,
        larger_is_better=about.larger_is_better, subject=mine, baseline=other,
        difference=mine - other, corrected=corrected, low=low, high=high, method=method,
        verdict=verdict(low, high, about.larger_is_better),
    )  # fmt: skip


def _interval_of(
    metric: str, difference: float, subject: _Side, baseline: _Side
) -> tuple[float, float, float, str]:
    """Return what the interval is about, its ends and how they were found."""
    if subject.resamples is not None and baseline.resamples is not None:
        mine, other = subject.resamples.of(metric), baseline.resamples.of(metric)
        if mine is not None and other is not None:
            low, high = interval(mine - other)
            return difference, float(low), float(high), BOOTSTRAP
    if metric in subject.distances and metric in baseline.distances:
        found = difference_of(subject.distances[metric], baseline.distances[metric])
        return found.value, found.low, found.high, found.method
    return difference, float("nan"), float("nan"), ""


def verdict(low: float, high: float, larger_is_better: bool) -> Verdict:
    """Say what an interval of the difference means for the subject."""
    if np.isnan(low) or np.isnan(high):
        return "no interval"
    if low <= 0 <= high:
        return "no difference shown"
    return "better" if (low > 0) == larger_is_better else "worse"


def _classes(subject: _Side, baseline: _Side) -> list[ClassDifference]:
    mine, other = subject.row.class_iou, baseline.row.class_iou
    names = [name for name in mine if name in other]
    if subject.resamples is not None and baseline.resamples is not None:
        lows, highs = interval(subject.resamples.iou - baseline.resamples.iou)
    else:
        lows = highs = np.full(len(mine), np.nan)
    places = {name: place for place, name in enumerate(mine)}  # in the order of the classes
    differences = []
    for name in names:
        first, second = value_of(mine[name]), value_of(other[name])
        low, high = float(lows[places[name]]), float(highs[places[name]])
        if not np.isnan(first - second):
            differences.append(
                ClassDifference(
                    name=name, subject=first, baseline=second, difference=first - second,
                    low=low, high=high, verdict=verdict(low, high, True),
                )
            )  # fmt: skip
    return sorted(differences, key=lambda item: -item.difference)


def _images(subject: _Side, baseline: _Side) -> list[ImageDifference]:
    if subject.counts is None or baseline.counts is None:
        return []
    mine, other = subject.counts.image_accuracy(), baseline.counts.image_accuracy()
    differences = np.nan_to_num(mine - other)
    order = np.argsort(-np.abs(differences), kind="stable").tolist()
    won = [place for place in order if differences[place] > 0]
    lost = [place for place in order if differences[place] <= 0]
    # Half of each where there are so many: the largest wins alone would hide every loss.
    num_lost = max(NUM_IMAGES_SHOWN // 2, NUM_IMAGES_SHOWN - len(won))
    num_won = NUM_IMAGES_SHOWN - min(len(lost), num_lost)
    shown = {*won[:num_won], *lost[:num_lost]}
    return [
        ImageDifference(
            name=subject.counts.names[place],
            subject=float(mine[place]),
            baseline=float(other[place]),
            difference=float(differences[place]),
        )
        for place in order
        if place in shown
    ]


def _notes(subject: _Side, baselines: Sequence[_Side]) -> list[str]:
    notes = [
        "Intervals are of 95% and about the images of this split: one training of each method."
    ]
    num_classes = len(subject.row.class_iou)
    if subject.resamples is not None and num_classes:
        by_chance = max(1, round(0.05 * num_classes))
        notes.append(
            f"Of {num_classes} classes about {by_chance} would be won or lost by chance alone."
        )
    missing = [side.row.title for side in (subject, *baselines) if side.counts is None]
    if missing:
        notes.append(
            f"No intervals of mIoU and accuracy for {', '.join(missing)}: no per-image counts are "
            "stored; score the rows again in a new --out folder."
        )
    return notes
