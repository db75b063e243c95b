# SPDX-License-Identifier: Apache-2.0
"""One method against others on the same images: which differences can be told from chance.

Accuracies and mIoU: paired bootstrap over the images (`bootstrap.py`). Distances: the difference
without bias, and paired influence values (`frechet_influence.py`, `kernel_distances.py`). Where
the 95% interval of a difference holds zero, no difference is shown, whatever the two numbers look
like. An interval is about the images of this split and one training of each method; another seed is
another matter. Several baselines are held together by Holm, classes by Benjamini and Hochberg.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from spade_eval.errors import UserError, lookup
from spade_eval.metrics.count_influence import Floats, iou_influence
from spade_eval.metrics.counts import StoredCounts, iou_of
from spade_eval.metrics.stopping import sequence_margin
from spade_eval.reports.measured.failures import warnings_of, without_verdict
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    metric_names,
    value_of,
)
from spade_eval.reports.statistics.bootstrap import NUM_RESAMPLES, interval
from spade_eval.reports.statistics.comparison_notes import comparison_notes
from spade_eval.reports.statistics.differences import (
    ClassDifference,
    Comparison,
    Difference,
    ImageDifference,
    Pair,
    verdict,
)
from spade_eval.reports.statistics.multiplicity import (
    benjamini_hochberg,
    holm,
)
from spade_eval.reports.statistics.power import images_needed, smallest_difference
from spade_eval.reports.statistics.sides import Side, Tested, are_alike, p_value_of, tested
from spade_eval.reports.statistics.stored_distances import difference_of

NUM_IMAGES_SHOWN = 20
SEQUENCE = "confidence sequence over the common images"
BOOTSTRAP = f"paired bootstrap over images, {NUM_RESAMPLES:,} resamples"


def compare(
    group: ProtocolGroup,
    subject: str,
    baselines: Sequence[str],
    run_folder: Path,
) -> Comparison:
    """Compare rows of one protocol by title; `UserError` for a name that no row has."""
    by_title = {row.title: row for row in group.rows}
    mine = Side.open(lookup(by_title, subject, "row"), run_folder)
    others = [Side.open(lookup(by_title, name, "row"), run_folder) for name in baselines]
    for other in others:
        _require_same_images(mine, other)
    found = [_tests(mine, other) for other in others]
    adjusted = _adjusted(found)
    pairs = [
        _pair(mine, other, tests, p_values)
        for other, tests, p_values in zip(others, found, adjusted, strict=True)
    ]
    return Comparison(
        title=f"{subject} against {', '.join(baselines)}: {group.title}",
        subject=subject,
        pairs=tuple(_without(without_verdict(group.rows), pair) for pair in pairs),
        notes=(*warnings_of(group.rows), *comparison_notes(mine, others, pairs), *group.notes),
    )


def _without(withheld: frozenset[str], pair: Pair) -> Pair:
    """Take back the verdicts by metrics that rank no row."""
    differences = [
        replace(item, verdict="withheld") if item.metric in withheld else item
        for item in pair.differences
    ]
    classes = [
        replace(item, verdict="withheld") if "iou" in withheld else item for item in pair.classes
    ]
    return replace(pair, differences=tuple(differences), classes=tuple(classes))


def _tests(subject: Side, baseline: Side) -> dict[str, Tested]:
    """Compare two rows in every metric that both have."""
    return {
        name: tested(name, subject, baseline)
        for name in metric_names([subject.row, baseline.row])
        if name in subject.row.scores and name in baseline.row.scores
    }


def _adjusted(found: Sequence[Mapping[str, Tested]]) -> list[dict[str, float]]:
    """Adjust the p-values of each metric over the baselines (Holm)."""
    adjusted: list[dict[str, float]] = [{} for _ in found]
    for metric in dict.fromkeys(name for tests in found for name in tests):
        places = [place for place, tests in enumerate(found) if metric in tests]
        p_values = holm([found[place][metric].p_value for place in places])
        for place, p_value in zip(places, p_values, strict=True):
            adjusted[place][metric] = float(p_value)
    return adjusted


def _require_same_images(subject: Side, baseline: Side) -> None:
    """Refuse rows without common images: of those that a rule ended, the first are common."""
    if subject.counts is None or baseline.counts is None:
        return
    mine, other = subject.counts.names, baseline.counts.names
    count = max(len(mine), len(other)) if subject.row.until is None else min(len(mine), len(other))
    if mine[:count] != other[:count]:
        raise UserError(
            f"{subject.row.title} and {baseline.row.title} were scored on other images or in "
            "another order; score both again in one run"
        )


def _pair(
    subject: Side, baseline: Side, tests: Mapping[str, Tested], p_values: Mapping[str, float]
) -> Pair:
    differences = [
        _difference(name, subject, baseline, test, p_values[name]) for name, test in tests.items()
    ]
    if subject.counts is not None and baseline.counts is not None:
        common = min(len(subject.counts), len(baseline.counts))
        subject, baseline = subject.first(common), baseline.first(common)
    return Pair(
        subject=subject.row.title,
        baseline=baseline.row.title,
        differences=tuple(differences),
        classes=tuple(_classes(subject, baseline)),
        images=tuple(_images(subject, baseline)),
    )


def _difference(
    metric: str, subject: Side, baseline: Side, test: Tested, p_value: float
) -> Difference:
    about = subject.row.scores[metric]
    mine, other = value_of(about), value_of(baseline.row.scores[metric])
    corrected, low, high, method = interval_of(metric, mine - other, subject, baseline, test)
    said = verdict(low, high, about.larger_is_better, p_value)
    needed = images_needed(corrected, test.standard_error, test.num_images)
    return Difference(
        metric=metric, label=about.label, unit=about.unit,
        larger_is_better=about.larger_is_better, subject=mine, baseline=other,
        difference=mine - other, corrected=corrected, low=low, high=high, method=method,
        standard_error=test.standard_error, num_images=test.num_images,
        smallest=smallest_difference(test.standard_error), p_value=p_value,
        needed=needed if said == "no difference shown" else math.nan, verdict=said,
    )  # fmt: skip


def interval_of(
    metric: str, difference: float, subject: Side, baseline: Side, test: Tested
) -> tuple[float, float, float, str]:
    """Return what the interval is about, its ends and how they were found."""
    if subject.row.until is not None:
        half = sequence_margin(max(test.num_images, 1)) * math.sqrt(test.num_images)
        half *= test.standard_error
        method = "" if math.isnan(half) else SEQUENCE
        return test.value, test.value - half, test.value + half, method
    if not are_alike(subject.row.scores[metric], baseline.row.scores[metric]):
        return difference, float("nan"), float("nan"), ""
    mine, other = subject.resampled(metric), baseline.resampled(metric)
    if mine is not None and other is not None:
        low, high = interval(mine - other)
        return difference, float(low), float(high), BOOTSTRAP
    if metric in subject.distances and metric in baseline.distances:
        found = difference_of(subject.distances[metric], baseline.distances[metric])
        return found.value, found.low, found.high, found.method
    return difference, float("nan"), float("nan"), ""


def _classes(subject: Side, baseline: Side) -> list[ClassDifference]:
    mine, other = subject.row.class_iou, baseline.row.class_iou
    names = [name for name in mine if name in other]
    lows = highs = p_values = np.full(len(mine), np.nan)
    # Intervals of a class hold at one N alone, that of a stopped row was not chosen before.
    if subject.resamples is not None and baseline.resamples is not None and not subject.row.until:
        lows, highs = interval(subject.resamples.iou - baseline.resamples.iou)
        p_values = benjamini_hochberg(_class_p_values(subject, baseline))
    places = {name: place for place, name in enumerate(mine)}  # in the order of the classes
    differences = []
    for name in names:
        first, second = value_of(mine[name]), value_of(other[name])
        low, high = float(lows[places[name]]), float(highs[places[name]])
        p_value = float(p_values[places[name]])
        if not np.isnan(first - second):
            differences.append(
                ClassDifference(
                    name=name, subject=first, baseline=second, difference=first - second,
                    low=low, high=high, p_value=p_value,
                    verdict=verdict(low, high, True, p_value),
                )
            )  # fmt: skip
    return sorted(differences, key=lambda item: -item.difference)


def _class_p_values(subject: Side, baseline: Side) -> list[float]:
    """Return the p-value of the IoU of every class, by influence values; NaN for an absent one."""
    assert subject.counts is not None
    assert baseline.counts is not None
    influence = iou_influence(subject.counts) - iou_influence(baseline.counts)
    errors = influence.std(axis=0, ddof=1) / math.sqrt(len(influence))
    differences = _iou(subject.counts) - _iou(baseline.counts)
    return [p_value_of(*both) for both in zip(differences, errors, strict=True)]


def _iou(counts: StoredCounts) -> Floats:
    return iou_of(counts.counts.sum(axis=0, dtype=np.float64), "target")[0]


def _images(subject: Side, baseline: Side) -> list[ImageDifference]:
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
