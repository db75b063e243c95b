# SPDX-License-Identifier: Apache-2.0
"""Which pairs the paper orders, and what is said of the measured ones."""

import pandas as pd
import pytest

from spade_eval.reports.statistics.ordering import ordered_pairs, ordering_lines
from spade_eval.reports.statistics.over_seeds import SeedResults
from spade_eval.reports.statistics.standings import Standing

NAN = float("nan")


def measured(
    rows: list[tuple[str, str, str, float]],
    shown: tuple[tuple[str, str], ...] = (),
    tested: str = "abcd",
) -> pd.DataFrame:
    """(row, model, group, mean) on scenes, below a real row; `shown` are (better, worse)."""
    lines = [
        {"dataset": "scenes", "row": row, "model": model, "group": group, "kind": "generator",
         "miou": mean}
        for row, model, group, mean in rows
    ]  # fmt: skip
    real = {"dataset": "scenes", "row": "real", "model": None, "group": "", "kind": "real",
            "miou": 0.9}  # fmt: skip
    frame = pd.DataFrame([real, *lines])
    results = {"miou": SeedResults(Standing(tuple(tested), frozenset(shown), 6), 3, (0.1, 0.2))}
    frame.attrs["results"] = {("scenes", group): results for _, _, group, _ in rows}
    return frame


def published(**rows: tuple[float, float]) -> pd.DataFrame:
    """Numbers of two datasets for each row."""
    return pd.DataFrame(
        [
            {"dataset": dataset, "row": row, "miou_paper": value}
            for row, values in rows.items()
            for dataset, value in zip(("cocostuff", "ade20k"), values, strict=True)
        ]
    )


PAPER = published(a=(0.4, 0.5), b=(0.3, 0.4), c=(0.2, 0.45), d=(NAN, NAN))


def verdicts(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    return {(pair.better, pair.worse): pair.verdict for pair in ordered_pairs(table, PAPER)}


def test_only_pairs_that_every_dataset_orders_count() -> None:
    rows = [(name, name, "", 0.5) for name in "abcd"]
    # b is ahead of c on one dataset and behind on the other; d has no numbers.
    assert set(verdicts(measured(rows))) == {("a", "b"), ("a", "c")}


@pytest.mark.parametrize(
    ("shown", "tested", "expected"),
    [
        ((("a", "b"),), "ab", "as in the paper"),
        ((("b", "a"),), "ab", "reversed"),
        ((), "ab", "not shown"),
        ((), "a", "not tested"),
        ((), "", "not tested"),
    ],
)
def test_tests_over_seeds_decide(
    shown: tuple[tuple[str, str], ...], tested: str, expected: str
) -> None:
    gap = measured([("a", "a", "", 0.6), ("b", "b", "", 0.4)], shown, tested)
    assert verdicts(gap) == {("a", "b"): expected}


def test_groups_and_equal_models_are_not_mixed() -> None:
    rows = [("a", "x", "one", 0.5), ("b", "y", "two", 0.4), ("b", "x", "one", 0.4)]
    assert verdicts(measured(rows)) == {}


def test_rows_that_were_not_measured_are_left_out() -> None:
    rows = [("a", "a", "", NAN), ("b", "b", "", 0.4)]
    assert verdicts(measured(rows)) == {}
    (line,) = ordering_lines(measured(rows), PAPER)
    assert "nothing can be said" in line


def test_the_sentences_name_every_pair_once() -> None:
    rows = [("a", "a", "", 0.6), ("b", "b", "", 0.7), ("c", "c", "", 0.1)]
    first, *others = ordering_lines(measured(rows, (("a", "c"), ("b", "a"))), PAPER)
    assert "orders 2 pairs" in first
    assert "over seeds 1 come out in that order here, 1 reversed, 0 are not shown" in first
    assert others == [
        "scenes: as in the paper: a over c (+50.0 points).",
        "scenes: reversed (first is ahead in the paper): a over b (-10.0 points).",
    ]


def test_one_training_never_speaks_of_a_spread() -> None:
    rows = [("a", "a", "", 0.6), ("b", "b", "", 0.7)]
    lines = ordering_lines(measured(rows, tested=""), PAPER)
    assert "1 are not tested, which takes three seeds of both" in lines[0]
    assert not any("spread" in line for line in lines)
