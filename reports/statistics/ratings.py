# SPDX-License-Identifier: Apache-2.0
"""Answers of real people that others published, and whether a study's intervals hold on them.

Nobody knows what real people prefer, but one half of them says what the other should find. Images
(or people) are parted in two at random, again and again; an interval of 95% from one half should
hold the value of the other half, which varies as much as its own, with the chance (Cumming and
Maillardet, Psychological Methods 11, 2006)

    P(|Z| < 1.96 / sqrt(2)) = 83.4%,   Z normal                                               (12)

The ratings are files of this package, with their sources and licences: `ratings/LICENSES.md`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spade_eval.reports.statistics.agreement import krippendorff_alpha, resampled_alpha
from spade_eval.reports.statistics.bootstrap import Floats, draw_counts, drawn_images, interval
from spade_eval.reports.statistics.preferences import (
    LEVEL,
    Votes,
    clopper_pearson,
    clustered_interval,
    crossed_interval,
)
from spade_eval.reports.statistics.strengths import bradley_terry, strengths_with_intervals

FOLDER = Path(__file__).parents[1] / "ratings"
SCORES = ("consistency", "quality", "overall")
"""What ImagenHub's raters gave: 0, 0.5 or 1; overall is the root of the product of both."""
_SHOWN = 100  # generated images that each person of `lsun.csv` saw
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Ratings:
    """What every rater gave every system's image, of one score."""

    systems: tuple[str, ...]
    values: Floats  # (systems, images, raters)

    def counts(self, system: int) -> Floats:
        """Count (images, values): how many raters gave each value that occurs."""
        given = self.values[system]
        return np.stack([(given == value).sum(axis=1) for value in np.unique(given)], axis=1) * 1.0

    def votes(self, first: int, second: int) -> Votes:
        """Return whom each rater rated higher, image by image; equal ratings are ties."""
        choices = np.sign(self.values[first] - self.values[second]).astype(np.int64)
        images, people = np.indices(choices.shape)
        return Votes(images.ravel(), people.ravel(), choices.ravel())

    def wins_by_image(self) -> Floats:
        """Count (images, K, K): raters of an image who rate system i higher than system j."""
        higher = self.values[:, None] > self.values[None]  # (K, K, images, raters)
        return higher.sum(axis=3).transpose(2, 0, 1) * 1.0


TASKS = ("control_guided", "multi_subject")
"""Of ImagenHub: two systems and 150 images, three systems and 102 images; three raters each."""


def read_ratings(task: str) -> dict[str, Ratings]:
    """Read the ratings of one of `TASKS`; an item for each of `SCORES`."""
    rows = pd.read_csv(FOLDER / f"{task}.csv")
    raters = rows["rater"].nunique()
    names = [name.split() for name in map(str, rows.columns)]
    systems = tuple(name[0] for name in names if name[1:] == ["consistency"])
    given = {
        score: np.stack(
            [rows[f"{system} {score}"].to_numpy().reshape(raters, -1).T for system in systems]
        )
        for score in SCORES[:2]
    }
    given[SCORES[2]] = np.sqrt(given["consistency"] * given["quality"])
    return {score: Ratings(systems, values) for score, values in given.items()}


def read_mistakes() -> dict[str, Floats]:
    """Read how many of 100 generated images every person took for real, by their model."""
    rows = pd.read_csv(FOLDER / "lsun.csv")
    return {
        str(model): group["generated_wrong"].to_numpy().astype(float)
        for model, group in rows.groupby("model", sort=False)
    }


def read_printed() -> pd.DataFrame:
    """Return what ImagenHub prints: task, system, score, mean, kappa, ordinal_alpha."""
    return pd.read_csv(FOLDER / "published.csv")


def alpha_of_kappa(kappa: float, answers: int) -> float:
    """Return (8) of Fleiss' kappa (1971), where all n answers are of as many people a question.

    Both are 1 - D_o / D_e with the same D_o; D_e is drawn without replacement in (7), and with
    replacement in kappa, so that the one is n / (n - 1) of the other (Krippendorff, 2011).
    """
    return 1 - (1 - kappa) * (answers - 1) / answers


