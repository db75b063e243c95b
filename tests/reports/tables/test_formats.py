# SPDX-License-Identifier: Apache-2.0
"""Printed tables as text, Markdown and LaTeX: marks, rules, and names that are never markup."""

import math
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import group, run

from spade_eval.errors import UserError
from spade_eval.reports.tables.formats import (
    as_markdown,
    as_text,
    markdown_escaped,
    text_with_notes,
)
from spade_eval.reports.tables.latex import LatexForm, as_latex, latex_escaped
from spade_eval.reports.tables.score_layout import scores
from spade_eval.reports.tables.table import (
    Column,
    Table,
    decimals_of,
    marked_column,
    name_column,
    number_cell,
    rounded,
)

HOSTILE = r"<img onerror=x> a_b & 50% #1 $x$ {y} ~^\input{z} |`" + '"*é'


def column(
    heading: str,
    values: list[float],
    unit: str,
    larger_is_better: bool,
    spreads: Sequence[float] = (math.nan, math.nan),
) -> Column:
    around = [math.nan, spreads[0], math.nan, spreads[1]]
    cells = [
        number_cell(value, unit, spread=spread)
        for value, spread in zip(values, around, strict=True)
    ]
    return Column(heading=heading, cells=tuple(cells), unit=unit, larger_is_better=larger_is_better)


def hostile_table() -> Table:
    models = ["real", HOSTILE, "second", "last"]
    miou = column("mIoU", [0.9, 0.51234, 0.4, -0.3], "%", True, [0.01, 0.0])
    return Table(
        title=f"A table of {HOSTILE}",
        columns=(
            name_column("row", models),
            marked_column(miou, [False, True, False, False]),
            marked_column(column("FID", [0, 30.0, 20.0, math.nan], "", False), [False] * 4),
        ),
        rules=frozenset({1}),
        notes=(f"A note on {HOSTILE}.",),
    )


def test_what_is_shown_stands_first_below_a_table_in_every_form() -> None:
    table = replace(hostile_table(), shown="Shown: a_b.", notes=("last",))
    page, text = as_markdown(table), "\n".join(text_with_notes(table))
    assert page.index("bold: no other") < page.index(r"Shown: a\_b.") < page.index("- last")
    assert text.index("* no other") < text.index("Shown: a_b.") < text.index("Note: last")
    latex = as_latex(table, "a")
    assert latex.index(r"Shown: a\_b.") < latex.index("[] last")
    assert table.page_notes[:2] == [("", "Shown: a_b."), ("", "last")]


def test_rounding_is_only_for_print() -> None:
    assert rounded(float("nan"), 2) == "-"
    assert rounded(-0.001, 2) == "0.00"
    assert rounded(12.345678, 1) == "12.3"


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (0.51234, "%", 2, ("51.23", 51.234)),
        (0.5, "", 4, ("0.5000", 0.5)),
        (None, "%", 2, ("-", None)),
        (math.nan, "", 2, ("-", None)),
    ],
)
def test_numbers_in_print(
    value: float | None, unit: str, decimals: int, expected: tuple[str, float | None]
) -> None:
    cell = number_cell(value, unit, decimals)
    assert (cell.text, cell.value) == (expected[0], pytest.approx(expected[1]))


def test_small_distances_have_more_decimals() -> None:
    assert decimals_of([0.03, None, math.nan], "") == 4
    assert decimals_of([0.03, 1.2], "") == 2
    assert decimals_of([0.03], "%") == 2


def test_a_form_shows_its_own_columns() -> None:
    table = hostile_table()
    hidden = replace(table.columns[2], heading="hidden", forms=("file",))
    table = replace(table, columns=(*table.columns, hidden))
    assert "hidden" not in as_text(table)
    assert "hidden" in as_markdown(table)
    assert "hidden" in as_latex(table, "a")
    assert hidden not in table.columns_of("page")


