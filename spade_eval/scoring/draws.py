# SPDX-License-Identifier: Apache-2.0
"""A source of several images a label map: scored draw by draw, then pooled, then averaged.

Numbers of the first draw are those that a row of one image a label map has. All others are called
by what they are over, and none stands in the column of another (`spade_eval.metrics.draws`).
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from spade_eval.metrics.base import ScoredSplit
from spade_eval.metrics.draws import BEST, MEAN, POOLED, best_counts, column_over, draw_name
from spade_eval.metrics.segmentation import Segmentation
from spade_eval.scoring.scorer import (
    Judged,
    Photos,
    Scorer,
    Scores,
    judged_together,
    scores_of_pass,
)
from spade_eval.scoring.values import Value, computed
from spade_eval.sources.draws import draws_of
from spade_eval.sources.image_files import ImageWriter
from spade_eval.sources.source import Source


def score_draws(
    scorers: Sequence[Scorer],
    source: Source,
    photos: Sequence[Photos],
    writer: ImageWriter | None = None,
    *,
    best: bool = False,
) -> list[Scores]:
    """Score every draw of a source as `score_together` scores one; only the first is written.

    With `best` the oracle that chooses among them is scored as well. Of a source of one image a
    label map the scores are those of `score_together`.
    """
    draws = draws_of(source)
    judged = [
        judged_together(scorers, draw, writer if place == 0 else None)
        for place, draw in enumerate(draws)
    ]
    return scorers[0].world.on_first(lambda: _of_draws(scorers, judged, photos, best))


def _of_draws(
    scorers: Sequence[Scorer], judged: Sequence[Judged], photos: Sequence[Photos], best: bool
) -> list[Scores]:
    """Compute in the first process, which has the parts of all."""
    first, *further = [scores_of_pass(scorers, one, photos) for one in judged]
    if not further:
        return first
    parts = [[part for one in judged for part in one.parts[place]] for place in range(len(scorers))]
    pooled = scores_of_pass(scorers, Judged(judged[0].metrics, parts), photos)
    return [
        _joined([first[place], *(of_draw[place] for of_draw in further)], pooled[place], scorer,
                best)
        for place, scorer in enumerate(scorers)
    ]  # fmt: skip


def _joined(draws: Sequence[Scores], pooled: Scores, scorer: Scorer, best: bool) -> Scores:
    """Put the numbers of all draws behind those of the first, which keep their names."""
    values = [*draws[0].values]
    for number, draw in enumerate(draws[1:], start=2):
        values += _over(draw.values, draw_name(number))
    values += _over(_means(draws), MEAN)
    values += _over(pooled.values, POOLED)
    if best:
        values += _over(_best(draws, scorer), BEST)
    return dataclasses.replace(draws[0], values=tuple(values), further=tuple(draws[1:]))


def _over(values: Sequence[Value], over: str) -> Iterator[Value]:
    """Name the numbers of the whole split by what they are over; classes have the first draw's."""
    for item in values:
        if item.class_name is None:
            fields: Mapping[str, object] = {**item.fields, "draws": over}
            yield dataclasses.replace(item, column=column_over(item.column, over), fields=fields)


def _means(draws: Sequence[Scores]) -> list[Value]:
    """Average each number over the draws; None where a draw has none."""
    numbers = [draw.numbers for draw in draws]
    means = []
    for item in draws[0].values:
        found = [known[item.column] for known in numbers if item.class_name is None]
        known = [value for value in found if value is not None]
        mean = math.fsum(known) / len(known) if known and len(known) == len(draws) else None
        means.append(dataclasses.replace(item, value=mean))
    return means


def _best(draws: Sequence[Scores], scorer: Scorer) -> list[Value]:
    """Score of every label map the image with the most correct pixels."""
    counts = best_counts([draw.per_image for draw in draws])
    rows = {
        "class_counts": torch.from_numpy(counts.counts.astype("int64")),
        "num_ignored": torch.from_numpy(counts.num_ignored.astype("int64")),
    }
    split = ScoredSplit(
        rows=rows,
        class_names=scorer.segmenter.class_names,
        class_average=scorer.protocol.class_average,
    )
    return list(computed(Segmentation(), split, {}))
