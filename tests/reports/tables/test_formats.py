# SPDX-License-Identifier: Apache-2.0
"""Printed tables as text, Markdown and LaTeX: marks, rules, and names that are never markup."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic import group, run

from spade_eval.reports.tables.formats import (
    as_latex,
    as_markdown,
    as_text,
    latex_escaped,
    markdown_escaped,
)
from spade_eval.reports.tables.printed import Printed, marks_of, name_column, number_column, rounded
from spade_eval.reports.tables.scores import printed_scores, scores_table

HOSTILE = r"<img onerror=x> a_b & 50% #1 $x$ {y} ~^\input{z} |`" + '"*é'


def hostile_table() -> Printed:
    models = ["real", HOSTILE, "second", "last"]
    kinds = ["real", "generator", "generator", "generator"]
    return Printed(
        title=f"A table of {HOSTILE}",
        columns=(
            name_column("row", models),
            number_column("mIoU", [0.9, 0.51234, 0.4, -0.3], unit="%", larger_is_better=True,
                          kinds=kinds, spreads=[float("nan"), 0.01, float("nan"), 0.0]),
            number_column("FID", [0, 30.0, 20.0, float("nan")], unit="", larger_is_better=False,
                          kinds=kinds),
        ),
        rules=frozenset({1}),
        notes=(f"A note on {HOSTILE}.",),
    )  # fmt: skip


def test_marks_go_to_the_best_and_second_model() -> None:
    kinds = ["real", "generator", "checkpoint", "images"]
    assert marks_of([0.9, 0.2, 0.5, 0.4], True, kinds) == ["", "", "best", "second"]
    assert marks_of([0.9, 0.2, 0.5, 0.4], False, kinds) == ["", "best", "", "second"]
    assert marks_of([0.9, 0.5, 0.5, 0.4], True, kinds) == ["", "best", "best", "second"]
    assert marks_of([0.9, 0.5, float("nan"), float("nan")], True, kinds) == [""] * 4


def test_rounding_is_only_for_print() -> None:
    assert rounded(float("nan"), 2) == "-"
    assert rounded(-0.001, 2) == "0.00"
    assert rounded(12.345678, 1) == "12.3"


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
    assert "<ins>40.00</ins>" in page
    assert "<img" not in page
    assert markdown_escaped("a\nb") == "a b"


def test_latex_is_booktabs_with_bold_best_and_underlined_second() -> None:
    text = as_latex(hostile_table(), "tab:a_b{c")
    assert r"\textbf{51.23 $\pm$ 1.00}" in text
    assert r"\underline{40.00}" in text
    assert r"$-$30.00" in text
    assert text.count(r"\midrule") == 2
    for name in (r"\toprule", r"\bottomrule", r"\begin{tabular}{lrr}", r"\label{tab:a-b-c}"):
        assert text.count(name) == 1
    assert r"\input" not in text
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    cells = [len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines() if r" \\" in line]
    assert set(cells) == {2}
    assert latex_escaped("a\nb\x00") == "ab"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX on this machine")
def test_latex_compiles(tmp_path: Path) -> None:
    scores = scores_table(group(run()))
    tables = [hostile_table(), printed_scores(scores, "Scores", ["% of pixels"])]
    body = "\n".join(as_latex(table, f"tab:{place}") for place, table in enumerate(tables))
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\usepackage[T1]{fontenc}"
        f"\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run(
        [*command, "t.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "t.pdf").stat().st_size > 5000
