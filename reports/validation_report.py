# SPDX-License-Identifier: Apache-2.0
"""What `spade-eval validate` leaves: of intervals a table in every form and a figure, of stopping,
of simulated people and of published ratings tables."""

from collections.abc import Callable, Sequence
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.metrics.stopping import FIRST_LOOK, StoppingRule
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.plots.validation import plot_validation
from spade_eval.reports.run_report import NO_PLOTS, RunReport, files_of, has_plots
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.jackknife import FEWEST_IMAGES
from spade_eval.reports.statistics.population import KERNEL, counted_of, population_of
from spade_eval.reports.statistics.ratings_validation import validate_ratings
from spade_eval.reports.statistics.simulated_people import People, validate_people
from spade_eval.reports.statistics.stopping_validation import validate_stopping
from spade_eval.reports.statistics.validation import validate
from spade_eval.reports.tables.filled_page import fill_page, fill_with_figure
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.ratings import (
    agreement_table,
    mistaken_table,
    rated_preference_table,
    rated_strength_table,
)
from spade_eval.reports.tables.simulated_people import people_validation_table
from spade_eval.reports.tables.stopping import stopping_table
from spade_eval.reports.tables.table import Table
from spade_eval.reports.tables.validation import validation_table
from spade_eval.reports.tables.writing import write_forms

INTERVALS, STOPPING, PEOPLE = "validation", "stopping", "people_validation"
RATINGS = "ratings_validation"
"""Blocks of a page, and the names of tables and figures."""
KINDS_OF_PEOPLE = (
    People(images=500, each=5),
    People(images=500, each=5, image_sd=1.5),
    People(images=100, each=5, per_person=50, image_sd=1.5),
    People(images=40, each=5, per_person=20, image_sd=1.5),
    People(images=20, each=5, per_person=10, image_sd=1.5),
    People(images=500, each=5, image_sd=1.0, person_sd=0.7),
    People(images=100, each=5, per_person=100, image_sd=1.0, person_sd=0.7),
    People(images=500, each=5, mean=0.0, image_sd=1.5),
    People(images=500, each=5, mean=0.0, image_sd=1.0, person_sd=0.7),
    People(images=100, each=5, per_person=50, mean=2.0, image_sd=1.0, left=0.5, lapses=0.05),
)
"""Studies whose intervals are tried: without anything in common, with images, people, few, none."""
_SAME_FEATURES = "KID (same features)"


def write_validation(
    run_folder: Path,
    folder: Path,
    titles: Sequence[str],
    sizes: Sequence[int],
    replications: int,
    seed: int,
    workers: int,
    progress: Callable[[int], None],
    fresh: bool = False,
) -> RunReport:
    """Draw from the images of a run folder; write `validation` in every form into a folder."""
    require_sizes(sizes)
    group = only_group(run_folder)
    population = population_of(group, run_folder, titles)
    items = list(
        validate(population, sizes, replications, seed, workers=workers, progress=progress)
    )
    labels = {name: item.label for row in group.rows for name, item in row.scores.items()}
    labels.setdefault(KERNEL, _SAME_FEATURES)
    classes = next(list(row.class_iou) for row in group.rows if row.class_iou)
    table = validation_table(items, labels, classes, replications)
    about = about_population(population.size, group, fresh)
    paths = write_forms(table, folder, INTERVALS)
    plots = [plot_validation(items, labels, folder, [about])] if has_plots() else []
    lines = [*_lines(table, about), *([] if plots else [NO_PLOTS])]
    return RunReport((*paths, *files_of(plots)), "\n".join(lines))


def about_population(size: int, group: ProtocolGroup, fresh: bool) -> str:
    """Say in a sentence of what a population is; `fresh` scenes are of no split."""
    split = f"{group.key.dataset} {group.key.split}"
    where = f"fresh {group.key.dataset}, of no split" if fresh else split
    return f"Population: {size:,} label maps of {where}{group.title.removeprefix(split)}."