class Halved(Protocol):
    """A statistic of units (images or people) that can be asked of some of them."""

    @property
    def units(self) -> int: ...

    def value(self, places: Places) -> float: ...

    def intervals(self, places: Places, times: Floats) -> Mapping[str, tuple[float, float]]: ...


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha (8) of images."""

    counts: Floats  # (images, values)

    @property
    def units(self) -> int:
        return len(self.counts)

    def value(self, places: Places) -> float:
        return krippendorff_alpha(self.counts[places])

    def intervals(self, places: Places, times: Floats) -> Mapping[str, tuple[float, float]]:
        low, high = interval(resampled_alpha(self.counts[places], times))
        return {"alpha": (float(low), float(high))}


@dataclass(frozen=True)
class Preferred:
    """The preference (1) by images."""

    counts: Floats  # (images, 3): for the first, for the second, ties

    @property
    def units(self) -> int:
        return len(self.counts)

    def value(self, places: Places) -> float:
        wins, losses, _ = self.counts[places].sum(axis=0)
        return float(wins / (wins + losses))

    def intervals(self, places: Places, times: Floats) -> Mapping[str, tuple[float, float]]:
        wins, decided = self.counts[places, 0], self.counts[places, :2].sum(axis=1)
        return {
            "exact": clopper_pearson(int(wins.sum()), int(decided.sum())),
            "clustered": clustered_interval(wins, decided, times),
        }


@dataclass(frozen=True)
class Strength:
    """The log strength (10) of one of several systems, by images."""

    wins: Floats  # (images, K, K)
    system: int

    @property
    def units(self) -> int:
        return len(self.wins)

    def value(self, places: Places) -> float:
        return float(bradley_terry(self.wins[places].sum(axis=0))[self.system])

    def intervals(self, places: Places, times: Floats) -> Mapping[str, tuple[float, float]]:
        _, low, high = strengths_with_intervals(self.wins[places], times)
        return {"strength": (float(low[self.system]), float(high[self.system]))}


@dataclass(frozen=True)
class Mistaken:
    """The share of generated images that people take for real; no two people share an image."""

    mistakes: Floats  # (people,) of 100

    @property
    def units(self) -> int:
        return len(self.mistakes)

    def value(self, places: Places) -> float:
        return float(self.mistakes[places].mean() / _SHOWN)

    def intervals(self, places: Places, times: Floats) -> Mapping[str, tuple[float, float]]:
        wins = self.mistakes[places].astype(np.int64)
        answers = np.tile(np.arange(_SHOWN), (len(wins), 1)) < wins[:, None]
        people = np.repeat(np.arange(len(wins)), _SHOWN)
        votes = Votes(np.arange(answers.size), people, np.where(answers.ravel(), 1, -1))
        return {
            "exact": clopper_pearson(int(wins.sum()), answers.size),
            "crossed": crossed_interval(votes),
        }


def held_by_other_half(
    items: Sequence[Halved], splits: int, seed: int = 0, progress: Callable[[], None] = lambda: None
) -> list[dict[str, float]]:
    """Return of each item how often intervals from one half of the units held the other's value.

    All items have the same units, and are asked of the same halves.
    """
    held: list[dict[str, list[bool]]] = [{} for _ in items]
    for one, other, times in _halves(items[0].units, splits, seed):
        for item, found in zip(items, held, strict=True):
            truth = item.value(other)
            for kind, (low, high) in item.intervals(one, times).items():
                found.setdefault(kind, []).append(low <= truth <= high)
        progress()
    return [{kind: float(np.mean(every)) for kind, every in found.items()} for found in held]


def chance_of_other_half(degrees: float = np.inf) -> float:
    """Return (12); of Student's law with so many degrees of freedom where they are finite."""
    from scipy.stats import t as student

    end = student.ppf((1 + LEVEL) / 2, degrees)
    return float(1 - 2 * student.sf(end / np.sqrt(2), degrees))


def _halves(units: int, splits: int, seed: int) -> Iterator[tuple[Places, Places, Floats]]:
    """Part the units in two, the first half the larger; with how often its bootstrap drew each."""
    for number in range(splits):
        numbers = np.random.default_rng([seed, number])
        order = numbers.permutation(units)
        one, other = order[: (units + 1) // 2], order[(units + 1) // 2 :]
        yield one, other, draw_counts(drawn_images(len(one), seed=int(numbers.integers(2**31))))
