# SPDX-License-Identifier: Apache-2.0
"""Tables of papers beside what was measured, as one frame each.

A line is one row of the paper on one dataset; real photos, oracle and floors of a dataset stand
above it. Measured numbers are means over seeds, in fractions where the unit is "%", and so are the
paper's. A difference is given only where the two are comparable: scores of an in-domain segmenter,
or of one without real weights, are not, and a footnote says so.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.errors import UserError
from spade_eval.papers.tables import UNTRAINED, PaperRow, PaperTable
from spade_eval.records import PHOTOS_TO_LABELS
from spade_eval.reports.measured.grouping import ProtocolGroup, ProtocolKey
from spade_eval.reports.measured.seeds import (
    SeededRow,
    metrics_of,
    seeded_notes,
    seeded_rows,
    warnings_of_seeds,
)
from spade_eval.reports.statistics.over_seeds import (
    ImageIntervals,
    SeedResults,
    results_of,
)
from spade_eval.reports.tables.paper_notes import (
    comparable,
    protocol_notes,
    question_notes,
    quoted_notes,
    recalled_note,
    unmeasured_notes,
)
from spade_eval.reports.tables.published import (
    DATASETS,
    PaperNumber,
    paper_dataset,
    paper_metric,
    paper_numbers,
)
from spade_eval.reports.tables.seed_columns import ENDS, intervals_of, shown_over_seeds

FACTS = (
    "dataset",
    "row",
    "group",
    "kind",
    "style_input",
    "model",
    "seeds",
    "train_steps",
    "parameters",
    "parameters_paper",
    "N",
    "profile",
)
COSTS = ("multiplications", "seconds_per_image")  # of tables that compare them
_SUFFIXES = ("", "_spread", "_paper", "_difference")
# Metrics that the paper prints, for rows and tables without measurements.
_ABOUT: dict[str, dict[str, Any]] = {
    "miou": {"label": "mIoU", "unit": "%", "larger_is_better": True},
    "acc_valid": {"label": "accuracy (valid)", "unit": "%", "larger_is_better": True},
    "acc_all": {"label": "accuracy (all)", "unit": "%", "larger_is_better": True},
    "fid": {"label": "FID", "unit": "", "larger_is_better": False},
}
_Numbers = Mapping[tuple[str, str, str, str], PaperNumber]


def paper_table(
    table: PaperTable,
    measured: Sequence[ProtocolGroup],
    run_folders: Sequence[Path] = (),
    *,
    unverified: bool = False,
) -> pd.DataFrame:
    """Return a paper's table over all given runs: several seeds, several datasets.

    Without measurements it is the paper's own table. `unverified` adds numbers that were recalled
    and never seen in a copy of the paper. Intervals over images need what the `run_folders` keep.
    `attrs` holds the table's key, title, metrics and notes, what is shown over seeds, and the
    `SeedResults` of every metric by dataset and group. A `UserError` if a dataset was measured
    under two protocols, or a row with two budgets.
    """
    numbers = paper_numbers(table, unverified=unverified)
    groups = _one_protocol_a_dataset(measured)
    metrics = _metrics(table, groups)
    lines: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    warnings: list[str] = []
    images = ImageIntervals(run_folders)
    results: dict[tuple[str, str], dict[str, SeedResults]] = {}
    for dataset, rows in groups.items():
        block = _Block(table, dataset, rows, numbers, metrics, images)
        results |= block.results
        lines += block.lines()
        notes |= dict.fromkeys(block.notes())
        warnings += block.warnings()
    if unverified and any(not published.verified for published in numbers.values()):
        notes |= dict.fromkeys([recalled_note(table)])
    names = [f"{metric}{suffix}" for metric in metrics for suffix in (*_SUFFIXES, *ENDS)]
    marks = [f"{metric}_best" for metric in metrics]
    costs = COSTS if table.costs else ()
    columns = [*FACTS, *costs, *names, *marks, "recalled", "source", "notes"]
    frame = pd.DataFrame(lines, columns=columns)
    frame = _typed(frame, [*costs, *names])
    frame.attrs = {
        "table": table.key,
        "title": f"{table.name}: {table.title}",
        "metrics": metrics,
        "shown": _shown(results, metrics),
        "results": results,
        "notes": list(notes),
        "warnings": warnings,
    }
    return frame


class _Block:
    """The lines of one dataset."""

    def __init__(
        self,
        table: PaperTable,
        dataset: str,
        rows: Sequence[SeededRow],
        numbers: _Numbers,
        metrics: Mapping[str, Mapping[str, Any]],
        images: ImageIntervals,
    ) -> None:
        self.images = images
        self.table, self.dataset, self.metrics, self.numbers = table, dataset, metrics, numbers
        self.paper_name = paper_dataset(dataset) or ""
        self.references = [row for row in rows if row.versions[0].is_reference]
        models = [row for row in rows if not row.versions[0].is_reference]
        self.by_model = _by_model(models, table)
        shown = list(self.by_model.values())
        self.others = [row for row in models if row not in shown] if table.open_to_others else []
        self.measured = [*self.references, *shown, *self.others]
        self.rows = [*table.rows, *(row for row in table.later if row.model in self.by_model)]
        self.results = {
            (dataset, group): self._results(group)
            for group in dict.fromkeys(row.group for row in self.rows)
        }

    def _results(self, group: str) -> dict[str, SeedResults]:
        """Test the measured rows of one group over seeds."""
        models = {row.title: row.model or "" for row in self.rows if row.group == group}
        rows = {title: self.by_model[model] for title, model in models.items()
                if model in self.by_model}  # fmt: skip
        others = [] if group else self.others
        rows |= {row.title: row for row in others}
        competing = {title: row for title, row in rows.items() if row.competes}
        return results_of(competing, self.metrics, self.measured)

    def lines(self) -> list[dict[str, Any]]:
        """Return bounds first, then the rows in the paper's order, then other methods."""
        bounds = [self._line(None, row) for row in self.references]
        rows = [self._line(row, self.by_model.get(row.model or "")) for row in self.rows]
        return [*bounds, *rows, *(self._line(None, row) for row in self.others)]

    def notes(self) -> list[str]:
        """Return footnotes of this dataset: how its protocol differs from the paper's."""
        paper = self.table.paper
        items = [row.first for row in self.measured]
        titles = {row.model: row.title for row in self.rows if row.model is not None}
        return [
            *(protocol_notes(paper, self.dataset, items, self.metrics) if paper.numbers else ()),
            *(quoted_notes(self.rows) if self.paper_name else ()),
            *question_notes(self.table.questions, self.by_model, titles),
            *seeded_notes(self.measured),
            *unmeasured_notes(self.table, set(self.by_model), UNTRAINED),
        ]

    def warnings(self) -> list[str]:
        """Return what makes the scores of this dataset doubtful."""
        return [f"{self.dataset}: {warning}" for warning in warnings_of_seeds(self.measured)]

    def _line(self, row: PaperRow | None, measured: SeededRow | None) -> dict[str, Any]:
        first = measured.first if measured else None
        line: dict[str, Any] = {
            "dataset": self.dataset,
            "row": row.title if row else measured.title if measured else "",
            "group": row.group if row else "",
            "kind": measured.kind if measured else "paper",
            "style_input": first.style_input if first else None,
            "model": row.model if row else None,
            "seeds": len(measured.versions) if measured else 0,
            "train_steps": first.train_steps if first else None,
            "parameters": first.parameters if first else None,
            "parameters_paper": self._parameters(row),
            "multiplications": first.multiplications if first else None,
            "seconds_per_image": _seconds_per_image(measured) if measured else None,
            "N": first.num_images if first else None,
            "profile": first.profile if first else None,
        }
        published = {metric: self._paper(row, metric) for metric in self.metrics}
        for metric, paper in published.items():
            line |= self._cells(metric, measured, paper)
            results = self.results.get((self.dataset, line["group"]), {})
            marked = results[metric].standing.marked if metric in results else ()
            line[f"{metric}_best"] = line["row"] in marked
        shown = [paper for paper in published.values() if paper.source]
        notes = dict.fromkeys(note for item in measured.versions[0].measurements
                              for note in item.notes) if measured else {}  # fmt: skip
        return {
            **line,
            "recalled": any(not paper.verified for paper in shown),
            "source": " | ".join(dict.fromkeys(paper.source for paper in shown)),
            "notes": " | ".join(notes),
        }

    def _cells(
        self, metric: str, measured: SeededRow | None, published: PaperNumber
    ) -> dict[str, float]:
        paper = published.value / 100 if self.metrics[metric]["unit"] == "%" else published.value
        if measured is None:
            values = (float("nan"), float("nan"), paper, float("nan"))
            ends = {f"{metric}{name}": float("nan") for name in ENDS}
        else:
            summary = measured.summary(metric)
            is_comparable = comparable(measured.first)
            difference = summary.mean - paper if is_comparable else float("nan")
            values = (summary.mean, summary.spread, paper, difference)
            ends = intervals_of(measured, metric, self.images)
        named = zip(_SUFFIXES, values, strict=True)
        return {**{f"{metric}{suffix}": value for suffix, value in named}, **ends}

    def _paper(self, row: PaperRow | None, metric: str) -> PaperNumber:
        missing = PaperNumber(float("nan"), "", True)
        if row is None:
            return missing
        name = paper_metric(row.quoted or self.table.paper, metric, self.paper_name)
        if name is None:
            return missing
        return self.numbers.get((self.paper_name, row.method, row.variant, name), missing)

    def _parameters(self, row: PaperRow | None) -> int | None:
        """Parameters of the generator, where the paper prints them."""
        key = ("all", row.method, row.variant, "generator_parameters") if row else None
        number = self.numbers.get(key) if key else None
        return round(number.value * 1e6) if number and not math.isnan(number.value) else None


