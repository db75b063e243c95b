# SPDX-License-Identifier: Apache-2.0
"""What `spade-eval validate stopping` leaves: a table in every form."""

from collections.abc import Callable, Sequence
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.metrics.stopping import FIRST_LOOK, StoppingRule
from spade_eval.reports.run_report import RunReport
from spade_eval.reports.statistics.population import counted_of
from spade_eval.reports.statistics.stopping_validation import validate_stopping
from spade_eval.reports.tables.filled_page import fill_page
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.stopping import stopping_table
from spade_eval.reports.tables.writing import write_forms
from spade_eval.reports.validation_report import only_group

BLOCK = "stopping"
"""Of a page, and the name of the table's files."""


def write_stopping(
    run_folder: Path,
    folder: Path,
    titles: Sequence[str],
    rule: StoppingRule,
    looks: Sequence[int],
    replications: int,
    seed: int,
    workers: int,
    progress: Callable[[], None],
) -> RunReport:
    """Draw from the counts of a run folder; write `stopping` in every form into a folder."""
    group = only_group(run_folder)
    population = counted_of(group, run_folder, titles)
    items = list(
        validate_stopping(
            population, rule, looks, replications, seed, workers=workers, progress=progress
        )
    )
    table = stopping_table(items, rule, looks, replications)
    size = len(next(iter(population.values())).counts)
    about = f"Population: {size:,} label maps of {group.title}."
    paths = write_forms(table, folder, BLOCK)
    lines = [table.title, about, "", as_text(table), *(f"Note: {note}" for note in table.notes)]
    return RunReport(tuple(paths), "\n".join(lines))


def looks_at(num_images: int, every: int) -> list[int]:
    """Return the numbers of images looked at: `FIRST_LOOK`, and all `every` more up to the end."""
    if num_images < FIRST_LOOK:
        raise UserError(
            f"--n {num_images}: the first look is after {FIRST_LOOK} images; give as many or more"
        )
    return [*range(FIRST_LOOK, num_images, every), num_images]


def fill_with_stopping(page: Path, written: RunReport) -> list[Path]:
    """Put the table into the block `stopping` of a page."""
    (text,) = (path for path in written.paths if path.name == f"{BLOCK}.md")
    return [fill_page(page, BLOCK, text.read_text(encoding="utf-8"))]
