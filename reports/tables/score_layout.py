# SPDX-License-Identifier: Apache-2.0
"""How the scores of a protocol are shown: of every row, and class by class."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.metrics.draws import MEAN, base_of, over_of
from spade_eval.records import Measurement
from spade_eval.reports.measured.failures import warnings_of
from spade_eval.reports.measured.grouping import ProtocolGroup, Row
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.measured.row_facts import FACTS, ROW_FACTS
from spade_eval.reports.measured.wording import wordings
from spade_eval.reports.statistics.intervals import Interval, Uncertainty
from spade_eval.reports.statistics.normalised import METRIC
from spade_eval.reports.statistics.standings import NOTHING_TESTED, sentence_of
from spade_eval.reports.statistics.stored_distances import is_frechet
from spade_eval.reports.tables.corrected import (
    corrected_column,
    corrected_frame,
    floor_cells,
    with_row,
)
from spade_eval.reports.tables.draws import draws_table
from spade_eval.reports.tables.latex import PLAIN, LatexForm
from spade_eval.reports.tables.normalised import normalised_column, normalised_frame
from spade_eval.reports.tables.scores import (
    ROW_COLUMNS,
    per_class_table,
    provenance_frame,
    scores_table,
    spread_over_draws,
)
from spade_eval.reports.tables.table import (
    ABSENT,
    EVERYWHERE,
    Cell,
    Column,
    Form,
    Table,
    count_cell,
    decimals_of,
    marked_column,
    millions_cell,
    name_column,
    number_cell,
    rules_between,
)
from spade_eval.reports.tables.writing import write_forms

# Flush left.
_NAMES = ("source", "kind", "style_input", "until",
          *(fact.name for fact in ROW_FACTS if not fact.explanation))  # fmt: skip
_SPEED = ("seconds", "images_per_second")  # of the whole job, of the generator; in files only
_PRINTED_NAMES = {
    "train_steps": "steps",
    "style_input": "style input",
    **{fact.name: fact.title for fact in ROW_FACTS},
    "until": "stopped by",
    "N_real": "N real",
    "seconds": "job, s",
    "images_per_second": "images/s",
}
_OF_TRAININGS = "over the images, of these trainings and not of their methods"
# Facts that are numbers of one record each.
_EXPLANATIONS = {
    "parameters": "parameters of the generator, in millions",
    "train_steps": "optimisation steps of the generator",
    **{fact.name: fact.explanation for fact in ROW_FACTS if fact.explanation},
    "trainings": "trainings behind the row: its intervals are over images, not over seeds",
    "N": "images scored",
    "N_real": "photos compared with",
}
_WIDE: tuple[Form, ...] = ("file", "page")
_LONGEST_NAME = 32
_MARKS = "abcdefghijklmnopqrstuvwxyz"
Ends = Mapping[tuple[str, str], Interval]
_UNKNOWN = Uncertainty({}, {})
# The row of as many train photos against the val photos, beside that of the val photos.
_FLOOR = {"source": "train photos", "kind": "real"}


def scores(group: ProtocolGroup, uncertainty: Uncertainty = _UNKNOWN) -> Table:
    """Lay out the scores of a protocol; columns of facts that no row has are left out.

    Of its `uncertainty` intervals are for the web page, corrected distances for every form; mIoU
    between floor and oracle is for the web page and for files.
    """
    facts, rows = scores_table(group), group.rows
    kinds = facts["kind"].tolist()
    firsts = [row.measurements[0] for row in rows]
    names = [name for name in ROW_COLUMNS if _is_informative(facts, name, firsts)]
    items = [item for row in rows for item in row.scores.values()]
    letters = _letters(items)
    said = {note: letters[joined] for note, joined in _wordings(items).items() if joined in letters}
    columns = [_fact_column(facts, name, rows) for name in names]
    facts_of_floor = _FLOOR | {"N": str(group.key.num_images)}
    floor = [Cell(text=facts_of_floor.get(name, ABSENT)) for name in names]
    corrected = uncertainty.corrected
    ends = {place: both for place, both in uncertainty.intervals.items() if place not in corrected}
    for name, about in facts.attrs["metrics"].items():
        marked = uncertainty.standings.get(name, NOTHING_TESTED).marked
        column = marked_column(
            _metric_column(name, rows, ends, said), [row.title in marked for row in rows]
        )
        values = [row.scores[name].value for row in rows if name in row.scores]
        decimals = decimals_of(values, about["unit"])
        beside = corrected_column(name, about["label"], rows, corrected, decimals)
        if beside is not None:
            beside = replace(beside, forms=_forms_of(name))
        if name == METRIC:
            beside = normalised_column(rows, uncertainty.normalised)
        columns += [column, *([beside] if beside else [])]
        floor += floor_cells(uncertainty.floors.get(name), decimals)[: 2 if beside else 1]
    if uncertainty.floors and "real" in kinds:
        place = kinds.index("real") + 1
        columns, kinds = with_row(columns, floor, place), ["real", *kinds]
    return Table(
        title=group.title,
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=rules_between(kinds),
        warnings=warnings_of(rows),
        shown=_shown(facts.attrs["metrics"], uncertainty),
        notes=group.notes,
        own_marks=letters,
        frame=pd.concat(
            [
                facts,
                normalised_frame(rows, uncertainty.normalised),
                corrected_frame(list(facts.attrs["metrics"]), rows, corrected),
                provenance_frame(rows),
            ],
            axis="columns",
        ),
    )


def _shown(metrics: Mapping[str, Any], uncertainty: Uncertainty) -> str:
    """Say of the first score and the first distance what the images show."""
    firsts = [
        next((name for name in metrics if metrics[name]["larger_is_better"] == larger), "")
        for larger in (True, False)
    ]
    standings = {
        metrics[name]["label"]: uncertainty.standings.get(name, NOTHING_TESTED)
        for name in firsts
        if name
    }
    return sentence_of(standings, _OF_TRAININGS)


def classes(group: ProtocolGroup) -> Table:
    """Lay out IoU by class, classes down and sources across; no ranks."""
    frame = per_class_table(group)
    names = list(frame.index)
    columns = [name_column(str(frame.index.name), names)]
    for row in (row for row in group.rows if row.class_iou):
        items = [row.class_iou.get(name) for name in names]
        cells = [number_cell(i.value, "%", origin=Origin(records=(i,))) if i else Cell()
                 for i in items]  # fmt: skip
        columns.append(
            Column(heading=row.title, cells=tuple(cells), unit="%", larger_is_better=True)
        )
    return Table(
        title=f"IoU by class, %: {group.title}",
        columns=tuple(columns),
        frame=frame,
        caption='Counts pooled over the split; "-" where the class has no IoU there.',
    )


def write_tables(
    group: ProtocolGroup,
    folder: Path,
    uncertainty: Uncertainty = _UNKNOWN,
    latex: LatexForm = PLAIN,
) -> list[Path]:
    """Write `scores` (with provenance), `draws` and `per_class_iou` in every form; return paths."""
    paths = write_forms(scores(group, uncertainty), folder, "scores", latex)
    by_class, named = classes(group), replace(latex, columns=())
    drawn = draws_table(group, uncertainty)
    paths += [] if drawn is None else write_forms(drawn, folder, "draws", named)
    if not by_class.num_rows:
        return paths
    return paths + write_forms(by_class, folder, "per_class_iou", named)


def _fact_column(facts: pd.DataFrame, name: str, rows: Sequence[Row]) -> Column:
    cells = [
        _fact_cell(name, value, row.measurements[0])
        for value, row in zip(facts[name], rows, strict=True)
    ]
    return Column(
        heading=_PRINTED_NAMES.get(name, name),
        cells=tuple(cells),
        unit="M" if name == "parameters" else "",
        is_name=name in _NAMES,
        longest=_LONGEST_NAME,
        explanation=_EXPLANATIONS.get(name, ""),
        forms=("file",) if name in _SPEED else EVERYWHERE,
    )


def _fact_cell(name: str, value: Any, item: Measurement) -> Cell:
    if pd.isna(value):
        return Cell(text=FACTS[name].shown(item) or ABSENT) if name in FACTS else Cell()
    if name in _SPEED:
        return Cell(text=f"{value:.1f}", value=value)
    if name not in _EXPLANATIONS:
        return Cell(text=str(value))
    origin = Origin(records=(item,), heading=_EXPLANATIONS[name], exact=str(value))
    if name == "guidance":
        return Cell(text=f"{value:g}", value=value, origin=origin)
    return (millions_cell if name == "parameters" else count_cell)(value, origin)


def _metric_column(name: str, rows: Sequence[Row], ends: Ends, said: Mapping[str, str]) -> Column:
    items = [row.scores.get(name) for row in rows]
    about = next(item for item in items if item is not None)
    decimals = decimals_of([item.value for item in items if item is not None], about.unit)
    cells = []
    for row, item in zip(rows, items, strict=True):
        if item is None:
            cells.append(Cell())
            continue
        both = [
            number_cell(end, item.unit, decimals).text for end in ends.get((row.title, name), ())
        ]
        cells.append(
            replace(
                number_cell(
                    item.value,
                    item.unit,
                    decimals,
                    origin=Origin(records=(item,)),
                    spread=spread_over_draws(row, name) if item.draws == MEAN else math.nan,
                ),
                interval=" to ".join(both),
                marks=" ".join(dict.fromkeys(said[n] for n in item.notes if n in said)),
            )
        )
    return Column(
        heading=about.label,
        cells=tuple(cells),
        unit=about.unit,
        larger_is_better=about.larger_is_better,
        forms=_forms_of(name),
    )


def _forms_of(metric: str) -> tuple[Form, ...]:
    """Leave all but mIoU and the distances over several draws to wider places than a screen."""
    over, base = over_of(metric), base_of(metric)
    return EVERYWHERE if over is None or base == METRIC or is_frechet(base) else _WIDE


def _letters(items: Sequence[Measurement]) -> dict[str, str]:
    """Letters of the notes that only some numbers carry; the others hold for all."""
    joined = _wordings(items)
    of_items = [[joined[note] for note in item.notes] for item in items]
    everywhere = set.intersection(*map(set, of_items)) if items else set()
    own = dict.fromkeys(note for notes in of_items for note in notes if note not in everywhere)
    return {
        note: _MARKS[place] if place < len(_MARKS) else str(place) for place, note in enumerate(own)
    }


def _wordings(items: Sequence[Measurement]) -> dict[str, str]:
    return wordings(note for item in items for note in item.notes)


def _is_informative(table: pd.DataFrame, name: str, firsts: Sequence[Measurement]) -> bool:
    """Return whether a column of facts says anything; equal numbers of images say it once."""
    if name == "source":
        return True
    if name in FACTS:
        return FACTS[name].is_shown(firsts)
    if name == "N_real":
        return bool((table["N_real"].notna() & (table["N_real"] != table["N"])).any())
    return name in table and bool(table[name].notna().any())
