# SPDX-License-Identifier: Apache-2.0
"""Printed tables as LaTeX for a paper: `booktabs`, notes apart, wide ones across.

A fact that is the same in every row stands in the caption instead of a column. Names are data:
every character that means something to LaTeX is escaped, so that no name can become a command.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spade_eval.errors import UserError
from spade_eval.reports.tables.formats import heading_line
from spade_eval.reports.tables.table import ABSENT, Column, Table

# Characters of a row that fit one column of a two-column paper, with two between columns: about 3.3
# inches of 9 point type. What is wider goes across both (`table*`).
_COLUMN_CHARACTERS = 52
_NEEDS = r"% needs \usepackage{booktabs,threeparttable}, and \usepackage[T1]{fontenc} for quotes"
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # behind the end of a row it would begin a length
    "]": "{]}",
    "*": "{*}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "\u00d7": r"$\times$",  # multiplication sign
    "²": r"$^2$",
    "…": r"\ldots{}",
    "†": r"\textdagger{}",
    "\u2013": "--",  # en dash
    "\u2014": "---",  # em dash
}


@dataclass(frozen=True, kw_only=True)
class LatexForm:
    """What a paper wants of a table."""

    columns: tuple[str, ...] = ()  # headings besides the rows' names; empty for all
    names: Mapping[str, str] = field(default_factory=dict)  # what rows are called there

    def of(self, table: Table) -> tuple[list[Column], list[str]]:
        """Return the columns to print, and what all rows share, each in words.

        `UserError` for a heading that no column has.
        """
        columns = list(table.columns_of("file"))
        if self.columns:
            return [columns[0], *self._chosen(columns[1:])], []
        constant = [column for column in columns[1:] if _is_constant(column)]
        shared = [f"{c.heading} {c.printed(0)}" for c in constant if c.printed(0) != ABSENT]
        return [column for column in columns if column not in constant], shared

    def named(self, table: Table) -> Table:
        """Return the table with the paper's names for its rows, also where they are headings."""
        if not self.names:
            return table
        first, *others = table.columns
        cells = tuple(replace(c, text=self.names.get(c.text, c.text)) for c in first.cells)
        renamed = [replace(c, heading=self.names.get(c.heading, c.heading)) for c in others]
        return replace(table, columns=(replace(first, cells=cells), *renamed))

    def _chosen(self, columns: Sequence[Column]) -> list[Column]:
        known = {column.heading.casefold(): column for column in columns}
        for name in self.columns:
            if name.casefold() not in known:
                headings = ", ".join(column.heading for column in columns)
                raise UserError(f"no column is called {name!r}, expected some of: {headings}")
        return [known[name.casefold()] for name in self.columns]


PLAIN = LatexForm()


def as_latex(table: Table, label: str, form: LatexForm = PLAIN) -> str:
    """Write a `table`, or `table*` where it is wide: marked cells bold, notes below."""
    columns, shared = form.of(form.named(table))
    is_wide = _characters(columns, table.num_rows) > _COLUMN_CHARACTERS
    environment = "table*" if is_wide else "table"
    said = f". In every row: {', '.join(shared)}" if shared else ""
    lines = [
        _NEEDS,
        rf"\begin{{{environment}}}",
        r"\centering",
        r"\begin{threeparttable}",
        rf"\caption{{{latex_escaped(table.title + said)}}}",
        rf"\label{{{re.sub(r'[^A-Za-z0-9:-]+', '-', label)}}}",
        *(rf"\textbf{{Warning:}} {latex_escaped(warning)}\par" for warning in table.warnings),
        *_tabular(table, columns),
        *_notes([*([table.shown] if table.shown else []), *table.notes]),
        r"\end{threeparttable}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join([*lines, ""])


def latex_escaped(text: str) -> str:
    """Escape text so that LaTeX prints it as it is; control characters are dropped."""
    shown = "".join(character for character in text if character.isprintable())
    return "".join(_LATEX.get(character, character) for character in shown)


def _tabular(table: Table, columns: Sequence[Column]) -> list[str]:
    layout = "".join("l" if column.is_name else "r" for column in columns)
    lines = [
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        _line([latex_escaped(heading_line(column)) for column in columns]),
        r"\midrule",
    ]
    for index in range(table.num_rows):
        lines += [r"\midrule"] if index in table.rules else []
        lines.append(_line([_cell(column, index) for column in columns]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    items = [rf"\item[] {latex_escaped(note)}" for note in notes]
    return [r"\begin{tablenotes}", r"\footnotesize", *items, r"\end{tablenotes}"]


def _is_constant(column: Column) -> bool:
    """Return whether it is a fact, not a score, that several rows share all."""
    texts = {column.printed(index) for index in range(len(column.cells))}
    is_fact = column.larger_is_better is None and not column.competes
    return is_fact and len(column.cells) > 1 and len(texts) == 1


def _characters(columns: Sequence[Column], num_rows: int) -> int:
    widths = [
        max(len(heading_line(column)), *(len(column.printed(row)) for row in range(num_rows)), 0)
        for column in columns
    ]
    return sum(widths) + 2 * (len(widths) - 1)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(column: Column, index: int) -> str:
    text = latex_escaped(column.printed(index))
    text = re.sub(r"^-(?=\d)", "$-$", text)  # no hyphen: a minus
    return rf"\textbf{{{text}}}" if column.cells[index].rank == "best" else text