def _shown(
    results: Mapping[tuple[str, str], Mapping[str, SeedResults]], metrics: Mapping[str, Any]
) -> str:
    """Say what the seeds show, of every dataset and group of rows; once where nothing is tested."""
    said: dict[str, None] = {}
    for (dataset, group), found in results.items():
        is_tested = any(item.standing.num_pairs for item in found.values())
        where = f"{', '.join(filter(None, (dataset, group)))}: " if is_tested else ""
        said[f"{where}{shown_over_seeds(found, metrics)}"] = None
    return " ".join(said)


def _seconds_per_image(row: SeededRow) -> float | None:
    """Return the mean over seeds of what synthesizing took, in one process."""
    rates = [version.measurements[0].images_per_second for version in row.versions]
    seconds = [1 / rate for rate in rates if rate]
    return sum(seconds) / len(seconds) if seconds else None


def _one_protocol_a_dataset(measured: Sequence[ProtocolGroup]) -> dict[str, list[SeededRow]]:
    """Rows of each dataset; the paper's datasets without rows where nothing is given."""
    if not measured:
        return {name: [] for name in DATASETS}
    by_dataset: dict[str, list[ProtocolGroup]] = defaultdict(list)
    for group in measured:
        if group.key.profile != PHOTOS_TO_LABELS:  # scores of segmenters, not of images
            by_dataset[group.key.dataset].append(group)
    for dataset, groups in by_dataset.items():
        if len(groups) > 1:
            profiles = ", ".join(sorted({_protocol_name(group.key) for group in groups}))
            raise UserError(
                f"{dataset} was measured under {len(groups)} protocols ({profiles}), expected one "
                "in a column; give the run folders of one of them"
            )
    return {dataset: seeded_rows(groups[0]) for dataset, groups in by_dataset.items()}


