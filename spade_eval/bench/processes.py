# SPDX-License-Identifier: Apache-2.0
"""The same work in several processes: how much faster it is, and that it computes the same.

On a machine without GPUs processes share the cores, so that more of them are no faster there. What
counts is `efficiency`: images a second for each core (or GPU) that the processes use, as a part of
what the first number of processes reaches. With no loss at all it is 1.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spade_eval.bench.timing import Row

Numbers = Mapping[str, float | None]

SCORES_WITHIN, LOSSES_WITHIN = 1e-3, 1e-4
"""Largest relative deviations from the first number of processes.

Sums in another order, of other threads as well, end in other last bits. In scores these turn the
truncation to 8 bit of a value here and there. Losses and gradient norms are those of a first step,
some 1e-7 apart: those of later ones part tenfold a step, whatever the number of processes.
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one start of so many processes came to."""

    work: str
    processes: int
    threads: int  # of each process
    batch: int  # of all processes together; of scoring, of each
    images: int
    seconds: float
    numbers: Numbers | None  # that must not depend on how many they were; None where they may


def shared_threads(cores: int, processes: int) -> int:
    """Return how many threads each process has, at least one."""
    return max(1, cores // processes)


def rows_of(measured: Sequence[Measured], cores: int, on_gpus: bool) -> list[Row]:
    """Return a row for each work and number of processes, in the order in which they first came.

    `efficiency` and `speedup` are against the first number of processes of the same work. `passed`
    is None where another batch is another computation.
    """
    groups: dict[tuple[str, int], list[Measured]] = {}
    for item in measured:
        groups.setdefault((item.work, item.processes), []).append(item)
    firsts: dict[str, list[Measured]] = {}
    for (work, _), group in groups.items():
        firsts.setdefault(work, group)
    return [_row(group, firsts[work], cores, on_gpus) for (work, _), group in groups.items()]


def _row(group: Sequence[Measured], first: Sequence[Measured], cores: int, on_gpus: bool) -> Row:
    one, rate = group[0], _rate(group)
    speedup = rate / _rate(first)
    used, used_first = (_used(items[0], cores, on_gpus) for items in (group, first))
    within = SCORES_WITHIN if one.work == "scoring" else LOSSES_WITHIN
    deviations = [
        deviation(item.numbers, first[0].numbers)
        for item in group
        if item.numbers is not None and first[0].numbers is not None
    ]
    seconds = [item.seconds for item in group]
    return {
        "work": one.work,
        "processes": one.processes,
        "threads": one.threads,
        "used": used,
        "of": "GPUs" if on_gpus else "cores",
        "batch": one.batch,
        "images": one.images,
        "repeats": len(group),
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "images_per_second": rate,
        "speedup": speedup,
        "efficiency": speedup * used_first / used,
        "deviation": max(deviations, default=None),
        "within": within,
        "passed": max(deviations) <= within if deviations else None,
        "numbers": None if one.numbers is None else dict(one.numbers),
    }


def _rate(group: Sequence[Measured]) -> float:
    return group[0].images / statistics.median(item.seconds for item in group)


def _used(item: Measured, cores: int, on_gpus: bool) -> int:
    return item.processes if on_gpus else min(cores, item.processes * item.threads)


def deviation(numbers: Numbers, first: Numbers) -> float:
    """Return the largest relative difference; infinite where a number is there only once."""
    if numbers.keys() != first.keys():
        return math.inf
    return max((_apart(numbers[name], first[name]) for name in numbers), default=0.0)


def _apart(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    larger = max(abs(one), abs(other))
    return abs(one - other) / larger if larger else 0.0
