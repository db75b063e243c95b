# SPDX-License-Identifier: Apache-2.0
"""What every form of a report is made from: runs, groups of comparable numbers, tables, plots."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import ProtocolKey, Row

if TYPE_CHECKING:
    from spade_eval.reports.statistics.comparison import Comparison

Interval = tuple[float, float]


@dataclass(frozen=True)
class RunReport:
    """What was written, and the text that the command line prints."""

    paths: tuple[Path, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class RunData:
    """One run folder: its configuration and its complete measurements."""

    folder: Path
    name: str
    config: Mapping[str, Any] | None
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One figure in three formats, and what it shows."""

    title: str
    caption: str
    png: Path
    pdf: Path
    svg: Path


@dataclass(frozen=True, kw_only=True)
class ProtocolGroup:
    """Numbers that may stand in one column."""

    key: ProtocolKey
    title: str
    details: str
    scores: pd.DataFrame  # `scores_table`
    classes: pd.DataFrame  # `per_class_table`
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    # 95% of (row title, metric), fractions as recorded; only where images were counted.
    intervals: Mapping[tuple[str, str], Interval]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything of one report."""

    title: str
    runs: tuple[RunData, ...]
    groups: tuple[ProtocolGroup, ...]
    paper_tables: tuple[pd.DataFrame, ...]
    comparison: "Comparison | None"
    plots: tuple[Plot, ...]
    notes: tuple[str, ...]
