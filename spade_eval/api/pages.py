# SPDX-License-Identifier: Apache-2.0
"""What results look like outside of a terminal: a table in a notebook, a web page."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.run_report import NO_PAGE, has_page
from spade_eval.reports.tables.formats import heading_line
from spade_eval.reports.tables.table import Table


def as_fragment(tables: Sequence[Table], title: str, notes: Sequence[str]) -> str:
    """Write tables as plain HTML for a notebook's cell; every text is escaped."""
    lines = [f"<p><b>{escape(title)}</b></p>"]
    for table in tables:
        lines += ["<table>", *_rows(table), "</table>"]
        lines += [f"<p>{escape(table.shown)}</p>"] if table.shown else []
    shown = "".join(f"<li>{escape(note)}</li>" for note in notes)
    if shown:
        lines.append(f"<details><summary>{len(notes)} notes</summary><ul>{shown}</ul></details>")
    return "\n".join(lines)


def _rows(table: Table) -> Iterator[str]:
    columns = table.columns_of("text")
    heads = "".join(f"<th>{escape(heading_line(column))}</th>" for column in columns)
    yield f"<thead><tr>{heads}</tr></thead>"
    for index in range(table.num_rows):
        cells = "".join(f"<td>{escape(column.printed(index))}</td>" for column in columns)
        yield f"<tr>{cells}</tr>"


def write_page_at(page: ReportData, path: Path) -> Path:
    """Write a page into a folder, or into one file where the path ends in .html; returns it."""
    if not has_page():
        raise UserError(NO_PAGE)
    from spade_eval.reports.html.report import write_html, write_single_file

    if path.suffix.lower() in (".html", ".htm"):
        return write_single_file(page, path)
    return write_html(page, path)[0]
