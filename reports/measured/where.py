# SPDX-License-Identifier: Apache-2.0
"""Which rows a report shows: conditions on their facts, as `text_input=none` or `guidance<=2`.

Bounds always stay, since rows mean little without the real photos beside them.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spade_eval.errors import UserError, lookup
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import REFERENCE_KINDS, ProtocolGroup, by_protocol
from spade_eval.reports.measured.row_facts import (
    FACTS,
    NOT_STATED,
    REAL_MIOU,
    real_miou,
)
from spade_eval.reports.measured.run_data import RunData

FIELDS = (*FACTS, "source", "source_kind", "style_input", "dataset", "profile", "seed", REAL_MIOU)
_FORM = re.compile(r"(\w+)(<=|>=|!=|=|<|>)(.+)")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A field, how it is compared, and with what."""

    field: str
    order: str
    wanted: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read `FIELD=VALUE`, or with !=, <, >, <= or >=; `UserError` for others."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise UserError(
                f"--where {text!r:.200}: expected FIELD=VALUE, or with !=, <, >, <= or >=, as "
                f"text_input=none; fields are {', '.join(FIELDS)}"
            )
        field, order, wanted = found.groups()
        lookup(dict.fromkeys(FIELDS), field, "field of --where")
        condition = cls(field, order, wanted.strip())
        if order in _ORDERS:
            condition._number()
        return condition

    def holds(self, item: Measurement, photos: float | None) -> bool:
        """Return whether a row is meant; `photos` is the mIoU of the real ones beside it."""
        value = photos if self.field == REAL_MIOU else getattr(item, self.field)
        if self.order in _ORDERS:
            known = isinstance(value, int | float)
            return known and _ORDERS[self.order](value, self._number())
        return self._is_wanted(value) == (self.order == "=")

    def _is_wanted(self, value: Any) -> bool:
        if value is None:
            return self.wanted == NOT_STATED
        if isinstance(value, int | float):
            try:
                return float(self.wanted) == value
            except ValueError:
                return False
        return bool(value == self.wanted)

    def _number(self) -> float:
        try:
            return float(self.wanted)
        except ValueError as error:
            raise UserError(
                f"--where {self.field}{self.order}{self.wanted}: expected a number behind "
                f"{self.order}"
            ) from error


def rows_where(
    runs: Sequence[RunData], conditions: Sequence[Condition]
) -> tuple[list[RunData], str]:
    """Return runs with the rows that meet all conditions, and a sentence that says so.

    `UserError` where no row is left.
    """
    groups = by_protocol(item for run in runs for item in run.measurements)
    kept = {id(item) for group in groups for item in _kept(group, conditions)}
    left = [
        replace(run, measurements=tuple(item for item in run.measurements if id(item) in kept))
        for run in runs
    ]
    shown, of = _num_rows(left), _num_rows(runs)
    words = " and ".join(f"{item.field}{item.order}{item.wanted}" for item in conditions)
    if not shown:
        raise UserError(f"--where {words}: none of {of} rows is meant; expected one at least")
    return left, f"Shown are rows where {words}: {shown} of {of}, besides the bounds."


def _kept(group: ProtocolGroup, conditions: Sequence[Condition]) -> list[Measurement]:
    photos = real_miou(group.rows)
    return [
        item
        for item in group.measurements
        if item.source_kind in REFERENCE_KINDS
        or all(condition.holds(item, photos) for condition in conditions)
    ]


def _num_rows(runs: Sequence[RunData]) -> int:
    rows = {
        (item.job_sha256, item.source)
        for run in runs
        for item in run.measurements
        if item.source_kind not in REFERENCE_KINDS
    }
    return len(rows)
