# SPDX-License-Identifier: Apache-2.0
"""Which pairs the paper orders, and what is said of the measured ones."""

import pandas as pd
import pytest

from spade_eval.reports.statistics.ordering import ordered_pairs, ordering_lines

NAN = float("nan")


def measured(rows: list[tuple[str, str, str, float, float]]) -> pd.DataFrame:
    """(row, model, group, mean, spread) on scenes, below a real row."""
    lines = [
        {"dataset": "scenes", "row": row, "model": model, "group": group, "kind": "generator",
         "miou": mean, "miou_spread": spread}
        for row, model, group, mean, spread in rows
    ]  # fmt: skip
    real = {"dataset": "scenes", "row": "real", "model": None, "group": "", "kind": "real",
            "miou": 0.9, "miou_spread": NAN}  # fmt: skip
    return pd.DataFrame([real, *lines])


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
    rows = [(name, name, "", 0.5, 0.01) for name in "abcd"]
    # b is ahead of c on one dataset and behind on the other; d has no numbers.
    assert set(verdicts(measured(rows))) == {("a", "b"), ("a", "c")}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.60, 0.01), (0.50, 0.01), "as in the paper"),
        ((0.50, 0.01), (0.60, 0.01), "reversed"),
        ((0.52, 0.01), (0.50, 0.01), "too close"),
        ((0.60, NAN), (0.50, 0.01), "too close"),
    ],
)
def test_spreads_decide(
    one: tuple[float, float], other: tuple[float, float], expected: str
) -> None:
    # 0.52 - 0.50 is a little more than 0.02 in floating point, so the edge is left out.
    gap = measured([("a", "a", "", one[0] - 0.001, one[1]), ("b", "b", "", *other)])
    assert verdicts(gap) == {("a", "b"): expected}


def test_groups_and_equal_models_are_not_mixed() -> None:
    rows = [("a", "x", "one", 0.5, 0.0), ("b", "y", "two", 0.4, 0.0), ("b", "x", "one", 0.4, 0.0)]
    assert verdicts(measured(rows)) == {}


def test_rows_that_were_not_measured_are_left_out() -> None:
    rows = [("a", "a", "", NAN, NAN), ("b", "b", "", 0.4, 0.0)]
    assert verdicts(measured(rows)) == {}
    (line,) = ordering_lines(measured(rows), PAPER)
    assert "nothing can be said" in line


def test_the_sentences_name_every_pair_once() -> None:
    rows = [("a", "a", "", 0.6, 0.0), ("b", "b", "", 0.7, 0.0), ("c", "c", "", 0.1, 0.0)]
    first, *others = ordering_lines(measured(rows), PAPER)
    assert "orders 2 pairs" in first
    assert "1 come out in that order here, 1 reversed, 0 differ" in first
    assert others == [
        "scenes: as in the paper: a over c (+50.0 points).",
        "scenes: reversed (first is ahead in the paper): a over b (-10.0 points).",
    ]
