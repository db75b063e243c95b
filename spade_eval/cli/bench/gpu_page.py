# SPDX-License-Identifier: Apache-2.0
"""The Markdown page of `spade-eval bench gpu`, and what its lines suggest for the code.

It is made anew of all lines after each of them, so that it is whole whenever the machine is gone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spade_eval.cli.bench import distance, generator, networks, score
from spade_eval.cli.bench.lines import PEAK, RATIO, SIZE, Column, optional

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row

Lines = Sequence["Row"]  # of JSON, in the order of their measurements


def _milliseconds(row: "Row", name: str = "seconds") -> str:
    return optional(None if row.get(name) is None else 1000 * row[name], ".2f")


def _spread(row: "Row") -> str:
    return f"{_milliseconds(row, 'fastest')} - {_milliseconds(row, 'slowest')}"


def _passed(row: "Row") -> str:
    return {True: "passed", False: "FAILED", None: row.get("note", "-")}[row["passed"]]


_TIMES = (
    Column("ms", 9, _milliseconds),
    Column("from - to", 15, _spread),
    RATIO,
    Column("share", 6, lambda row: optional(row["share"], ".0%")),
    Column("share of own", 6, lambda row: optional(row["own_share"], ".0%")),
    PEAK,
    Column("deviation", 9, lambda row: optional(row["deviation"], ".1e")),
)
_GENERATOR = (
    Column("model", 12, lambda row: row["model"], "<"),
    *(column for column in generator.COLUMNS if column.title in (SIZE.title, "batch", "variant")),
    *_TIMES,
    Column("first, s", 8, lambda row: f"{row['first']:.1f}"),
)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "ceiling": (
        Column("what", 24, lambda row: row["what"], "<"),
        Column("rate", 12, lambda row: f"{row['rate']:.3g} {row['unit']}"),
    ),
    "check": (
        Column("check", 40, lambda row: row["check"], "<"),
        Column("cases", 5, lambda row: optional(row.get("cases"), "d")),
        Column("largest difference", 9, lambda row: optional(row.get("largest"), ".1e")),
        Column("limit", 9, lambda row: optional(row.get("limit"), ".1e")),
        Column("result", 8, _passed, "<"),
    ),
    "generator": _GENERATOR,
    "networks": (*networks.NETWORK, *_TIMES, networks.SAME_CLASSES),
    "layer": (
        Column("rule", 24, lambda row: row["rule"], "<"),
        SIZE,
        Column("batch", 5, lambda row: f"{row['batch']}"),
        Column("channels", 8, lambda row: f"{row['channels']}"),
        Column("gradients", 9, lambda row: "yes" if row["gradient"] else "no", "<"),
        Column("multiplications", 9, lambda row: f"{row['work']:.1e}"),
        Column("cost of looking up", 6, lambda row: f"{row['cost']:.2f}"),
        Column("dense, ms", 9, lambda row: _milliseconds(row, "dense_seconds")),
        Column("look-up, ms", 9, lambda row: _milliseconds(row, "lookup_seconds")),
        Column("of it windows, ms", 9, lambda row: _milliseconds(row, "windows_seconds")),
    ),
    "distance": tuple(c for c in distance.COLUMNS if not c.title.startswith(("unc", "of", "tar"))),
    "score": score.COLUMNS,
}
_EXPLAINED = (
    "Times are medians of runs that take turns, the device waited for at both ends. Ratios are to "
    "the plain form in float32, with TensorFloat-32 off. A share is the plain form's operations "
    "over the time and the measured rate of a float32 matrix product, or of one in the row's own "
    "number format; the fast forms do fewer operations, so theirs may be above 100%. The deviation "
    "of generators is the largest of all pixels (-1 to 1), that of scoring networks in standard "
    "deviations of the output."
)


def line_text(row: "Row") -> str:
    """Say one line of any kind, as it is measured."""
    if _is_note(row):
        return f"  {row['note']}"
    shown = (f"{column.title} {column.text(row)}" for column in _COLUMNS[row["bench"]])
    return "  " + ", ".join(text for text in shown if not text.endswith(" -"))


def page_text(lines: Lines, suggestions: Sequence[str]) -> str:
    """Write the page: the machine, what is suggested, then every section in its order."""
    from spade_eval.reports.tables.formats import as_markdown, markdown_escaped
    from spade_eval.reports.tables.table import Cell, Table, name_column
    from spade_eval.reports.tables.table import Column as TableColumn

    def table(bench: str, rows: Lines) -> str:
        columns = [
            name_column(column.title, [column.text(row) for row in rows])
            if column.align == "<"
            else TableColumn(
                heading=column.title, cells=tuple(Cell(text=column.text(row)) for row in rows)
            )
            for column in _COLUMNS[bench]
        ]
        return as_markdown(Table(title="", columns=tuple(columns)))

    parts = ["# Measured by spade-eval bench gpu", _machine(lines), _EXPLAINED]
    if suggestions:
        parts += ["## What the measurements suggest", "\n".join(f"- {s}" for s in suggestions)]
    for section in dict.fromkeys(row["section"] for row in lines):
        ours = [row for row in lines if row["section"] == section]
        parts.append(f"## {section}")
        for bench in dict.fromkeys(row["bench"] for row in ours):
            rows = [row for row in ours if row["bench"] == bench and not _is_note(row)]
            parts += [table(bench, rows)] if rows else []
        notes = [row for row in ours if _is_note(row)]
        parts += ["\n".join(
            f"- {markdown_escaped(row['title'])}: {markdown_escaped(row['note'])}" for row in notes
        )] if notes else []  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _is_note(row: "Row") -> bool:
    """Return whether a line says of a measurement only why there is none."""
    return bool(row.get("note")) and row.get("check") is None


def _machine(lines: Lines) -> str:
    from spade_eval.reports.tables.formats import markdown_escaped

    first: Any = lines[0] if lines else {}
    where = first.get("gpu") or first.get("processor")
    commit = str(first.get("commit"))[:12] + ("" if first.get("commit_clean") else " and changes")
    text = f"{where}, torch {first.get('torch')}, commit {commit}, {first.get('time')}"
    return markdown_escaped(text)


def suggestions_of(lines: Lines) -> list[str]:
    """Say which constants the measured layers suggest, and from when on compiling pays."""
    from spade_eval.bench.gpu import pays_from
    from spade_eval.bench.layers import suggested_constants

    said = []
    layers = [row for row in lines if row["bench"] == "layer" and not _is_note(row)]
    for item in suggested_constants(layers):
        cost = f", `_MOST_COST` {item['most_cost_now']:g} -> {item['most_cost']:g}"
        said.append(
            f"`{item['file']}`: `_LEAST_WORK` {item['least_work_now']:.1e} -> "
            f"{item['least_work']:.1e}{cost if item['rule'].startswith('SPADE') else ''}, for "
            f"{item['layers']} layers: {_ms(item, 'seconds')} instead of "
            f"{_ms(item, 'seconds_now')} (all dense {_ms(item, 'dense_seconds')}, all looked up "
            f"{_ms(item, 'lookup_seconds')}, the faster of each {_ms(item, 'best_seconds')})"
        )
    for dense, row in _compiled_rows(lines):
        count = pays_from(dense, row)
        paid = "never pays" if count is None else f"has paid from {count:,} batches on"
        said.append(
            f"torch.compile, {row.get('model') or row.get('network')}, "
            f"{row.get('work', 'scoring')}, {row['variant']}: {paid}"
        )
    return said


def _ms(item: "Row", name: str) -> str:
    return f"{1000 * item[name]:.1f} ms"


def _compiled_rows(lines: Lines) -> list[tuple["Row", "Row"]]:
    """Return compiled forms, each behind the same form without."""
    found = []
    for title in dict.fromkeys((row["section"], row["title"]) for row in lines):
        ours = [r for r in lines if (r["section"], r["title"]) == title and r.get("variant")]
        plain = {row["variant"]: row for row in ours}
        for row in ours:
            if "compiled" in row["variant"]:
                without = row["variant"].replace("+compiled", "")
                found.append((plain.get(without, ours[0]), row))
    return found