def test_text_has_rules_and_one_mark() -> None:
    lines = as_text(hostile_table()).splitlines()
    assert sum(set(line) == {"-"} for line in lines) == 2
    assert any("51.23 ± 1.00*" in line for line in lines)


def test_markdown_is_a_table_in_which_names_are_text() -> None:
    page = as_markdown(hostile_table())
    rows = [line for line in page.splitlines() if line.startswith("|")]
    # Unescaped bars are the borders of cells alone.
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert rows[1] == "| :-- | --: | --: |"
    assert "**51.23 ± 1.00**" in page
    assert "<img" not in page
    assert markdown_escaped("a\nb") == "a b"


def test_latex_is_booktabs_with_marked_cells_in_bold() -> None:
    text = as_latex(hostile_table(), "tab:a_b{c")
    assert r"\textbf{51.23 $\pm$ 1.00}" in text
    assert r"$-$30.00" in text
    assert text.count(r"\midrule") == 2
    for name in (r"\toprule", r"\bottomrule", r"\begin{tabular}{lrr}", r"\label{tab:a-b-c}"):
        assert text.count(name) == 1
    assert r"\input" not in text
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    cells = [len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines() if r" \\" in line]
    assert set(cells) == {2}
    assert latex_escaped("a\nb\x00") == "ab"
    assert latex_escaped("[1ex]*") == "{[}1ex{]}{*}"


def test_latex_drops_what_all_rows_share_and_says_it_in_the_caption() -> None:
    text = as_latex(scores(group(run())), "tab:a")
    head = text.split(r"\toprule")[1].split(r"\midrule")[0]
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    assert "N" not in re.findall(r"\w+", head)
    assert "In every row: N 500" in caption
    assert "steps" in head, "bounds have none"
    assert "mIoU" in head


def test_latex_goes_across_both_columns_where_it_is_wide() -> None:
    wide = scores(group(run()))
    assert r"\begin{table*}" in as_latex(wide, "tab:a")
    narrow = as_latex(wide, "tab:a", LatexForm(columns=("mIoU", "fd (IN-domain)")))
    assert r"\begin{table}" in narrow
    assert r"\end{table}" in narrow
    assert r"\begin{tabular}{lrr}" in narrow


def test_latex_has_the_columns_and_names_that_a_paper_asks_for() -> None:
    form = LatexForm(columns=("frequency-weighted IoU", "mIoU"), names={"spade": "SPADE & co"})
    text = as_latex(scores(group(run())), "tab:a", form)
    head = text.split(r"\toprule")[1].split(r"\midrule")[0]
    assert head.index("frequency") < head.index("mIoU")
    assert r"SPADE \& co & " in text
    assert "spade" not in text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    with pytest.raises(UserError, match="no column is called 'FIDD', expected some of: kind"):
        as_latex(scores(group(run())), "tab:a", LatexForm(columns=("FIDD",)))


def test_latex_notes_stand_apart() -> None:
    text = as_latex(replace(hostile_table(), notes=("[50%] of all",)), "tab:a")
    notes = text.split(r"\begin{tablenotes}")[1].split(r"\end{tablenotes}")[0]
    assert r"\item[] {[}50\%{]} of all" in notes
    assert text.index(r"\end{tabular}") < text.index(r"\begin{tablenotes}")
    opened = re.findall(r"\\begin\{([^}]+)\}", text)
    closed = re.findall(r"\\end\{([^}]+)\}", text)
    assert sorted(opened) == sorted(closed)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX on this machine")
def test_latex_compiles(tmp_path: Path) -> None:
    tables = [hostile_table(), replace(scores(group(run())), notes=("% of pixels",))]
    body = "\n".join(as_latex(table, f"tab:{place}") for place, table in enumerate(tables))
    document = (
        "\\documentclass{article}\\usepackage{booktabs,threeparttable}\\usepackage[T1]{fontenc}"
        f"\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run(
        [*command, "t.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "t.pdf").stat().st_size > 5000