def _protocol_name(key: ProtocolKey) -> str:
    return (
        f"{key.profile} {key.protocol_sha256[:8]}, {key.num_images} images of "
        f"{key.height}x{key.width}"
    )


def _by_model(rows: Sequence[SeededRow], table: PaperTable) -> dict[str, SeededRow]:
    """Return each model's row: the one trained here, else a given one that has the model's name."""
    by_model: dict[str, SeededRow] = {}
    trained = {row.source for row in rows if row.kind == "generator"}
    for row in rows:
        if row.source not in table.known:
            continue
        if row.kind != "generator" and row.source in trained:
            continue
        if row.source in by_model:
            budgets = ", ".join(str(item.first.train_steps) for item in (by_model[row.source], row))
            raise UserError(
                f"{row.source} was trained in two ways ({budgets} steps), expected seeds of one "
                "budget in a row; give the run folders of one budget"
            )
        by_model[row.source] = row
    return by_model


def _metrics(
    table: PaperTable, groups: Mapping[str, Sequence[SeededRow]]
) -> dict[str, dict[str, Any]]:
    """Return the columns: metrics that were measured, and those that the paper prints."""
    rows = [row for seeded in groups.values() for row in seeded]
    about = metrics_of(rows)
    missing = [name for name in table.metrics if name not in about]
    return {**{name: _ABOUT[name] for name in missing}, **about} if missing else about


def _typed(frame: pd.DataFrame, numbers: Iterable[str]) -> pd.DataFrame:
    whole = ("seeds", "train_steps", "parameters", "parameters_paper", "N")
    types = {**dict.fromkeys(whole, "Int64"), **dict.fromkeys(numbers, "float64")}
    return frame.astype(
        {**dict.fromkeys(("row", "group", "kind", "style_input"), "object"), **types}
    )
