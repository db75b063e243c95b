# SPDX-License-Identifier: Apache-2.0
"""The speed of the distance, measured: values agree, the ratio is what the seconds say."""

import json

import pytest

from spade_eval.bench_distance import TARGETS, time_distance
from spade_eval.cli import main
from spade_eval.errors import UserError


def test_both_forms_give_one_value() -> None:
    full, deficient = time_distance(24, 200, 2, seed=0), time_distance(24, 10, 2, seed=0)
    assert full.ours == pytest.approx(full.scipy, rel=1e-9)
    # Below full rank SciPy's form adds the roots of rounding errors of zero eigenvalues.
    assert deficient.ours == pytest.approx(deficient.scipy, abs=1e-3)
    assert full.ratio == full.ours_seconds / full.scipy_seconds
    assert min(full.ours_seconds, full.scipy_seconds) > 0
    assert full.target is None


def test_the_sizes_of_fid_have_targets() -> None:
    assert TARGETS == {(2048, 5000): 0.25, (2048, 500): 0.02}


def test_command_prints_a_table_and_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "distance", "--dim", "16", "--n", "100", "--n", "8", "--repeats", "1"])
    assert not ended.value.code
    *table, last = capsys.readouterr().out.splitlines()
    assert table[0].split() == [
        "dim",
        "N",
        "ours",
        "SciPy",
        "ratio",
        "target",
        "ours",
        "-",
        "SciPy",
    ]
    assert [line.split()[:2] for line in table[1:]] == [["16", "100"], ["16", "8"]]
    found = json.loads(last)
    assert [row["num_images"] for row in found["rows"]] == [100, 8]
    assert found["threads"] >= 1
    assert found["scipy"]


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="--n 1"):
        time_distance(16, 1, 1, seed=0)
