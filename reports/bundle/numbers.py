# SPDX-License-Identifier: Apache-2.0
"""Every number of a run that its counts and features allow, computed again; the others by name.

Counts make mIoU, accuracies and IoU by class; features of a row and of the photos make distances
and what belongs to them. Features of the photos are those of the row `real`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.draws import base_of
from spade_eval.records import Measurement
from spade_eval.reports.bundle.drawn_numbers import (
    Key,
    none_for_nan,
    of_drawn_counts,
    of_drawn_features,
)
from spade_eval.reports.measured.counts import average_of, counts_path, features_path
from spade_eval.reports.measured.grouping import Row, rows_of
from spade_eval.reports.statistics.bootstrap import RESAMPLED_METRICS, resampled
from spade_eval.reports.statistics.stored_distances import is_frechet

# Sums of 64-bit floats in another order than torch's.
_SAME = 1e-9
# Eigenvalues of another LAPACK, relative to a distance above 1.
_SAME_DISTANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Unchecked:
    """Numbers of one metric that nothing stored makes."""

    metric: str
    sources: tuple[str, ...]  # a source as often as it has numbers
    reason: str

    def sentence(self) -> str:
        """Name them."""
        number = len(self.sources)
        rows = ", ".join(dict.fromkeys(self.sources))
        return f"{number} of {self.metric} ({rows}): {self.reason}"


@dataclass(frozen=True, kw_only=True)
class NumbersCheck:
    """What was found in the numbers of one run."""

    faults: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]


def check_numbers(measurements: Sequence[Measurement], folder: Path) -> NumbersCheck:
    """Compute again what the folder of a run allows, of versions that no table shows, too."""
    jobs: dict[str, list[Measurement]] = defaultdict(list)
    for item in measurements:
        jobs[item.job_sha256].append(item)
    photos: dict[str | None, Path] = {
        item.reference_sha256: features_path(folder, item)
        for item in measurements
        if item.source_kind == "real" and item.reference_sha256
    }
    faults = _class_order_faults(jobs.values())
    expected = {*RESAMPLED_METRICS, *(item.metric for item in measurements)}
    unchecked: dict[tuple[str, str], list[str]] = defaultdict(list)
    for items in jobs.values():
        computed: dict[Key, float | None] = {}
        (row,) = rows_of(items)
        for compute in (
            partial(_from_counts, row, folder),
            partial(_from_features, items, folder, photos),
        ):
            try:
                computed |= compute()
            except UserError as error:
                faults.append(str(error))
        faults += _faults(row, items, computed, expected)
        for item in items:
            if (item.metric, item.class_name) not in computed:
                unchecked[item.metric, _reason(item)].append(item.source)
    return NumbersCheck(
        faults=tuple(faults),
        unchecked=tuple(
            Unchecked(metric=metric, sources=tuple(sources), reason=reason)
            for (metric, reason), sources in unchecked.items()
        ),
    )


def _from_counts(row: Row, folder: Path) -> dict[Key, float | None]:
    """Scores and IoU by class of the per-image counts; nothing where none are stored."""
    first = row.measurements[0]
    path = counts_path(folder, first)
    if not path.is_file():
        return {}
    counts = StoredCounts.load(path)
    if len(counts) != first.num_images:
        raise UserError(
            f"{row.title}: counts of {len(counts)} images, recorded are {first.num_images}"
        )
    if len(row.class_iou) != counts.counts.shape[-1]:
        raise UserError(
            f"{row.title}: counts of {counts.counts.shape[-1]} classes, IoU is recorded of "
            f"{len(row.class_iou)}"
        )
    scored = resampled(counts, np.ones((1, len(counts))), average_of(row, counts))
    computed: dict[Key, float | None] = {}
    for metric in RESAMPLED_METRICS:
        values = scored.of(metric)
        assert values is not None
        computed[metric, None] = none_for_nan(values[0])
    for name, value in zip(row.class_iou, scored.iou[0], strict=True):
        computed[row.class_iou[name].metric, name] = none_for_nan(value)
    return computed | of_drawn_counts(row, folder)


def _from_features(
    items: Sequence[Measurement], folder: Path, photos: Mapping[str | None, Path]
) -> dict[Key, float | None]:
    """Numbers of every feature network of a job of which both sides are stored."""
    from spade_eval.metrics.recomputed import RecordedSpace, from_features

    computed: dict[Key, float | None] = {}
    for item in items:
        real, made = photos.get(item.reference_sha256), features_path(folder, item)
        if not is_frechet(item.metric) or item.draws or real is None:
            continue
        if not (real.is_file() and made.is_file()):
            continue
        space = RecordedSpace(item.metric, item.fid_profile)
        numbers = dict(from_features(space, real, made))
        numbers |= of_drawn_features(space, real, item, folder, numbers)
        computed |= {(metric, None): value for metric, value in numbers.items()}
    return computed


def _faults(
    row: Row,
    items: Sequence[Measurement],
    computed: Mapping[Key, float | None],
    expected: Collection[str],
) -> list[str]:
    """Say which numbers are not those computed, are shown in another way, or are not recorded.

    Features make more with a later version: what no row of the run has is not `expected`.
    """
    from spade_eval.metrics.recomputed import presentation

    faults = []
    for item in items:
        name = item.metric if item.class_name is None else f"IoU of {item.class_name}"
        key = (item.metric, item.class_name)
        if key in computed and not _agree(item, computed[key]):
            faults.append(
                f"{row.title}: {name} is recorded as {item.value}, what is stored gives "
                f"{computed[key]}"
            )
        known = presentation(base_of(item.metric), item.fid_profile)
        if known not in (None, (item.unit, item.larger_is_better)):
            faults.append(f"{row.title}: {name} has another unit or direction than the suite gives")
    recorded = {(item.metric, item.class_name) for item in items}
    faults += [f"{row.title}: {metric} is not recorded, though what is stored makes it"
               for metric, _ in computed.keys() - recorded if metric in expected]  # fmt: skip
    return faults


def _agree(item: Measurement, computed: float | None) -> bool:
    if item.value is None or computed is None:
        return item.value is computed
    same = _SAME if item.unit == "%" else _SAME_DISTANCE * max(1.0, abs(computed))
    return abs(item.value - computed) <= same


def _reason(item: Measurement) -> str:
    """Say why a number was not computed again."""
    if item.reference_sha256 is None:
        return "no counts or features of it are stored"
    from spade_eval.metrics.recomputed import is_repeatable

    if not is_repeatable(item.fid_profile):
        return f"FID by {item.fid_profile} is not the same on two machines"
    return "features of the row or of the photos are not stored"


def _class_order_faults(jobs: Iterable[list[Measurement]]) -> list[str]:
    """Rows of one segmenter that name its classes in two orders: IoU was moved between classes."""
    first: dict[str | None, tuple[list[str], str]] = {}
    faults = []
    for items in jobs:
        classes = [item.class_name for item in items if item.class_name is not None]
        order, other = first.setdefault(items[0].segmenter_sha256, (classes, items[0].source))
        if classes and classes != order:
            faults.append(
                f"{items[0].source}: names the classes in another order than {other}: IoU of one "
                "class stands with another's"
            )
    return faults
