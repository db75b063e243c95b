# SPDX-License-Identifier: Apache-2.0
"""Groups of comparable numbers of some runs, with everything that is shown of them."""

from collections.abc import Sequence

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import (
    by_protocol,
    footnotes,
    protocol_details,
    protocol_title,
    rows,
)
from spade_eval.reports.report_data import ProtocolGroup, RunData
from spade_eval.reports.statistics.intervals import row_intervals
from spade_eval.reports.tables.scores import per_class_table, scores_table


def protocol_groups(
    runs: Sequence[RunData], measurements: Sequence[Measurement], *, thorough: bool = False
) -> tuple[ProtocolGroup, ...]:
    """One group a protocol, in order of first appearance."""
    folders = [run.folder for run in runs]
    found = []
    for key, group in by_protocol(measurements).items():
        table_rows = tuple(rows(group))
        found.append(
            ProtocolGroup(
                key=key,
                title=protocol_title(group),
                details=protocol_details(group),
                scores=scores_table(group),
                classes=per_class_table(group),
                rows=table_rows,
                notes=tuple(footnotes(group)),
                intervals=row_intervals(table_rows, folders, thorough=thorough),
            )
        )
    return tuple(found)
