# SPDX-License-Identifier: Apache-2.0
"""What a comparison finds: differences in metrics, classes and images, and their verdicts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spade_eval.reports.statistics.power import ERROR

Verdict = Literal["better", "worse", "no difference shown", "no interval", "withheld"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Subject minus baseline in one metric, as recorded, with its 95% interval.

    The interval of a distance is about `corrected`, the difference without the bias of both.
    """

    metric: str
    label: str
    unit: str
    larger_is_better: bool
    subject: float
    baseline: float
    difference: float
    corrected: float
    low: float
    high: float
    method: str  # "" where there is no interval
    standard_error: float
    num_images: int  # that the error is of; 0 where there is none
    smallest: float  # difference that so many images can show; see `power.py`
    needed: float  # images that would show this one, where it is not shown; else NaN
    p_value: float  # over all baselines of the comparison (Holm)
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ClassDifference:
    """The same for the IoU of one class."""

    name: str
    subject: float
    baseline: float
    difference: float
    low: float
    high: float
    p_value: float  # over all classes (Benjamini and Hochberg)
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class ImageDifference:
    """Accuracy of one image under both methods."""

    name: str
    subject: float
    baseline: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The subject against one baseline."""

    subject: str
    baseline: str
    differences: tuple[Difference, ...]
    classes: tuple[ClassDifference, ...]  # largest win first
    images: tuple[ImageDifference, ...]  # won and lost, largest absolute difference first


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One subject against several baselines under one protocol."""

    title: str
    subject: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def verdict(low: float, high: float, larger_is_better: bool, p_value: float = 0.0) -> Verdict:
    """Say what an interval of the difference means for the subject.

    A `p_value` that was adjusted for several tests must agree, where there is one.
    """
    if np.isnan(low) or np.isnan(high):
        return "no interval"
    if low <= 0 <= high or p_value > ERROR:
        return "no difference shown"
    return "better" if (low > 0) == larger_is_better else "worse"
