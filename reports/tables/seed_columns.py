# SPDX-License-Identifier: Apache-2.0
"""Columns of means over seeds with their two intervals, over seeds and over images, and marks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.measured.seeds import SeededRow
from spade_eval.reports.statistics.over_seeds import (
    NO_RESULTS,
    ImageIntervals,
    SeedResults,
    over_seeds,
)
from spade_eval.reports.statistics.seed_tests import FIRST_VERDICT
from spade_eval.reports.statistics.standings import sentence_of
from spade_eval.reports.tables.table import (
    EVERYWHERE,
    Cell,
    Column,
    Form,
    decimals_of,
    marked_column,
    number_cell,
    rounded,
)

ENDS = ("_seeds_low", "_seeds_high", "_images_low", "_images_high")
_OF_SEEDS = "95% over seeds, of the method; one training tells nothing of it"
_OF_IMAGES = "95% over images, of the mean of these checkpoints (distances: without bias)"
ONE_TRAINING = "one training"
_OF_METHODS = "over seeds, of the methods"
_PAGE: tuple[Form, ...] = ("page",)


def intervals_of(row: SeededRow, metric: str, images: ImageIntervals) -> dict[str, float]:
    """Return the ends of both intervals as fields of a frame's line."""
    ends = (*over_seeds(row, metric), *images.of(row, metric))
    return {f"{metric}{name}": end for name, end in zip(ENDS, ends, strict=True)}


def seed_columns(frame: pd.DataFrame, metric: str, origins: Sequence[Origin] = ()) -> list[Column]:
    """Lay out the means of a metric, marked, and their intervals; of the first two in print.

    Frames hold `<metric>`, `_spread`, `_best` and `ENDS`; `attrs["metrics"]` is about the metrics.
    """
    metrics: Mapping[str, Any] = frame.attrs["metrics"]
    about = metrics[metric]
    column = marked_column(
        mean_column(frame, metric, about, origins), frame[f"{metric}_best"].tolist()
    )
    forms = EVERYWHERE if metric in _leading(metrics) else _PAGE
    decimals = decimals_of(frame[metric].tolist(), about["unit"])
    return [column, *_interval_columns(frame, metric, about, decimals, forms)]


def mean_column(
    frame: pd.DataFrame, metric: str, about: Mapping[str, Any], origins: Sequence[Origin] = ()
) -> Column:
    """Show means over seeds with their spread, `<metric>` and `<metric>_spread` of a frame."""
    values, spreads = frame[metric].tolist(), frame[f"{metric}_spread"].tolist()
    decimals = decimals_of(values, about["unit"])
    known: Sequence[Origin | None] = origins or [None] * len(values)
    cells = [
        number_cell(value, about["unit"], decimals, spread=spread, origin=origin)
        for value, spread, origin in zip(values, spreads, known, strict=True)
    ]
    return Column(
        heading=about["label"],
        cells=tuple(cells),
        unit=about["unit"],
        larger_is_better=about["larger_is_better"],
    )


def shown_over_seeds(results: Mapping[str, SeedResults], metrics: Mapping[str, Any]) -> str:
    """Say in a sentence what the seeds show of the leading metrics; why nothing, where nothing."""
    leading = [name for name in _leading(metrics) if name in results]
    tested = {name: results[name] for name in leading if results[name].standing.num_pairs}
    if not tested:
        return f"No difference between methods is tested: {_untested(results, leading)}"
    labels = {name: metrics[name]["label"] for name in tested}
    said = sentence_of({labels[n]: item.standing for n, item in tested.items()}, _OF_METHODS)
    sizes = [
        f"{labels[name]} {_sizes(item.smallest, metrics[name]['unit'])}"
        for name, item in tested.items()
    ]
    seeds = min(item.num_seeds for item in tested.values())
    return f"{said} Detectable with {seeds} seeds: {', '.join(sizes)}."


def _untested(results: Mapping[str, SeedResults], leading: Sequence[str]) -> str:
    """Say why no pair is tested."""
    ranking = [results[name].values for name in leading if results[name] is not NO_RESULTS]
    if leading and not ranking:
        return "the segmenter fails on the real photos, so its numbers rank nothing."
    counts = [
        sum(not math.isnan(value) for value in of.values())
        for values in ranking
        for of in values.values()
    ]
    if sum(count >= FIRST_VERDICT for count in counts) >= 2:
        return "no two rows have three seeds in common."
    return "that takes three seeds of two rows; one training each shows checkpoints alone."


def _sizes(both: tuple[float, float], unit: str) -> str:
    """Write the least and the largest detectable difference of the pairs."""
    factor = 100 if unit == "%" else 1
    low, high = (f"{factor * size:.3g}" for size in both)
    between = low if low == high else f"{low} to {high}"
    return f"{between} points" if unit == "%" else between


def _leading(metrics: Mapping[str, Any]) -> list[str]:
    """The first score and the first distance, whose intervals are printed."""
    firsts = [
        next((name for name in metrics if metrics[name]["larger_is_better"] == larger), None)
        for larger in (True, False)
    ]
    return [name for name in firsts if name is not None]


def _interval_columns(
    frame: pd.DataFrame,
    metric: str,
    about: Mapping[str, Any],
    decimals: int,
    forms: tuple[Form, ...],
) -> list[Column]:
    columns = []
    for over, explanation in (("seeds", _OF_SEEDS), ("images", _OF_IMAGES)):
        ends = frame[[f"{metric}_{over}_low", f"{metric}_{over}_high"]]
        cells = [
            _cell(low, high, about["unit"], decimals, ONE_TRAINING if is_single else "")
            for (low, high), is_single in zip(
                ends.itertuples(index=False), _are_single(frame, metric, over), strict=True
            )
        ]
        if any(cell != Cell() for cell in cells):
            heading = f"{about['label']}, over {over}"
            columns.append(
                Column(heading=heading, cells=tuple(cells), explanation=explanation, forms=forms)
            )
    return columns


def _are_single(frame: pd.DataFrame, metric: str, over: str) -> list[bool]:
    """Return which rows are trained, and but once."""
    if over != "seeds":
        return [False] * len(frame)
    is_model = frame["train_steps"].notna() & ~frame["kind"].isin(REFERENCE_KINDS)
    return (is_model & frame[metric].notna() & (frame["seeds"] == 1)).tolist()


def _cell(low: float, high: float, unit: str, decimals: int, otherwise: str) -> Cell:
    if math.isnan(low):
        return Cell(text=otherwise) if otherwise else Cell()
    factor = 100 if unit == "%" else 1
    text = f"[{rounded(factor * low, decimals)}, {rounded(factor * high, decimals)}]"
    return Cell(text=text)
