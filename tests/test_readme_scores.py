# SPDX-License-Identifier: Apache-2.0
"""The README's table stands in a file, number by number, and has the form of a fresh run's."""

import csv
import re
from pathlib import Path

import pytest

from spade_eval.cli import main
from spade_eval.metrics import columns
from spade_eval.reports.run_report import printed_table
from spade_eval.reports.runs import open_run
from spade_eval.reports.tables.scores import scores_table

ROOT = Path(__file__).resolve().parents[1]
(BLOCK,) = re.findall(
    r"^<!-- scores -->\n(.*)^<!-- /scores -->$",
    (ROOT / "README.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)
with (ROOT / "README-scores.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
METRICS = [name for name in ROWS[0] if name in columns()]


def shown(row: dict[str, str]) -> list[str]:
    """The numbers of a row as the table prints them."""
    parameters, steps = row["parameters"], row["train_steps"]
    numbers = [f"{int(parameters) / 1e6:.2f}M" if parameters else "-", steps or "-", row["N"]]
    for name in METRICS:
        factor = 100 if columns()[name].unit == "%" else 1
        numbers.append(f"{factor * float(row[name]):.2f}")
    return numbers


@pytest.mark.parametrize("row", ROWS, ids=[row["source"] for row in ROWS])
def test_every_number_of_the_table_is_in_the_file(row: dict[str, str]) -> None:
    (line,) = re.findall(rf"^{row['source']} .*", BLOCK, re.MULTILINE)
    assert [text.rstrip("*") for text in line.split()[-len(shown(row)) :]] == shown(row)


def test_the_table_has_no_other_rows_and_states_its_commit() -> None:
    lines = BLOCK.split("---\n", 1)[1].split("↑ larger")[0].splitlines()
    assert len([line for line in lines if line.strip("-")]) == len(ROWS)
    (commit,) = {row["commit"] for row in ROWS}
    assert re.search(rf"commit {commit[:8]}\b", BLOCK)
    assert "one training each" in BLOCK


@pytest.mark.slow
def test_the_table_has_the_form_of_a_fresh_run(tmp_path: Path) -> None:
    tiny = ["--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625"]
    with pytest.raises(SystemExit):
        main(["benchmark", *tiny, "--limit", "2", "--no-report", "--out", str(tmp_path)])
    (group,) = open_run(tmp_path).groups
    fresh, written = printed_table(group).splitlines(), BLOCK.splitlines()
    head = slice(fresh.index("") + 1, next(i for i, s in enumerate(fresh) if s.startswith("---")))
    assert " ".join(fresh[head]).split() == " ".join(written[1:][head]).split()
    frame = scores_table(group)
    assert list(frame.attrs["metrics"]) == METRICS
    assert list(frame["source"]) == [row["source"] for row in ROWS]
    assert list(frame["kind"]) == [row["kind"] for row in ROWS]
