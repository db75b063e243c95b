# SPDX-License-Identifier: Apache-2.0
"""The speed of the distance, measured: values agree, the ratio is what the seconds say."""

import json

import pytest
import scipy

from spade_eval.bench import timing
from spade_eval.bench.distance import TARGETS, UNCERTAINTY_TARGETS, time_distance
from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.reports.statistics.feature_distances import frechet


def test_both_forms_give_one_value() -> None:
    full, deficient = time_distance(24, 200, 2, seed=0), time_distance(24, 10, 2, seed=0)
    assert full["ours"] == pytest.approx(full["scipy"], rel=1e-9)
    # Below full rank SciPy's form adds the roots of rounding errors of zero eigenvalues.
    assert deficient["ours"] == pytest.approx(deficient["scipy"], abs=1e-3)
    assert full["ratio"] == full["ours_seconds"] / full["scipy_seconds"]
    assert 0 < full["fastest"] < full["ours_seconds"] < full["slowest"]
    assert 0 < full["scipy_fastest"] < full["scipy_seconds"] < full["scipy_slowest"]
    assert full["target"] is None


def test_the_sizes_of_fid_have_targets() -> None:
    assert TARGETS == {(2048, 5000): 0.25, (2048, 500): 0.02}
    assert UNCERTAINTY_TARGETS == {(2048, 5000): 60}


def test_the_uncertainty_is_timed_on_the_same_sets() -> None:
    given = []
    row = time_distance(4, 10, 1, seed=0, uncertainty=lambda *sets: given.append(sets))
    ((real, made),) = given
    assert real.shape == made.shape == (10, 4)
    assert frechet(real, made) == pytest.approx(row["ours"], rel=1e-6)
    assert 0 < row["uncertainty_seconds"] < 60
    assert row["uncertainty_core_seconds"] >= 0
    assert row["uncertainty_target"] is None


def test_each_form_has_its_own_times_and_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([5.0, 7.0, 9.0])  # one of each, in the first run
    ticks = iter(range(100))
    monkeypatch.setattr(timing, "peak_mib", lambda device: next(peaks))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: 2.0 ** next(ticks))
    row = time_distance(4, 10, 1, seed=0, warm_up=2)
    # A run takes two readings and three forms take turns: the first that counts starts at 12.
    assert (row["ours_seconds"], row["scipy_seconds"]) == (2.0**12, 2.0**14)
    assert row["eigenvalues_seconds"] == 2.0**16
    assert (row["repeats"], row["warm_up"]) == (1, 2)
    assert (row["peak_mib"], row["scipy_peak_mib"]) == (5.0, 7.0)


def test_command_prints_a_table_and_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "distance", "--dim", "16", "--n", "100", "--n", "8", "--repeats", "1"])
    assert not ended.value.code
    *table, first, second = capsys.readouterr().out.splitlines()
    assert table[0].split() == [
        "dim",
        "N",
        "ours",
        "SciPy",
        "eigenvalues",
        "ratio",
        "target",
        "ours",
        "-",
        "SciPy",
        "uncertainty",
        "of",
        "cores",
        "target",
    ]
    assert [line.split()[:2] for line in table[1:]] == [["16", "100"], ["16", "8"]]
    found = [json.loads(line) for line in (first, second)]
    assert [row["num_images"] for row in found] == [100, 8]
    assert {row["bench"] for row in found} == {"distance"}
    assert {row["scipy_version"] for row in found} == {scipy.__version__}
    assert {row["seed"] for row in found} == {0}
    assert all(row["uncertainty_seconds"] > 0 for row in found)
    assert found[0]["scipy"] == pytest.approx(found[0]["ours"], rel=1e-9)  # the distance


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="--n 1"):
        time_distance(16, 1, 1, seed=0)
