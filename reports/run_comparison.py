# SPDX-License-Identifier: Apache-2.0
"""Comparisons within one run folder: a page for each subject, in a folder of its name."""

import re
from collections.abc import Sequence
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.records import Measurement
from spade_eval.reports.comparison_report import write_comparison
from spade_eval.reports.measured.grouping import by_protocol, rows
from spade_eval.reports.measured.groups import protocol_groups
from spade_eval.reports.report_data import RunReport
from spade_eval.reports.run_report import write_page
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.comparison import compare


def write_comparisons(
    run_folder: Path, subjects: Sequence[str], baselines: Sequence[str]
) -> RunReport:
    """Compare each subject with all baselines of a run; files go to `compare/SUBJECT`.

    `UserError` for a name that no row of the run has.
    """
    run = open_run(run_folder)
    paths: list[Path] = []
    texts = []
    for subject in subjects:
        group = _group_with([subject, *baselines], run.measurements)
        comparison = compare(group, subject, baselines, run_folder)
        folder = run_folder / "compare" / re.sub(r"[^A-Za-z0-9._+-]+", "-", subject)
        written, plots = write_comparison(comparison, folder)
        groups = protocol_groups([run], group)
        paths += written.paths
        paths += write_page([run], groups, plots, folder / "html", comparison=comparison)
        texts.append(written.text)
    return RunReport(tuple(paths), "\n\n".join(texts))


def _group_with(names: Sequence[str], measurements: Sequence[Measurement]) -> list[Measurement]:
    """The measurements of the one protocol under which all of these rows were scored."""
    missing: list[str] = []
    for group in by_protocol(measurements).values():
        titles = [row.title for row in rows(group)]
        missing = [name for name in names if name not in titles]
        if not missing:
            return group
    raise UserError(
        f"no row is called {missing[0]!r} where the others are; give models with --model, or "
        "--checkpoint NAME=FILE and --images NAME=DIR, and compare by those names"
    )
