# SPDX-License-Identifier: Apache-2.0
"""mIoU between floor and oracle: the quotient, and an interval that plain resampling confirms."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from counted import write_run

from spade_eval.metrics.count_influence import count_influence
from spade_eval.metrics.counts import StoredCounts, miou_of
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images, resampled
from spade_eval.reports.statistics.intervals import Uncertainty, uncertainties_of
from spade_eval.reports.statistics.normalised import Part, normalised
from spade_eval.reports.tables.formats import as_markdown, as_text
from spade_eval.reports.tables.plain_rows import rows_of_groups
from spade_eval.reports.tables.score_layout import scores, write_tables

WRONG = {"real": 0.02, "oracle": 0.04, "label colours": 0.5, "spade": 0.3, "concat": 0.6}


def population(num_images: int, seed: int) -> dict[str, StoredCounts]:
    """Three rows on the same label maps: what makes a map hard does so for all of them."""
    numbers = np.random.default_rng(seed)
    target = numbers.multinomial(400, numbers.dirichlet([3.0, 2.0, 1.0, 0.6], num_images))
    hardness = numbers.beta(4, 4, (num_images, 1))
    rows = {}
    for name, skill in (("row", 0.45), ("floor", 0.35), ("oracle", 0.9)):
        hits = numbers.binomial(target, np.clip(skill + 0.3 * (0.5 - hardness), 0, 1))
        wrong = (target - hits).sum(axis=1)
        predicted = hits + numbers.multinomial(wrong, [0.25] * 4)
        counts = np.stack([hits, target, predicted], axis=1).astype(np.uint32)
        names = tuple(f"image{i:05d}" for i in range(num_images))
        rows[name] = StoredCounts(names, counts, np.zeros(num_images, np.uint32))
    return rows


def of_images(rows: dict[str, StoredCounts], images: np.ndarray) -> dict[str, Part]:
    parts = {}
    for name, counts in rows.items():
        drawn = StoredCounts(
            tuple(map(str, range(len(images)))), counts.counts[images], counts.num_ignored[images]
        )
        influence = count_influence(drawn, "miou", "target")
        assert influence is not None
        parts[name] = Part(pooled(drawn), influence, drawn.names)
    return parts


def pooled(counts: StoredCounts) -> float:
    return float(miou_of(counts.counts.sum(axis=0, dtype=np.float64), "target"))


def share(rows: dict[str, StoredCounts]) -> float:
    row, floor, oracle = (pooled(rows[name]) for name in ("row", "floor", "oracle"))
    return (row - floor) / (oracle - floor)


def test_the_standard_error_is_that_of_plain_resampling() -> None:
    rows = population(300, seed=1)
    parts = of_images(rows, np.arange(300))
    found = normalised(parts["row"], parts["floor"], parts["oracle"])
    assert found.value == pytest.approx(share(rows), abs=1e-12)
    times = draw_counts(drawn_images(300, 4000, seed=5))
    miou = {name: resampled(counts, times, "target").miou for name, counts in rows.items()}
    drawn = (miou["row"] - miou["floor"]) / (miou["oracle"] - miou["floor"])
    # A spread of 4,000 draws is known to 1.1%; the delta method leaves out terms of order 1/N.
    assert (found.high - found.low) / (2 * 1.959964) == pytest.approx(drawn.std(), rel=0.05)
    alone = np.sqrt(sum(values.var() for values in miou.values())) / np.diff(
        [np.mean(miou["floor"]), np.mean(miou["oracle"])]
    )
    assert drawn.std() < 0.8 * float(alone[0])  # what all three share cancels


def test_the_interval_holds_the_population_that_images_are_drawn_from() -> None:
    everybody = population(4000, seed=2)
    truth, numbers, held = share(everybody), np.random.default_rng(3), 0
    for _ in range(300):
        parts = of_images(everybody, numbers.integers(0, 4000, 200))
        found = normalised(parts["row"], parts["floor"], parts["oracle"])
        held += found.low <= truth <= found.high
    # Binomial(300, 0.95) is within 276..294 with 98%.
    assert 276 <= held <= 296


def run_of(folder: Path, wrong: dict[str, float]) -> tuple[RunData, Uncertainty]:
    write_run(folder, wrong)
    run = open_run(folder)
    return run, uncertainties_of(run.groups, [folder])[run.groups[0].key]


def test_it_stands_in_files_and_on_the_page_and_not_on_the_screen(tmp_path: Path) -> None:
    run, known = run_of(tmp_path / "run", WRONG)
    (group,) = run.groups
    values = {row.title: row.scores["miou"].value or math.nan for row in group.rows}
    span = values["oracle"] - values["label colours"]
    for title, found in known.normalised.items():
        assert found.value == pytest.approx((values[title] - values["label colours"]) / span)
    assert set(known.normalised) == set(WRONG)
    for fixed, value in (("label colours", 0.0), ("oracle", 1.0)):
        found = known.normalised[fixed]
        assert (found.low, found.value, found.high) == (value, value, value)
    spade = known.normalised["spade"]
    assert known.normalised["concat"].value < 0 < spade.low < spade.value < spade.high < 1
    table = scores(group, known)
    (column,) = (column for column in table.columns if "normalised" in column.heading)
    text = f"{100 * spade.value:.2f} [{100 * spade.low:.2f}, {100 * spade.high:.2f}]"
    shown = dict(zip([row.title for row in group.rows], range(len(group.rows)), strict=True))
    assert column.printed(shown["spade"]) == text
    assert column.printed(shown["oracle"]) == "100.00"
    assert "normalised" not in as_text(table)
    assert "mIoU, normalised" in as_markdown(table)
    assert column in table.columns_of("page")
    frame = pd.read_csv(write_tables(group, tmp_path / "tables", known)[0]).set_index("source")
    assert frame.loc["spade", "miou_normalised_high"] == spade.high
    plain = {row["row"]: row["values"] for row in rows_of_groups(run.groups, {group.key: known})}
    assert plain["spade"]["miou"]["normalised"] == spade.value
    assert "normalised" not in plain["spade"]["fd_in_domain"]


@pytest.mark.parametrize(
    "wrong",
    [
        {name: WRONG[name] for name in WRONG if name != "oracle"},
        {name: WRONG[name] for name in WRONG if name != "label colours"},
        {**WRONG, "oracle": 0.6},  # below the floor
        {**WRONG, "real": 0.98},  # the segmenter fails
    ],
)
def test_there_is_none_without_floor_and_oracle_or_where_they_mean_nothing(
    wrong: dict[str, float], tmp_path: Path
) -> None:
    run, known = run_of(tmp_path / "run", wrong)
    assert known.normalised == {}
    table = scores(run.groups[0], known)
    assert not any("normalised" in column.heading for column in table.columns)
    assert not any("normalised" in name for name in table.frame.columns)
    assert set(scores(run.groups[0]).frame.columns) <= set(table.frame.columns)
