# SPDX-License-Identifier: Apache-2.0
"""What damaged label maps cost: the same rows on clean and on damaged maps, paired by label map.

Both are scored against the clean maps and the same photos: differences are the generator's doing.
Sparse maps are scored on other pixels and are no partners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.reports.measured.grouping import ProtocolGroup, ProtocolKey, Row, metric_names
from spade_eval.reports.statistics.comparison import interval_of
from spade_eval.reports.statistics.intervals import home_of
from spade_eval.reports.statistics.sides import Side, tested
from spade_eval.reports.statistics.stored_distances import is_frechet

DAMAGE = " with damage "  # in names of profiles, before the setting
_OF_COUNTS = ("miou", "acc_valid")
# Of one file, which is the same on clean and on damaged maps.
_OF_FILES = ("generator", "checkpoint", "shipped")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One metric of one row on damaged maps, and on clean ones; the interval is of 95%."""

    source: str
    kind: str
    damage: str
    metric: str
    label: str
    unit: str
    larger_is_better: bool
    clean: float
    damaged: float
    difference: float  # damaged minus clean; of distances, without the bias of both
    low: float
    high: float


def losses_of(groups: Sequence[ProtocolGroup], run_folders: Sequence[Path]) -> list[Loss]:
    """Compare every row that stands under a protocol and under the same with damaged maps."""
    found = []
    for damaged in groups:
        _, is_damaged, damage = damaged.key.profile.partition(DAMAGE)
        for clean in groups if is_damaged else ():
            if _without_damage(damaged.key) == _without_damage(clean.key, is_clean=True):
                for row, other in _partners(damaged.rows, clean.rows):
                    found += _losses(row, other, damage, run_folders)
    return found


def _without_damage(key: ProtocolKey, *, is_clean: bool = False) -> ProtocolKey:
    """Return what must agree; a clean protocol keeps its name, so that two damages never meet."""
    profile = key.profile if is_clean else key.profile.partition(DAMAGE)[0]
    return key._replace(profile=profile, protocol_sha256="")


def _partners(damaged: Sequence[Row], clean: Sequence[Row]) -> list[tuple[Row, Row]]:
    known = {(row.source, row.kind): row for row in clean}
    pairs = [
        (row, known[row.source, row.kind])
        for row in damaged
        if (row.source, row.kind) in known and row.competes
    ]
    return [both for both in pairs if both[0].kind not in _OF_FILES or _is_same_file(*both)]


def _is_same_file(one: Row, other: Row) -> bool:
    return one.measurements[0].source_sha256 == other.measurements[0].source_sha256


def _losses(row: Row, other: Row, damage: str, run_folders: Sequence[Path]) -> list[Loss]:
    homes = [home_of(one, run_folders) for one in (row, other)]
    if homes[0] is None or homes[1] is None:
        return []
    mine, clean = Side.open(row, homes[0]), Side.open(other, homes[1])
    return [
        _loss(name, mine, clean, damage)
        for name in metric_names([row])
        if (name in _OF_COUNTS or is_frechet(name)) and name in other.scores
        if row.scores[name].value is not None and other.scores[name].value is not None
        if row.scores[name].draws is None
    ]


def _loss(metric: str, damaged: Side, clean: Side, damage: str) -> Loss:
    item = damaged.row.scores[metric]
    values = [item.value, clean.row.scores[metric].value]
    given, before = (float(value) for value in values if value is not None)
    test = tested(metric, damaged, clean)
    difference, low, high, _ = interval_of(metric, given - before, damaged, clean, test)
    return Loss(
        source=damaged.row.title, kind=damaged.row.kind, damage=damage, metric=metric,
        label=item.label, unit=item.unit, larger_is_better=item.larger_is_better, clean=before,
        damaged=given, difference=difference, low=low, high=high,
    )  # fmt: skip
