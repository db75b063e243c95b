# SPDX-License-Identifier: Apache-2.0
"""Printed tables as fixed-width text and Markdown; `latex.py` has LaTeX.

Names of models, classes and datasets are data: every character that means something to the target
format is escaped, so that no name can become markup or a command.
"""

import re
import textwrap
from collections.abc import Sequence

from spade_eval.reports.tables.table import MARKED, Column, Table

_HEADING_WIDTH = 12
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~<>&])")


def as_text(table: Table) -> str:
    """Write fixed-width lines below the warnings; an asterisk marks the best of a column."""
    columns = table.columns_of("text")
    headings = [_text_heading(column) for column in columns]
    height = max(map(len, headings))
    blocks = [
        (
            [""] * (height - len(heading)) + heading,
            [_text_cell(column, index) for index in range(table.num_rows)],
        )
        for heading, column in zip(headings, columns, strict=True)
    ]
    widths = [max(map(len, [*heading, *cells])) for heading, cells in blocks]
    names = [column.is_name for column in columns]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_line([heading[index] for heading, _ in blocks], widths, names)
             for index in range(height)]  # fmt: skip
    lines.append(rule)
    for index in range(table.num_rows):
        if index in table.rules:
            lines.append(rule)
        lines.append(_line([cells[index] for _, cells in blocks], widths, names))
    above = [f"WARNING: {warning}" for warning in table.warnings]
    return "\n".join(line.rstrip() for line in [*above, *([""] if above else []), *lines])


def text_with_notes(table: Table) -> list[str]:
    """Return the lines of a table with what is said below it."""
    marked = [f"* {MARKED}"] if table.has_ranks else []
    shown = [table.shown] if table.shown else []
    return [as_text(table), *marked, *shown, *(f"Note: {note}" for note in table.notes)]


def as_markdown(table: Table) -> str:
    """Write a GitHub table: marked cells bold; title and warnings above, notes below."""
    columns = table.columns_of("file")
    heads = [markdown_escaped(heading_line(column)) for column in columns]
    aligns = [":--" if column.is_name else "--:" for column in columns]
    lines = [f"**{markdown_escaped(table.title)}**", ""] if table.title else []
    for warning in table.warnings:
        lines += [f"> **Warning:** {markdown_escaped(warning)}", ""]
    lines += [_markdown_line(heads), _markdown_line(aligns)]
    for index in range(table.num_rows):
        lines.append(_markdown_line([_markdown_cell(column, index) for column in columns]))
    notes = [f"bold: {MARKED}"] if table.has_ranks else []
    notes += [*([table.shown] if table.shown else []), *table.notes]
    lines += ["", *(f"- {markdown_escaped(note)}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def markdown_escaped(text: str) -> str:
    """Escape text so that Markdown prints it as it is, on one line."""
    one_line = "".join(character if character.isprintable() else " " for character in text)
    return _MARKDOWN.sub(r"\\\1", one_line).replace(r"\<", "&lt;").replace(r"\>", "&gt;")


def heading_line(column: Column) -> str:
    """Return the heading with its unit and direction."""
    return f"{column.heading}, {column.printed_unit}" if column.printed_unit else column.heading


def _text_heading(column: Column) -> list[str]:
    """Heading lines; room is kept for the mark in every cell, so that digits align."""
    lines = textwrap.wrap(
        column.heading, _HEADING_WIDTH, break_long_words=False, break_on_hyphens=False
    )
    return [f"{line} " for line in [*lines, column.printed_unit]] if column.competes else lines


def _text_cell(column: Column, index: int) -> str:
    if not column.competes:
        return column.printed(index)
    return column.printed(index) + ("*" if column.cells[index].rank == "best" else " ")


def _line(cells: Sequence[str], widths: Sequence[int], names: Sequence[bool]) -> str:
    """Names flush left, numbers flush right."""
    return "  ".join(
        cell.ljust(width) if is_name else cell.rjust(width)
        for cell, width, is_name in zip(cells, widths, names, strict=True)
    )


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(column: Column, index: int) -> str:
    text, cell = markdown_escaped(column.printed(index)), column.cells[index]
    text = f"[{text}]({cell.link})" if cell.link else text
    return f"**{text}**" if cell.rank == "best" else text
