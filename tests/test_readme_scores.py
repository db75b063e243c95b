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
from spade_eval.reports.statistics.intervals import uncertainties_of
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
    numbers = [f"{int(parameters) / 1e6:.2f}M" if parameters else "-", steps or "-"]
    numbers += ["1" if steps else "-", row["N"]]  # trainings
    for name in METRICS:
        factor = 100 if columns()[name].unit == "%" else 1
        numbers.append(_rounded(factor * float(row[name])))
        numbers += _corrected(row).split() if name == "fd_in_domain" else []
    return numbers


def _corrected(row: dict[str, str]) -> str:
    """The distance without its bias, as the column beside it prints it."""
    value, low, high, remark = (
        row[f"fd_in_domain_corrected{part}"] for part in ("", "_low", "_high", "_remark")
    )
    if remark:
        return f"0 ({remark})"
    return f"{_rounded(float(value))} [{_rounded(float(low))}, {_rounded(float(high))}]"


def _rounded(number: float) -> str:
    return f"{number:.2f}".replace("-0.00", "0.00")


@pytest.mark.parametrize("row", ROWS, ids=[row["source"] for row in ROWS])
def test_every_number_of_the_table_is_in_the_file(row: dict[str, str]) -> None:
    (line,) = re.findall(rf"^{re.escape(row['source'])} .*", BLOCK, re.MULTILINE)
    assert [text.rstrip("*") for text in line.split()[-len(shown(row)) :]] == shown(row)


def test_the_table_has_no_other_rows_and_states_its_commit() -> None:
    lines = BLOCK.split("---\n", 1)[1].split("↑ larger")[0].splitlines()
    names = [line.split("  ")[0] for line in lines if line.strip("-")]
    # The floor of train photos is made for the table alone.
    assert [name for name in names if name != "train photos"] == [row["source"] for row in ROWS]
    assert len(names) == len(ROWS) + 1
    (commit,) = {row["commit"] for row in ROWS}
    assert re.search(rf"commit {commit[:8]}\b", BLOCK)
    assert "one training each" in BLOCK


@pytest.mark.slow
def test_the_table_has_the_form_of_a_fresh_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "--limit", "44", "--no-report", "--out", str(tmp_path)])
    (group,) = open_run(tmp_path).groups
    known = uncertainties_of([group], [tmp_path])[group.key]
    fresh, written = printed_table(group, known).splitlines(), BLOCK.splitlines()
    head = slice(fresh.index("") + 1, next(i for i, s in enumerate(fresh) if s.startswith("---")))
    assert " ".join(fresh[head]).split() == " ".join(written[1:][head]).split()
    frame = scores_table(group)
    assert list(frame.attrs["metrics"]) == METRICS
    assert list(frame["source"]) == [row["source"] for row in ROWS]
    assert list(frame["kind"]) == [row["kind"] for row in ROWS]
