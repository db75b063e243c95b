# SPDX-License-Identifier: Apache-2.0
"""How much a ranking owes to the segmenter: agreement of several, and shares of the variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spade_eval.metrics.counts import StoredCounts
from spade_eval.reports.measured.counts import average_of, stored_counts
from spade_eval.reports.measured.failures import without_verdict
from spade_eval.reports.measured.grouping import Row, value_of
from spade_eval.reports.measured.panels import MODELS, Panel
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images, resampled
from spade_eval.reports.statistics.segmenter_agreement import Agreement, Judged, agreements
from spade_eval.reports.statistics.variance_shares import cells_of, variance_shares

RANKED = ("miou", "acc_valid", "fwiou")


@dataclass(frozen=True)
class SegmenterAnswer:
    """What is known of it; empty where there are too few models or counts were not kept."""

    models: tuple[str, ...]
    agreements: tuple[Agreement, ...]
    shares: dict[str, float]


def segmenter_answer(panel: Panel, run_folder: Path) -> SegmenterAnswer:
    """Compare the segmenters of a panel on the models of a run; bounds and cheats stay out."""
    rows = [row for row in panel.rows if row[0].kind in MODELS]
    counts = [[stored_counts(run_folder, one.measurements[0]) for one in row] for row in rows]
    known = [[item for item in of_row if item is not None] for of_row in counts]
    titles = tuple(row[0].title for row in rows)
    if not rows or any(len(of_row) < len(panel.groups) for of_row in known):
        return SegmenterAnswer(titles, (), {})
    judges = [
        _judged(name, [row[place] for row in rows], [of_row[place] for of_row in known])
        for place, name in enumerate(panel.segmenters)
        if "miou" not in without_verdict(panel.groups[place].rows)
    ]
    return SegmenterAnswer(titles, tuple(agreements(judges, RANKED)), _shares(known))


def _judged(segmenter: str, rows: Sequence[Row], counts: Sequence[StoredCounts]) -> Judged:
    times = draw_counts(drawn_images(len(counts[0])))
    return Judged(
        segmenter,
        {metric: [value_of(row.scores.get(metric)) for row in rows] for metric in RANKED},
        [
            resampled(item, times, average_of(row, item))
            for row, item in zip(rows, counts, strict=True)
        ],
    )


def _shares(counts: Sequence[Sequence[StoredCounts]]) -> dict[str, float]:
    """Return shares of the variance; none where segmenters see other classes or one model is."""
    first = counts[0][0]
    alike = all(np.array_equal(item.target, first.target) for row in counts for item in row)
    if not alike or min(len(counts), len(counts[0])) < 2:
        return {}
    images, classes = cells_of(first.target > 0)
    iou = np.stack([[_iou(item)[images, classes] for item in row] for row in counts])
    return variance_shares(iou, images, classes)


def _iou(item: StoredCounts) -> np.ndarray:
    hits, target, prediction = (item.counts[:, place].astype(np.float64) for place in range(3))
    return hits / np.maximum(target + prediction - hits, 1)
