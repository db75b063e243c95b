# SPDX-License-Identifier: Apache-2.0
"""Scoring until a number is sure enough, by a rule that holds at every look (`--until`).

An interval of 95% holds its number at one N that was chosen before. Looked at after each batch, and
stopped at the first that pleases, it does not. A confidence sequence holds it at all N at once with
95%, so it may be looked at whenever one likes: Waudby-Smith, Arbour, Sinha, Kennedy and Ismael
(2024), "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 52(6), Theorem 2.2, the normal mixture of Robbins (1970). It is of a mean; mIoU is none,
so it is of the mean of the influence values (`count_influence.py`), whose remainder falls like 1/N.
Images must come in an order that knows nothing of their content.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.metrics.count_influence import STOPPABLE, Floats, count_influence
from spade_eval.metrics.counts import ClassAverage, StoredCounts

FIRST_LOOK = 100
"""Images before the first look: the sequence is asymptotic, and below N = 100 standard errors of
mIoU are short by a tenth (docs/statistics.md, section 9)."""
FEWEST_OF_A_CLASS = 10
"""Images that every class must have been seen in: while rarer ones turn up, others, unseen, would
change the mean (Good, 1953)."""
_ERROR = 0.05
_TUNED_AT = 500  # images: any choice holds, this one makes the sequence narrowest about there
# rho, that of Waudby-Smith et al., appendix B.2.
_RHO2 = (-2 * math.log(_ERROR) + math.log(1 - 2 * math.log(_ERROR))) / _TUNED_AT
_FORM = re.compile(r"([a-z_]+)\+-([0-9]*\.?[0-9]+)")


def sequence_margin(num_images: int) -> float:
    """Return the half width in standard deviations of one image.

    sqrt(2 (n r + 1) / (n² r) log(sqrt(n r + 1) / a)), r being rho² and a the share of errors;
    sqrt(n) times it is about 3, where an interval has 1.96.
    """
    grown = num_images * _RHO2 + 1
    return math.sqrt(2 * grown / (num_images**2 * _RHO2) * math.log(math.sqrt(grown) / _ERROR))


def half_width(influence: Floats) -> float:
    """Return half the width of the sequence of 95% at (N,) influence values."""
    return sequence_margin(len(influence)) * float(influence.std(ddof=1))


def anytime_p_value(difference: float, standard_error: float, num_images: int) -> float:
    """Return the least error at which the sequence at N images excludes 0, at most 1.

    It is one over the mixture sqrt(1 / (n r + 1)) exp(n r z² / (2 (n r + 1))), which exceeds 1/a at
    any time with a chance of a (Ville).
    """
    if standard_error == 0:
        return 0.0 if difference else 1.0
    grown = num_images * _RHO2 + 1
    z2 = min((difference / standard_error) ** 2, 1e6)  # finite as a power of e
    log_mixture = (grown - 1) * z2 / (2 * grown) - math.log(grown) / 2
    return min(1.0, math.exp(-min(log_mixture, 700.0)))


@dataclass(frozen=True)
class StoppingRule:
    """Score until a metric is known to `points` (of a hundred) by the confidence sequence."""

    metric: str
    points: float

    @classmethod
    def parse(cls, text: str) -> "StoppingRule":
        """Read 'miou+-0.5'; `UserError` for another form, metric or width."""
        found = _FORM.fullmatch(text.strip())
        known = ", ".join(STOPPABLE)
        if found is None or found[1] not in STOPPABLE or not 0 < float(found[2]) < 50:
            raise UserError(
                f"--until {text!r}: expected METRIC+-POINTS with a metric of {known} and points of "
                "a hundred, for example miou+-0.5"
            )
        return cls(found[1], float(found[2]))

    def __str__(self) -> str:
        return f"{self.metric}+-{self.points:g}"

    def is_met(self, counts: StoredCounts, average: ClassAverage) -> bool:
        """Return whether the images scored so far, in random order, suffice."""
        if len(counts) < FIRST_LOOK:
            return False
        times_seen = (counts.target > 0).sum(axis=0)
        if (times_seen[times_seen > 0] < FEWEST_OF_A_CLASS).any():
            return False
        influence = count_influence(counts, self.metric, average)
        assert influence is not None
        return half_width(influence) <= self.points / 100


def require_one_process(rule: str, num_processes: int) -> None:
    """Refuse a rule where several processes would share the images of a row."""
    if rule and num_processes > 1:
        raise UserError(
            f"--until {rule} looks at images one batch after another, found {num_processes} "
            "processes; leave --gpus and --nodes out"
        )


def random_order(count: int, seed: int) -> NDArray[np.int64]:
    """Return the order in which `count` images are scored, a function of count and seed alone."""
    return np.random.default_rng([seed, count]).permutation(count)


def joined_counts(parts: Sequence[StoredCounts]) -> StoredCounts:
    """Join counts of batches, in order."""
    names = tuple(name for part in parts for name in part.names)
    counts = np.concatenate([part.counts for part in parts])
    ignored = np.concatenate([part.num_ignored for part in parts])
    return StoredCounts(names, counts, ignored, parts[0].ignore_index)
