# SPDX-License-Identifier: Apache-2.0
"""What the page is made from: tables by sections, runs, plots."""

from dataclasses import dataclass

from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.page import Plot
from spade_eval.reports.tables.table import Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page with an anchor; tables of one protocol, or of one comparison."""

    anchor: str
    nav: str  # the short name in the bar
    title: str
    lead: str = ""
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything of one report."""

    title: str
    runs: tuple[RunData, ...]
    sections: tuple[Section, ...] = ()
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()
