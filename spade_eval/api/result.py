# SPDX-License-Identifier: Apache-2.0
"""The scores of one row, with what they are to be read beside."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from spade_eval.api.pages import as_fragment, write_page_at
from spade_eval.errors import UserError, lookup
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.measured.grouping import ProtocolGroup, Row, by_protocol
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.run_report import group_sections, report_text
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.intervals import Uncertainty, row_uncertainty
from spade_eval.reports.tables.score_layout import scores

_COLUMNS = ("metric", "class", "value", "low", "high", "unit", "larger_is_better")


@dataclass(frozen=True)
class Result:
    """What was recorded of one row; later rows of the same run folder do not change it."""

    name: str
    run_folder: Path
    run: RunData
    group: ProtocolGroup  # all rows under its protocol
    row: Row

    @classmethod
    def of(cls, run_folder: Path, name: str, job_sha256: str) -> "Result":
        """Read the row that a job of a run recorded; other versions of it are left out."""
        run = open_run(run_folder)
        shown = [
            item
            for item in run.measurements
            if item.source != name or item.job_sha256 == job_sha256
        ]
        for group in by_protocol(shown):
            for row in group.rows:
                if row.source == name:
                    return cls(name, run_folder, run, group, row)
        raise UserError(f"{run_folder}: no row {name!r} is recorded; evaluate it again")

    def __getitem__(self, metric: str) -> float | None:
        """Return a number of the whole split as recorded, fractions in [0, 1]."""
        return lookup(self.row.scores, metric, f"metric of {self.name}").value

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95% interval over the images; of a distance, of its corrected value."""
        lookup(self.row.scores, metric, f"metric of {self.name}")
        return self._uncertainty.intervals.get((self.row.title, metric))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names that `result[...]` knows."""
        return tuple(self.row.scores)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that these numbers must never be shown without."""
        return self.group.notes

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A line for each number: metric, class or None, value, interval, unit, direction."""
        lines = []
        for item in self.row.measurements:
            low, high = (None, None)
            if item.class_name is None:
                low, high = self.interval(item.metric) or (None, None)
            lines.append(
                (item.metric, item.class_name, item.value, low, high, item.unit,
                 item.larger_is_better)
            )  # fmt: skip
        return pd.DataFrame(lines, columns=list(_COLUMNS))

    def report(self, path: str | Path) -> Path:
        """Write a web page: one file where the path ends in .html, else a folder with images."""
        sections = group_sections([self.group], {self.group.key: self._of_all})
        page = ReportData(title=self.group.title, runs=(self.run,), sections=sections)
        return write_page_at(page, Path(path))

    @cached_property
    def _uncertainty(self) -> Uncertainty:
        return row_uncertainty([self.row], [self.run_folder])

    @cached_property
    def _of_all(self) -> Uncertainty:
        return row_uncertainty(self.group.rows, [self.run_folder])

    def __repr__(self) -> str:
        return report_text(self.group, self._of_all)

    def _repr_html_(self) -> str:
        return as_fragment([scores(self.group, self._of_all)], self.group.title, self.notes)
