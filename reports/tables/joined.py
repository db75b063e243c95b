# SPDX-License-Identifier: Apache-2.0
"""What several segmenters say of one run together: the segmenter question, and the red team."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.reports.measured.grouping import CHEAT
from spade_eval.reports.measured.panels import alone, panels_of
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.statistics.alarms import alarms_of
from spade_eval.reports.statistics.intervals import Uncertainties
from spade_eval.reports.statistics.segmenter_question import segmenter_answer
from spade_eval.reports.tables.filled_page import fill_page, has_block
from spade_eval.reports.tables.formats import as_markdown, as_text
from spade_eval.reports.tables.red_team import red_team_table
from spade_eval.reports.tables.segmenters import segmenter_tables, too_few
from spade_eval.reports.tables.table import Table
from spade_eval.reports.tables.writing import write_forms


@dataclass(frozen=True)
class Joined:
    """Tables that no single protocol has, by the name of their block and of their files."""

    tables: Mapping[str, Sequence[Table]]
    titles: Mapping[str, str]
    leads: Mapping[str, str]

    def texts(self) -> list[str]:
        """Return the tables as text, each with its notes."""
        return [
            "\n".join([table.title, "", as_text(table), *(f"Note: {note}" for note in table.notes)])
            for tables in self.tables.values()
            for table in tables
        ]

    def write(self, folder: Path) -> list[Path]:
        """Write every table in every form: `segmenters`, `segmenters-2`, `red-team`."""
        paths = []
        for name, tables in self.tables.items():
            for place, table in enumerate(tables, start=1):
                paths += write_forms(table, folder, name if place == 1 else f"{name}-{place}")
        return paths

    def fill(self, page: Path, lines: Sequence[str]) -> list[Path]:
        """Put the tables, then `lines`, into those blocks of a page that it has."""
        said = "\n".join(f"- {line}" for line in lines)
        named = {name: tables for name, tables in self.tables.items() if has_block(page, name)}
        for name, tables in named.items():
            fill_page(page, name, "\n".join([*map(as_markdown, tables), said]))
        return [page] if named else []


def joined(run: RunData, known: Uncertainties) -> Joined:
    """Make what a run of several segmenters, or with a red team, has besides its tables."""
    tables: dict[str, list[Table]] = {}
    leads = {"red-team": _RED_TEAM}
    panels = panels_of(run.groups)
    for panel in panels:
        answer = segmenter_answer(panel, run.folder)
        of_panel = [known[group.key] for group in panel.groups]
        tables.setdefault("segmenters", []).extend(segmenter_tables(panel, answer, of_panel))
        leads["segmenters"] = too_few(answer)
    for panel in panels or [alone(group) for group in run.groups]:
        if any(row[0].kind == CHEAT for row in panel.rows):
            alarms = alarms_of(panel, run.folder, [known[group.key] for group in panel.groups])
            tables.setdefault("red-team", []).append(red_team_table(panel, alarms))
    return Joined(tables, {"segmenters": "Segmenters", "red-team": "Red team"}, leads)


_RED_TEAM = "Rows that try to cheat, and the columns that tell them from models."
