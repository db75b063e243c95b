# SPDX-License-Identifier: Apache-2.0
"""The table of all systems for docs/systems.md: facts that are given, scores from records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import ProtocolGroup, by_protocol
from spade_eval.reports.measured.provenance import shared_provenance
from spade_eval.reports.measured.seeds import SeededRow, metrics_of, seeded_notes, seeded_rows
from spade_eval.reports.tables.formats import as_markdown
from spade_eval.reports.tables.table import (
    ABSENT,
    Cell,
    Column,
    Table,
    decimals_of,
    name_column,
    number_cell,
)

# Metrics of a row, the first ones in the order of columns: so many in percent and distances.
_SHOWN = {True: 2, False: 1}


@dataclass(frozen=True, kw_only=True)
class SystemFacts:
    """One system as its classes and its file tell of it."""

    model: str  # that stands for it, and whose records are shown
    others: tuple[str, ...]  # further models that it trains
    paper: str
    sees: str
    trained: str
    released: tuple[str, ...]
    parameters: Mapping[str, int]  # by dataset
    protocol: str
    licence: str


def systems_text(facts: Sequence[SystemFacts], measurements: Sequence[Measurement]) -> str:
    """Return the table as Markdown with its notes."""
    return as_markdown(systems_table(facts, by_protocol(measurements)))


def systems_table(facts: Sequence[SystemFacts], groups: Sequence[ProtocolGroup]) -> Table:
    """Lay out a row a system."""
    texts: dict[str, list[str]] = {
        "system": [_name(item) for item in facts],
        "paper": [item.paper for item in facts],
        "sees": [item.sees for item in facts],
        "trained (release)": [item.trained for item in facts],
        "released files that load": [", ".join(item.released) or ABSENT for item in facts],
        "scored in its paper by": [item.protocol for item in facts],
        "measured here": [measured(item.model, groups) for item in facts],
        "licence of the original": [item.licence for item in facts],
    }
    columns = {heading: name_column(heading, cells) for heading, cells in texts.items()}
    counts = [
        Column(
            heading=f"parameters {title}",
            cells=tuple(_count(item.parameters[title]) for item in facts),
        )
        for title in facts[0].parameters
    ]
    ordered = list(columns.values())
    place = list(columns).index("scored in its paper by")
    return Table(
        title="",
        columns=(*ordered[:place], *counts, *ordered[place:]),
        notes=tuple(_notes([item.model for item in facts], groups)),
    )


def measured(model: str, groups: Sequence[ProtocolGroup]) -> str:
    """Return the first scores of a model under every protocol; "-" where nothing is recorded."""
    found = [f"{group.key.dataset}: {_scores(row, group)}" for group, row in _rows([model], groups)]
    return "; ".join(found) or ABSENT


def _rows(
    models: Sequence[str], groups: Sequence[ProtocolGroup]
) -> list[tuple[ProtocolGroup, SeededRow]]:
    """Return the rows of trained models of these names."""
    return [
        (group, row)
        for group in groups
        for row in seeded_rows(group)
        if row.kind == "generator" and row.source in models
    ]


def _scores(row: SeededRow, group: ProtocolGroup) -> str:
    parts: dict[bool, list[str]] = {True: [], False: []}
    for name, facts in metrics_of(seeded_rows(group)).items():
        summary = row.summary(name)
        decimals = decimals_of([summary.mean], facts["unit"])
        cell = number_cell(summary.mean, facts["unit"], decimals, spread=summary.spread)
        if cell.text != ABSENT:
            parts[facts["unit"] == "%"].append(f"{facts['label']} {cell.printed}{facts['unit']}")
    shown = [text for kind, count in _SHOWN.items() for text in parts[kind][:count]]
    shown.append(f"{row.first.train_steps} steps")
    if len(row.versions) > 1:
        shown.append(f"{len(row.versions)} seeds")
    return ", ".join(shown)


def _name(item: SystemFacts) -> str:
    count = len(item.others)
    return f"{item.model} (and {count} more)" if count else item.model


def _count(number: int) -> Cell:
    return Cell(text=f"{number:,}", value=number)


def _notes(models: Sequence[str], groups: Sequence[ProtocolGroup]) -> list[str]:
    """Say under which protocols the measured rows stand, and what must be known of them."""
    shown = _rows(models, groups)
    titles = dict.fromkeys(f"measured: {group.title}" for group, _ in shown)
    notes = seeded_notes([row for _, row in shown])
    items = [item for group, _ in shown for item in group.measurements]
    return [*titles, *dict.fromkeys(notes), *(shared_provenance(items, models) if items else [])]
