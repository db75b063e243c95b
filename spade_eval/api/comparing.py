# SPDX-License-Identifier: Apache-2.0
"""`spade_eval.compare`: which differences between results can be told from chance."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from spade_eval.api.pages import as_fragment, write_page_at
from spade_eval.api.result import Result
from spade_eval.api.running import session_folder
from spade_eval.errors import UserError
from spade_eval.records import RecordStore
from spade_eval.reports.comparison_report import (
    classes_frame,
    comparison_page,
    comparison_text,
    differences_frame,
    group_with,
    images_frame,
    write_comparison,
)
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.comparison import compare as compare_rows
from spade_eval.reports.statistics.differences import Comparison as Found
from spade_eval.reports.tables.comparisons import difference_table

_KEPT = ("counts", "features", "cache", "images")


@dataclass(frozen=True)
class Comparison:
    """One result against others on the same images, paired by image."""

    run: RunData
    group: ProtocolGroup
    found: Found

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A line for each metric and baseline: difference, 95% interval, p-value, verdict."""
        return differences_frame(self.found)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """A line for each class and baseline."""
        return classes_frame(self.found)

    @cached_property
    def images(self) -> pd.DataFrame:
        """A line for each of the images that differ most, and baseline."""
        return images_frame(self.found)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that these differences must never be shown without."""
        return self.found.notes

    def report(self, path: str | Path) -> Path:
        """Write a web page: one file where the path ends in .html, else a folder with images."""
        with tempfile.TemporaryDirectory(prefix="spade-eval-page-") as scratch:
            _, plots = write_comparison(self.found, Path(scratch))
            page = comparison_page(self.found, self.group, self.run, plots)
            return write_page_at(page, Path(path))

    def __repr__(self) -> str:
        return comparison_text(self.found)

    def _repr_html_(self) -> str:
        tables = [difference_table(pair) for pair in self.found.pairs]
        return as_fragment(tables, self.found.title, self.notes)


def compare(result: Result, *baselines: Result | str) -> Comparison:
    """Compare a result with others, or with rows of its run by name, as "real" or "grey".

    `UserError` where they were not scored under one protocol, or two of them have one name.
    """
    if not baselines:
        raise UserError("compare: no baseline is given; give results, or names of rows")
    results = [result, *(item for item in baselines if isinstance(item, Result))]
    names = [item.name if isinstance(item, Result) else item for item in (result, *baselines)]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"compare: two rows are called {name!r}; evaluate one again with another name="
            )
    folder = _common_folder(results)
    run = open_run(folder)
    group = group_with(names, run)
    return Comparison(run, group, compare_rows(group, names[0], names[1:], folder))


def _common_folder(results: Sequence[Result]) -> Path:
    """Return the run folder that holds all results; of several runs a copy of what they kept."""
    folders = list(dict.fromkeys(item.run_folder.resolve() for item in results))
    if len(folders) == 1:
        return folders[0]
    joined = Path(tempfile.mkdtemp(prefix="compared-", dir=session_folder()))
    store = RecordStore(joined / "records.jsonl")
    for folder in folders:
        store.append(list(RecordStore(folder / "records.jsonl")))
        for kept in _KEPT:
            if (folder / kept).is_dir():
                shutil.copytree(folder / kept, joined / kept, dirs_exist_ok=True)
    return joined
