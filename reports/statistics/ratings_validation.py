# SPDX-License-Identifier: Apache-2.0
"""Lines of the tables about published ratings: each statistic, and how often its interval held.

A line is what a table shows of one system, pair or model, by the heading of its column; fractions
stand as such.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spade_eval.reports.statistics.bootstrap import Floats, draw_counts, drawn_images
from spade_eval.reports.statistics.preferences import preference
from spade_eval.reports.statistics.ratings import (
    SCORES,
    TASKS,
    Agreement,
    Halved,
    Mistaken,
    Preferred,
    Ratings,
    Strength,
    alpha_of_kappa,
    held_by_other_half,
    read_mistakes,
    read_printed,
    read_ratings,
)

Line = dict[str, object]
_RANKED = "multi_subject"  # the task of three systems


@dataclass(frozen=True)
class RatedLines:
    """The lines of the four tables."""

    agreement: list[Line]
    preferences: list[Line]
    strengths: list[Line]
    mistakes: list[Line]


def num_splits(splits: int) -> int:
    """Return how often `validate_ratings` calls `progress`."""
    return splits * (len(TASKS) + len(read_mistakes()))


def validate_ratings(
    splits: int, seed: int = 0, progress: Callable[[], None] = lambda: None
) -> RatedLines:
    """Count on all ratings, and on random halves of them."""
    lines = RatedLines([], [], [], mistaken_lines(splits, seed, progress))
    for task in TASKS:
        ratings = read_ratings(task)
        found = _of_images(task, ratings)
        held = held_by_other_half([item for item, _ in found], splits, seed, progress)
        for (item, line), shares in zip(found, held, strict=True):
            line |= {_HELD[kind]: share for kind, share in shares.items()}
            _table_of(item, lines).append(line)
    return lines


_HELD = {
    "exact": "held by independent answers",
    "clustered": "held by other images",
    "alpha": "held by other images",
    "strength": "held by other images",
    "crossed": "held by other images and people",
}


def _table_of(item: Halved, lines: RatedLines) -> list[Line]:
    if isinstance(item, Agreement):
        return lines.agreement
    return lines.strengths if isinstance(item, Strength) else lines.preferences


def _of_images(task: str, ratings: dict[str, Ratings]) -> list[tuple[Halved, Line]]:
    """Return every statistic of a task's images with its line, but for what halves say."""
    units = next(iter(ratings.values())).values.shape[1]
    times = draw_counts(drawn_images(units))
    found: list[tuple[Halved, Line]] = []
    for score in SCORES:
        found += _agreements(task, score, ratings[score], times)
        found += _preferences(score, ratings[score], times)
    if task == _RANKED:
        found += _strengths(SCORES[0], ratings[SCORES[0]], times)
    return found


def _agreements(
    task: str, score: str, ratings: Ratings, times: Floats
) -> list[tuple[Halved, Line]]:
    printed = read_printed().set_index(["task", "system", "score"])
    found: list[tuple[Halved, Line]] = []
    for place, system in enumerate(ratings.systems):
        item = Agreement(ratings.counts(place))
        every = np.arange(item.units)
        known = printed.loc[(task, system, score)]
        line: Line = {
            "task": task.replace("_", " "),
            "system": system,
            "score": score,
            "mean": float(ratings.values[place].mean()),
            "printed mean": float(known["mean"]),
            "alpha": item.value(every),
            "other images": item.intervals(every, times)["alpha"],
            "of printed kappa": alpha_of_kappa(known["kappa"], ratings.values[place].size),
        }
        found.append((item, line))
    return found


def _preferences(score: str, ratings: Ratings, times: Floats) -> list[tuple[Halved, Line]]:
    found: list[tuple[Halved, Line]] = []
    for first, second in combinations(range(len(ratings.systems)), 2):
        votes = ratings.votes(first, second)
        known = preference(votes, times)
        line: Line = {
            "preferred": ratings.systems[first],
            "over": ratings.systems[second],
            "score": score,
            "decided": known.decided,
            "ties": known.ties,
            "preference": known.value,
            "independent answers": known.exact,
            "other images": known.clustered,
            "design effect": known.design_effect,
        }
        found.append((Preferred(votes.by_image(times.shape[1])), line))
    return found


def _strengths(score: str, ratings: Ratings, times: Floats) -> list[tuple[Halved, Line]]:
    found: list[tuple[Halved, Line]] = []
    for place, system in enumerate(ratings.systems):
        item = Strength(ratings.wins_by_image(), place)
        every = np.arange(item.units)
        line: Line = {
            "system": system,
            "score": score,
            "mean": float(ratings.values[place].mean()),
            "strength": item.value(every),
            "other images": item.intervals(every, times)["strength"],
        }
        found.append((item, line))
    return found


def mistaken_lines(
    splits: int, seed: int = 0, progress: Callable[[], None] = lambda: None
) -> list[Line]:
    """Return a line a model of the people who took its images for real."""
    lines: list[Line] = []
    for model, mistakes in read_mistakes().items():
        item = Mistaken(mistakes)
        every = np.arange(item.units)
        ends = item.intervals(every, np.ones((1, item.units)))
        (shares,) = held_by_other_half([item], splits, seed, progress)
        lines.append(
            {
                "model": model,
                "people": item.units,
                "taken for real": item.value(every),
                "independent answers": ends["exact"],
                "other images and people": ends["crossed"],
                **{_HELD[kind]: share for kind, share in shares.items()},
            }
        )
    return lines
