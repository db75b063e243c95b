# SPDX-License-Identifier: Apache-2.0
"""The red team's table: what cheats gain in mIoU, and which column tells each of them."""

from collections.abc import Sequence

import pandas as pd

from spade_eval.reports.measured.grouping import CHEAT, Row, value_of
from spade_eval.reports.measured.panels import MODELS, Panel
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.alarms import DISTANCE, RULES, Alarms, Reading, Rule
from spade_eval.reports.tables.table import (
    Cell,
    Column,
    Table,
    name_column,
    number_cell,
    rules_between,
)

_MARK = "!"
_NONE = "none"


def red_team_table(panel: Panel, alarms: Alarms) -> Table:
    """Lay out bounds, models and cheats; a column that rings for a row has a mark there."""
    rows = [row[0] for row in panel.rows]
    kinds = [row.kind for row in rows]
    read = [alarms.readings[row.title] for row in rows]
    told = [_told(row, alarms) for row in rows]
    columns = [
        name_column("source", [row.title for row in rows]),
        name_column("kind", kinds),
        Column(heading="mIoU", unit="%", cells=tuple(map(_miou, rows))),
        *(_column(rule, [readings[rule.name] for readings in read]) for rule in RULES),
        name_column("told by", told),
    ]
    frame: dict[str, Sequence[object]] = {"source": [row.title for row in rows], "kind": kinds}
    frame |= {"miou": [value_of(row.scores.get("miou")) for row in rows]}
    for rule in RULES:
        found = [readings[rule.name] for readings in read]
        frame[rule.name] = [item.text or item.value for item in found]
        frame[f"{rule.name} rings"] = [item.rings for item in found]
    return Table(
        title=f"Red team: {panel.title}",
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=rules_between(kinds) | _first_cheat(kinds),
        notes=(*_rules(), *findings(panel, alarms)),
        frame=pd.DataFrame({**frame, "told by": told}),
    )


def findings(panel: Panel, alarms: Alarms) -> list[str]:
    """Say of each cheat what it gains and what tells it; of some, that nothing does."""
    models = [row for row in panel.rows if row[0].kind in MODELS]
    said = []
    for rows in (row for row in panel.rows if row[0].kind == CHEAT):
        row, gain = rows[0], _gain(rows, models)
        told, rung = alarms.told[row.title], alarms.rung[row.title]
        by = f"told by {', '.join(told)}" if told else "told by no column, which is a finding"
        also = f"; {', '.join(rung)} rings for models as well" if rung else ""
        blind = alarms.blind.get(row.title, ())
        but = f"; {DISTANCE}, is silent in the features of {', '.join(blind)}" if blind else ""
        said.append(f"{row.title}: {gain}; {by}{but}{also}.")
    return said


def _rules() -> list[str]:
    rings = "; ".join(f"{rule.name}: {rule.says}" for rule in RULES)
    return [
        f"A column rings ({_MARK}) where: {rings}.",
        "A column tells a cheat if it rings for it and for no model of this run.",
    ]


def _told(row: Row, alarms: Alarms) -> str:
    if row.kind != CHEAT:
        return "-"
    return ", ".join(alarms.told[row.title]) or _NONE


def _gain(rows: Sequence[Row], models: Sequence[Sequence[Row]]) -> str:
    """Say which models a cheat leaves behind, and whether it does so under every segmenter."""
    ahead = [model for model in models if _ahead(rows[0], model[0])]
    if not ahead:
        return "ahead of no model in mIoU"
    gain = f"ahead of {', '.join(model[0].title for model in ahead)} in mIoU"
    if len(rows) == 1:
        return gain
    lasting = [model for model in ahead if all(map(_ahead, rows, model))]
    if len(lasting) == len(ahead):
        return f"{gain} under all {len(rows)} segmenters"
    still = ", ".join(model[0].title for model in lasting)
    return f"{gain}; under all {len(rows)} segmenters ahead of {still or 'none'}"


def _ahead(row: Row, model: Row) -> bool:
    return value_of(row.scores.get("miou")) > value_of(model.scores.get("miou"))


def _miou(row: Row) -> Cell:
    item = row.scores.get("miou")
    return Cell() if item is None else number_cell(item.value, "%", origin=Origin(records=(item,)))


def _column(rule: Rule, readings: Sequence[Reading]) -> Column:
    cells = []
    for item in readings:
        cell = Cell(text=item.text) if item.text else number_cell(item.value, rule.unit)
        text = f"{cell.text} {_MARK}" if item.rings else cell.text
        cells.append(Cell(text=text, value=cell.value))
    return Column(heading=rule.name, cells=tuple(cells), unit=rule.unit, explanation=rule.says)


def _first_cheat(kinds: Sequence[str]) -> frozenset[int]:
    return frozenset([kinds.index(CHEAT)]) if CHEAT in kinds else frozenset()
