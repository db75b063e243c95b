# SPDX-License-Identifier: Apache-2.0
"""A table as files: CSV, Markdown, LaTeX, and Parquet where pyarrow is.

CSV and Parquet hold every digit that was measured; Markdown and LaTeX are rounded for print.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.files import written_whole
from spade_eval.reports.tables.formats import as_markdown
from spade_eval.reports.tables.latex import PLAIN, LatexForm, as_latex
from spade_eval.reports.tables.table import Table

_OBJECTS = ("results", "origins")
NO_PARQUET = "No Parquet files: pyarrow is not installed; CSV files hold the same numbers."


def has_parquet() -> bool:
    """Return whether pyarrow is there, which pandas needs to write Parquet."""
    return importlib.util.find_spec("pyarrow") is not None


def write_forms(table: Table, folder: Path, stem: str, latex: LatexForm = PLAIN) -> list[Path]:
    """Write `stem`.csv, .md, .tex and, with pyarrow, .parquet; returns their paths."""
    label = f"tab:{stem.replace('_', '-')}"
    paths = [
        write_csv(table.frame, folder / f"{stem}.csv"),
        write_text(as_markdown(table), folder / f"{stem}.md"),
        write_text(as_latex(table, label, latex), folder / f"{stem}.tex"),
    ]
    return [*paths, *write_parquet(table.frame, folder / f"{stem}.parquet")]


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write UTF-8, floats with every digit; an index is written where it has a name."""
    with written_whole(path) as temporary:
        frame.to_csv(temporary, index=frame.index.name is not None, encoding="utf-8")
    return path


def write_text(text: str, path: Path) -> Path:
    """Write UTF-8 text that appears whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def plain_attrs(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the `attrs` that a file can hold: without the objects that only layouts read."""
    plain = {name: value for name, value in frame.attrs.items() if name not in _OBJECTS}
    read: dict[str, Any] = json.loads(json.dumps(plain))  # tuples would come back as lists anyway
    return read


def write_parquet(frame: pd.DataFrame, path: Path) -> list[Path]:
    """Write the frame with its `attrs` as metadata; nothing without pyarrow."""
    if not has_parquet():
        return []
    plain = frame.copy()
    plain.attrs = plain_attrs(frame)
    with written_whole(path) as temporary:
        plain.to_parquet(temporary, index=frame.index.name is not None)
    return [path]
