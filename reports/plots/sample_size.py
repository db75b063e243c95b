# SPDX-License-Identifier: Apache-2.0
"""The Fréchet distance against the number of images it is taken from.

It is biased upward at small N, by another amount for every model, so that values of different N
must never be compared; the figure shows by how much. For each N the stored features of the first
rows of a few random orders are compared with all of the photos.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spade_eval.reports.measured.grouping import ProtocolGroup, Row, shortened
from spade_eval.reports.plots.page import (
    INK,
    WIDTH,
    Page,
    Palette,
    Plot,
    both_grids,
    marker_style,
    settings,
)
from spade_eval.reports.statistics.feature_distances import Floats, frechet
from spade_eval.reports.statistics.stored_distances import is_quick, stored_features

_DISTANCES = ("fid", "fd_in_domain")
_NUM_ORDERS = 3
_SMALLEST = 50
_HEIGHT = 2.8
_LONGEST_NAME = 28


def distances_by_count(
    real: Floats, synthesized: Floats, seed: int = 0
) -> dict[int, tuple[float, float]]:
    """Return {N: mean, standard deviation of the distance over random subsets of N images}.

    N doubles from 50; the last is all images, with one value and no deviation.
    """
    total = len(synthesized)
    counts = [_SMALLEST * 2**power for power in range(32) if _SMALLEST * 2**power < total]
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(total) for _ in range(_NUM_ORDERS)]
    distances = {}
    for count in counts:
        values = [frechet(real, synthesized[order[:count]]) for order in orders]
        distances[count] = (float(np.mean(values)), float(np.std(values, ddof=1)))
    return {**distances, total: (frechet(real, synthesized), math.nan)}


def plot_distance_against_count(
    group: ProtocolGroup,
    run_folder: Path,
    folder: Path,
    palette: Palette | None = None,
    *,
    thorough: bool = False,
) -> list[Plot]:
    """Write `distance_against_n`; nothing where the run kept no features.

    On Inception features it takes half a minute a row and is left to `thorough`.
    """
    curves = {
        row.title: by_count for row in group.rows if (by_count := _of(row, run_folder, thorough))
    }
    palette = palette or Palette.of_groups([group])
    return _draw(curves, group, folder, palette) if curves else []


def _of(row: Row, run_folder: Path, thorough: bool) -> dict[int, tuple[float, float]]:
    item = next((row.scores[name] for name in _DISTANCES if name in row.scores), None)
    sets = None if item is None else stored_features(run_folder, item)
    if sets is None or not (thorough or is_quick(sets)):
        return {}
    return distances_by_count(*sets)


def _draw(
    curves: Mapping[str, Mapping[int, tuple[float, float]]],
    group: ProtocolGroup,
    folder: Path,
    palette: Palette,
) -> list[Plot]:
    table_rows = group.rows
    looks = {row.title: palette.of(row.title, row.kind) for row in table_rows}
    label = next(row.scores[n].label for row in table_rows for n in _DISTANCES if n in row.scores)
    caption = (
        f"Mean over {_NUM_ORDERS} random orders, lines of one standard deviation; photos all. Only "
        "values of one N may be compared."
    )
    with settings():
        page = Page(
            f"{label} ↓ against the number of synthesized images: {group.title}",
            [caption, *group.notes],
            _HEIGHT + 0.45,
        )
        axes = page.axes(0.62, 0.05, WIDTH - 2.3, _HEIGHT)
        for title, by_count in curves.items():
            color, marker = looks[title]
            style = marker_style(color, marker) | {"linestyle": "-"}
            means = [mean for mean, _ in by_count.values()]
            axes.plot(list(by_count), means, **style, linewidth=1.1, markersize=4.5,
                      label=shortened(title, _LONGEST_NAME))  # fmt: skip
            for count, (mean, spread) in by_count.items():
                axes.plot([count] * 2, [mean - spread, mean + spread], color=color, lw=1.6)
        axes.set_xscale("log")
        ticks = sorted({count for by_count in curves.values() for count in by_count})
        axes.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("N", fontsize=8, color=INK)
        axes.set_ylabel(label, fontsize=8, color=INK)
        axes.set_ylim(bottom=0)
        both_grids(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=7)
        return [page.save_forms(folder, "distance_against_n", caption)]
