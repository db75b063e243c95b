# SPDX-License-Identifier: Apache-2.0
"""What the page is made from: runs, groups of comparable numbers, tables, plots."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from spade_eval.paper_tables import PaperTable
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.page import Plot

if TYPE_CHECKING:
    from spade_eval.reports.statistics.comparison import Comparison
    from spade_eval.reports.statistics.intervals import Intervals


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything of one report."""

    title: str
    runs: tuple[RunData, ...]
    groups: tuple[ProtocolGroup, ...] = ()
    intervals: "Intervals" = field(default_factory=dict)  # 95%, where images were counted
    paper_tables: tuple[tuple[PaperTable, pd.DataFrame], ...] = ()
    comparison: "Comparison | None" = None
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()
