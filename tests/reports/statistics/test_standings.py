# SPDX-License-Identifier: Apache-2.0
"""Who is marked: every row that no other is shown to be better than, by tests of all pairs."""

import math
from pathlib import Path

import numpy as np
import pytest
from counted import write_run
from synthetic import group

from spade_eval.reports.statistics.intervals import row_uncertainty
from spade_eval.reports.statistics.multiplicity import holm
from spade_eval.reports.statistics.over_seeds import seed_results
from spade_eval.reports.statistics.sides import Side
from spade_eval.reports.statistics.sides import tested as compared
from spade_eval.reports.statistics.standings import (
    NOTHING_TESTED,
    sentence_of,
    standing_of,
)

VALUES = {"a": 0.5, "b": 0.49, "c": 0.3}


def by_p_value(p_values: dict[str, float]):  # type: ignore[no-untyped-def]
    return lambda one, other: (VALUES[one] - VALUES[other], p_values[one + other])


def test_rows_that_are_not_shown_to_be_worse_share_the_mark() -> None:
    standing = standing_of(VALUES, True, by_p_value({"ab": 0.4, "ac": 0.001, "bc": 0.02}))
    # Holm: 0.003, 0.04, 0.4.
    assert standing.shown == {("a", "c"), ("b", "c")}
    assert standing.marked == {"a", "b"}
    assert standing.open_pairs == [("a", "b")]
    said = sentence_of({"mIoU": standing}, "here")
    assert said == (
        "Shown at 5% here, all pairs of a column together (Holm): mIoU: a above c, b above c; "
        "not shown: a and b."
    )


def test_a_row_may_be_marked_that_is_only_not_shown_to_be_worse() -> None:
    standing = standing_of(VALUES, True, by_p_value({"ab": 0.4, "ac": 0.001, "bc": 0.03}))
    # Holm: 0.003, 0.06, 0.4: b is not shown to be above c, but a is.
    assert standing.marked == {"a", "b"}
    assert standing.shown == {("a", "c")}
    nothing = standing_of(VALUES, True, by_p_value({"ab": 0.4, "ac": 0.05, "bc": 0.4}))
    assert nothing.marked == set(VALUES)
    assert "mIoU: nothing; not shown: a and b, a and c, b and c" in sentence_of(
        {"mIoU": nothing}, "here"
    )


def test_smaller_may_be_better_and_the_tested_difference_decides() -> None:
    standing = standing_of(VALUES, False, by_p_value(dict.fromkeys(["cb", "ca", "ba"], 1e-6)))
    assert standing.titles == ("c", "b", "a")
    assert standing.marked == {"c"}
    # Without bias the order of two printed numbers may be another.
    turned = standing_of({"a": 0.5, "b": 0.49}, True, lambda one, other: (-0.1, 1e-6))
    assert turned.shown == {("b", "a")}


def test_nothing_is_marked_where_a_pair_cannot_be_tested() -> None:
    assert standing_of(VALUES, True, lambda *_: (0.1, math.nan)) == NOTHING_TESTED
    assert standing_of({"a": 0.5}, True, lambda *_: (0.1, 0.0)) == NOTHING_TESTED
    assert NOTHING_TESTED.marked == set()
    assert sentence_of({"mIoU": NOTHING_TESTED}, "here") == ""


def test_many_pairs_are_counted_and_not_listed() -> None:
    values = {f"row{place}": place / 10 for place in range(8)}
    standing = standing_of(values, True, lambda *_: (0.1, 1e-9))
    assert "28 of 28 pairs" in sentence_of({"mIoU": standing}, "here")


def test_a_run_marks_by_tests_paired_by_image(tmp_path: Path) -> None:
    found = write_run(tmp_path, {"real": 0.05, "mine": 0.3, "same": 0.3, "bad": 0.7})
    rows = group(found).rows
    standings = row_uncertainty(rows, [tmp_path]).standings
    assert standings["miou"].marked == {"mine", "same"}
    assert "real" not in standings["miou"].titles
    sides = {row.title: Side.open(row, tmp_path) for row in rows if not row.is_reference}
    pairs = [("mine", "same"), ("mine", "bad"), ("same", "bad")]
    adjusted = holm([compared("miou", sides[a], sides[b]).p_value for a, b in pairs])
    shown = {(a, b) for (a, b), p_value in zip(pairs, adjusted, strict=True) if p_value <= 0.05}
    assert standings["miou"].shown == shown


def test_a_row_without_counts_does_not_compete(tmp_path: Path) -> None:
    found = write_run(tmp_path, {"mine": 0.3, "bad": 0.7, "gone": 0.1}, features=False)
    (path,) = (tmp_path / "counts").glob("gone-*.npz")
    path.unlink()
    standings = row_uncertainty(group(found).rows, [tmp_path]).standings
    assert standings["miou"].titles == ("mine", "bad")


def test_false_marks_are_rare_over_all_pairs_of_a_column() -> None:
    """Five equal rows on common images: whether any is shown to be worse than any other."""
    numbers, wrong = np.random.default_rng(0), 0
    for _ in range(400):
        images = numbers.normal(size=(5, 200)) + numbers.normal(size=200)

        def test(one: str, other: str, of: np.ndarray = images) -> tuple[float, float]:
            difference = of[int(one)] - of[int(other)]
            z = difference.mean() / (difference.std(ddof=1) / math.sqrt(200))
            return difference.mean(), math.erfc(abs(z) / math.sqrt(2))

        means = {str(row): float(images[row].mean()) for row in range(5)}
        wrong += bool(standing_of(means, True, test).shown)
    assert wrong <= 33  # 5% of 400, and three standard errors


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_seeds_are_not_tested(count: int) -> None:
    values = {title: dict.fromkeys(range(count), value) for title, value in VALUES.items()}
    results = seed_results(values, True)
    assert results.standing == NOTHING_TESTED
    assert results.num_seeds == 0


def test_seeds_are_blocks() -> None:
    """Two rows that move together from seed to seed differ by much less than they move."""
    noise = np.random.default_rng(1).normal(0, 0.05, 6)
    values = {
        "a": dict(enumerate(0.5 + noise)),
        "b": dict(enumerate(0.48 + noise + np.linspace(-1e-3, 1e-3, 6))),
    }
    results = seed_results(values, True)
    assert results.standing.shown == {("a", "b")}
    apart = {**values, "b": {seed + 10: value for seed, value in values["b"].items()}}
    assert seed_results(apart, True).standing == NOTHING_TESTED, "no common seed"