def only_group(run_folder: Path) -> ProtocolGroup:
    """Open the run folder of a population; `UserError` where it has several protocols or none."""
    run = open_run(run_folder)
    if len(run.groups) != 1:
        raise UserError(
            f"{run_folder} holds rows of {len(run.groups)} protocols, expected one population; "
            "give a run folder of one"
        )
    return run.groups[0]


def require_sizes(sizes: Sequence[int]) -> None:
    """Refuse sizes at which groups of images cannot be left out."""
    for size in sizes:
        if size < FEWEST_IMAGES:
            raise UserError(
                f"--n {size}: intervals of distances need {FEWEST_IMAGES} images; give more"
            )


def fill_with_validation(page: Path, written: RunReport) -> list[Path]:
    """Put table and figure into the block `validation` of a page."""
    (picture,) = (path for path in written.paths if path.name == f"{INTERVALS}.png")
    text = picture.with_suffix(".md").read_text(encoding="utf-8")
    filled = fill_with_figure(page, picture, [])
    shown = f"![Coverage]({filled[1].name})\n\n{text}"
    return [fill_page(page, picture.stem, shown), *filled[1:]]


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
    fresh: bool = False,
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
    about = about_population(size, group, fresh)
    paths = write_forms(table, folder, STOPPING)
    return RunReport(tuple(paths), "\n".join(_lines(table, about)))


def looks_at(num_images: int, every: int) -> list[int]:
    """Return the numbers of images looked at: `FIRST_LOOK`, and all `every` more up to the end."""
    if num_images < FIRST_LOOK:
        raise UserError(
            f"--n {num_images}: the first look is after {FIRST_LOOK} images; give as many or more"
        )
    return [*range(FIRST_LOOK, num_images, every), num_images]


def fill_with_stopping(page: Path, written: RunReport) -> list[Path]:
    """Put the table into the block `stopping` of a page."""
    (text,) = (path for path in written.paths if path.name == f"{STOPPING}.md")
    return [fill_page(page, STOPPING, text.read_text(encoding="utf-8"))]


def write_people_validation(
    folder: Path, replications: int, seed: int, progress: Callable[[], None]
) -> RunReport:
    """Ask simulated people of every kind in `KINDS_OF_PEOPLE`; write `people_validation`."""
    held = [validate_people(people, replications, seed, progress) for people in KINDS_OF_PEOPLE]
    table = people_validation_table(held, replications)
    paths = write_forms(table, folder, PEOPLE)
    about = "People who are known: docs/study.md, section 6."
    return RunReport(tuple(paths), "\n".join(_lines(table, about)))


def fill_with_people_validation(page: Path, written: RunReport) -> list[Path]:
    """Put the table into the block `people_validation` of a page."""
    (text,) = (path for path in written.paths if path.suffix == ".md")
    return [fill_page(page, PEOPLE, text.read_text(encoding="utf-8"))]


def write_ratings_validation(
    folder: Path, splits: int, seed: int, progress: Callable[[], None]
) -> RunReport:
    """Try statistics on published ratings and halves of them; write `ratings_validation_*`."""
    found = validate_ratings(splits, seed, progress)
    tables = {
        "agreement": agreement_table(found.agreement, splits),
        "preferences": rated_preference_table(found.preferences, splits),
        "strengths": rated_strength_table(found.strengths, splits),
        "people": mistaken_table(found.mistakes, splits),
    }
    paths, lines = [], []
    for name, table in tables.items():
        paths += write_forms(table, folder, f"{RATINGS}_{name}")
        lines += [*_lines(table, "Ratings of others: docs/study.md, section 7."), ""]
    return RunReport(tuple(paths), "\n".join(lines[:-1]))


def fill_with_ratings_validation(page: Path, written: RunReport) -> list[Path]:
    """Put the tables into the block `ratings_validation` of a page."""
    texts = [path.read_text(encoding="utf-8") for path in written.paths if path.suffix == ".md"]
    return [fill_page(page, RATINGS, "\n\n".join(text.strip() for text in texts))]


def _lines(table: Table, about: str) -> list[str]:
    return [table.title, about, "", as_text(table), *(f"Note: {note}" for note in table.notes)]
