# SPDX-License-Identifier: Apache-2.0
"""Several runs of one source, distinguished by their seed: mean and spread.

A *row* here is one source trained in one way. Its versions are one per seed, the latest of each;
sources that have the same name but were trained otherwise, or that nobody knows to be the same,
are rows of their own. References (real photos, oracle, floors) have no seed: one version stands.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spade_eval.records import Measurement
from spade_eval.reports.measured.failures import warnings_of, without_verdict
from spade_eval.reports.measured.grouping import (
    REFERENCE_KINDS,
    ProtocolGroup,
    Row,
    metric_names,
    rows_of,
    shared_notes,
    training_notes,
    value_of,
)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Mean of one number over seeds, and its sample standard deviation (NaN for one seed)."""

    mean: float
    spread: float
    count: int


@dataclass(frozen=True, kw_only=True)
class SeededRow:
    """One source under one protocol, with a version per seed."""

    title: str
    versions: tuple[Row, ...]

    @property
    def first(self) -> Measurement:
        """A measurement that says what all versions share."""
        return self.versions[0].measurements[0]

    @property
    def competes(self) -> bool:
        """Whether it may be marked; see `Row.competes`."""
        return self.versions[0].competes

    @property
    def kind(self) -> str:
        return self.versions[0].kind

    @property
    def source(self) -> str:
        return self.versions[0].source

    def summary(self, metric: str) -> Summary:
        """Compute mean and spread of a metric; versions without a value are left out."""
        return summary(value_of(version.scores.get(metric)) for version in self.versions)


def summary(values: Iterable[float]) -> Summary:
    """Compute mean and sample standard deviation (N - 1) of the values that are numbers."""
    known = [value for value in values if not math.isnan(value)]
    return Summary(
        mean=statistics.fmean(known) if known else float("nan"),
        spread=statistics.stdev(known) if len(known) > 1 else float("nan"),
        count=len(known),
    )


def seeded_rows(group: ProtocolGroup) -> list[SeededRow]:
    """Return one protocol's rows over all seeds: references first, then in order of appearance."""
    trained: dict[Hashable, list[Measurement]] = defaultdict(list)
    for item in group.measurements:
        trained[_way(item)].append(item)
    versions_of_rows = [_versions(items) for items in trained.values()]
    titles = _titles([versions[0] for versions in versions_of_rows])
    seeded = [
        SeededRow(title=title, versions=tuple(versions))
        for title, versions in zip(titles, versions_of_rows, strict=True)
    ]
    order = {kind: place for place, kind in enumerate(REFERENCE_KINDS)}
    return sorted(seeded, key=lambda row: order.get(row.kind, len(order)))


def seeded_notes(seeded: Sequence[SeededRow]) -> list[str]:
    """Return footnotes of rows over all seeds, none once a seed."""
    versions = [version for row in seeded for version in row.versions]
    notes = shared_notes(versions, [row.title for row in seeded for _ in row.versions])
    for row in seeded:
        older = sum(version.num_superseded for version in row.versions)
        if older:
            notes.append(
                f"{row.title}: {older} older versions are recorded; shown is, of every seed, the "
                "one scored last."
            )
    once = [row.versions[0] for row in seeded if len(row.versions) == 1]
    return [*notes, *training_notes(version for version in once if version.is_trained)]


def spread_notes(seeded: Sequence[SeededRow]) -> list[str]:
    """Say what ± is, where some row has it: one training has no spread."""
    if all(len(row.versions) == 1 for row in seeded):
        return []
    return [
        "± is the sample standard deviation over seeds: of one training to the next, not of the "
        "mean."
    ]


def warnings_of_seeds(seeded: Sequence[SeededRow]) -> list[str]:
    """Return what makes the table of these rows doubtful; see `warnings_of`."""
    found = (warning for rows in _tables(seeded) for warning in warnings_of(rows))
    return list(dict.fromkeys(found))


def withheld_of_seeds(seeded: Sequence[SeededRow]) -> frozenset[str]:
    """Return the metrics that rank no row; see `without_verdict`."""
    return frozenset().union(*(without_verdict(rows) for rows in _tables(seeded)))


def _tables(seeded: Sequence[SeededRow]) -> list[list[Row]]:
    """Make a table of every seed; a row of fewer stands in them with its last."""
    most = max((len(row.versions) for row in seeded), default=0)
    return [
        [row.versions[min(place, len(row.versions) - 1)] for row in seeded] for place in range(most)
    ]


def metrics_of(seeded: Sequence[SeededRow]) -> dict[str, dict[str, Any]]:
    """Label, unit and direction of the metrics of any version, in the order of columns."""
    versions = [version for row in seeded for version in row.versions]
    about = {}
    for name in metric_names(versions):
        item = next(version.scores[name] for version in versions if name in version.scores)
        about[name] = {
            "label": item.label,
            "unit": item.unit,
            "larger_is_better": item.larger_is_better,
        }
    return about


def _way(item: Measurement) -> Hashable:
    """Return what must agree for two measurements to be seeds of one row."""
    if item.source_kind in REFERENCE_KINDS:
        return item.source_kind, item.source
    if item.train_way_sha256 is not None:
        return item.source_kind, item.source, item.train_way_sha256, item.checkpoint_rule
    known_training = item.train_steps is not None
    return (
        item.source_kind,
        item.source,
        item.parameters,
        item.train_steps,
        item.train_batch_size,
        item.checkpoint_rule,
        None if known_training else item.source_sha256,
    )


def _versions(measurements: list[Measurement]) -> list[Row]:
    """One row a seed, in order of the seeds; a reference has one."""
    if measurements[0].source_kind in REFERENCE_KINDS:
        return rows_of(measurements)[:1]
    seeds = sorted({item.seed for item in measurements}, key=lambda seed: (seed is None, seed or 0))
    return [
        row for seed in seeds for row in rows_of(item for item in measurements if item.seed == seed)
    ]


def _titles(firsts: list[Row]) -> list[str]:
    """Names of rows; where two share one, each says how it differs."""
    titles = []
    for row in firsts:
        others = [other for other in firsts if other.source == row.source and other is not row]
        titles.append(_told_apart(row, others) if others else row.source)
    return [
        f"{title} #{titles[:place].count(title) + 1}" if titles.count(title) > 1 else title
        for place, title in enumerate(titles)
    ]


def _told_apart(row: Row, others: Sequence[Row]) -> str:
    """Name what is known of a row, and those settings in which the others differ from it."""
    first = row.measurements[0]
    facts = [row.kind]
    facts += [f"{first.train_steps} steps"] if first.train_steps is not None else []
    facts += [f"perceptual loss: {first.train_perceptual}"] if first.train_perceptual else []
    if first.train_steps is None and first.source_sha256:
        facts.append(first.source_sha256[:8])
    mine = _settings(first)
    for other in others:
        theirs = _settings(other.measurements[0])
        facts += [
            f"{name}: {value}"
            for name, value in mine.items()
            if name in theirs and value != theirs[name]
        ]
    return f"{row.source} ({', '.join(dict.fromkeys(facts))})"


def _settings(item: Measurement) -> dict[str, Any]:
    """Return the settings of a training by dotted name."""
    flat: dict[str, Any] = {}
    waiting = [("", item.train_settings or {})]
    while waiting:
        prefix, settings = waiting.pop()
        for name, value in settings.items():
            if isinstance(value, Mapping):
                waiting.append((f"{prefix}{name}.", value))
            else:
                flat[prefix + name] = value
    return dict(sorted(flat.items()))
