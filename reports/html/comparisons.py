# SPDX-License-Identifier: Apache-2.0
"""The comparison of a model with its baselines as tables: differences with their intervals.

The verdict stands in words beside the numbers; a colour alone says nothing.
"""

from typing import TYPE_CHECKING, Literal

from spade_eval.reports.html.details import Details
from spade_eval.reports.html.views import (
    Cell,
    Column,
    Section,
    Table,
    TableRow,
    decimals_of,
    number,
)

if TYPE_CHECKING:
    from spade_eval.reports.statistics.comparison import (
        ClassDifference,
        Comparison,
        Difference,
        Pair,
    )

_VERDICT = Column(title="verdict")
_RANKS: dict[str, Literal["better", "worse"]] = {"better": "better", "worse": "worse"}


def comparison_section(comparison: "Comparison", details: Details) -> Section:
    """One table of metrics over all baselines, then classes and images of each baseline."""
    tables = [_metrics(comparison, details)]
    for pair in comparison.pairs:
        tables += [_classes(pair, details)] if pair.classes else []
        tables += [_images(pair, details)] if pair.images else []
    return Section(
        anchor="comparison",
        nav="Comparison",
        title=comparison.title,
        lead="Differences are the model minus the baseline; intervals hold 95%.",
        tables=tuple(tables),
    )


def _score_columns(subject: str, baseline: str) -> list[Column]:
    names = (subject, baseline, "difference", "from", "to")
    return [Column(title=name, is_number=True) for name in names]


def _metrics(comparison: "Comparison", details: Details) -> Table:
    columns = [Column(title="baseline"), Column(title="metric")]
    columns += [*_score_columns(comparison.subject, "of the baseline"), _VERDICT]
    rows = [
        TableRow(
            cells=(
                Cell(text=pair.baseline),
                Cell(text=f"{item.label}{f', {item.unit}' if item.unit else ''}"),
                *_numbers(item, item.unit, _origin(pair, item.label, item.method), details),
                _verdict(item.verdict),
            )
        )
        for pair in comparison.pairs
        for item in pair.differences
    ]
    return Table(
        title="Differences",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(("", note) for note in comparison.notes),
    )


def _classes(pair: "Pair", details: Details) -> Table:
    columns = [Column(title="class"), *_score_columns(pair.subject, pair.baseline), _VERDICT]
    rows = [
        TableRow(
            cells=(
                Cell(text=item.name),
                *_numbers(item, "%", _origin(pair, f"IoU of {item.name}", ""), details),
                _verdict(item.verdict),
            )
        )
        for item in pair.classes
    ]
    title = f"IoU by class, %: {pair.subject} against {pair.baseline}"
    return Table(title=title, columns=tuple(columns), rows=tuple(rows))


def _images(pair: "Pair", details: Details) -> Table:
    columns = [Column(title="image"), *_score_columns(pair.subject, pair.baseline)[:3]]
    rows = []
    for item in pair.images:
        origin = _origin(pair, f"accuracy of image {item.name}", "counts of that image alone")
        cells = [
            _number(value, "%", 2, name, origin, details)
            for name, value in (
                (pair.subject, item.subject),
                (pair.baseline, item.baseline),
                ("difference", item.difference),
            )
        ]
        rows.append(TableRow(cells=(Cell(text=item.name, image=item.name), *cells)))
    return Table(
        title=f"Images that differ most, accuracy in %: {pair.subject} against {pair.baseline}",
        columns=tuple(columns),
        rows=tuple(rows),
    )


def _verdict(text: str) -> Cell:
    return Cell(text=text, rank=_RANKS.get(text, ""))


def _origin(pair: "Pair", what: str, method: str) -> dict[str, str]:
    facts = {"number": what, "model": pair.subject, "baseline": pair.baseline, "method": method}
    facts["computed from"] = "the records and per-image counts of both (see the scores' provenance)"
    return {key: value for key, value in facts.items() if value}


def _numbers(
    item: "Difference | ClassDifference",
    unit: str,
    origin: dict[str, str],
    details: Details,
) -> list[Cell]:
    values = {
        "model": item.subject,
        "baseline": item.baseline,
        "difference": item.difference,
        "low end of the interval": item.low,
        "high end of the interval": item.high,
    }
    decimals = decimals_of(list(values.values()), unit)
    return [_number(value, unit, decimals, name, origin, details) for name, value in values.items()]


def _number(
    value: float | None,
    unit: str,
    decimals: int,
    name: str,
    origin: dict[str, str],
    details: Details,
) -> Cell:
    text, shown = number(value, unit, decimals)
    if shown is None:
        return Cell()
    signed = f"{shown:+.{decimals}f}" if name == "difference" else text
    detail = details.stated(f"{origin['number']}: {name}", repr(value), origin)
    return Cell(text=signed, value=shown, detail=detail)
