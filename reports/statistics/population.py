# SPDX-License-Identifier: Apache-2.0
"""A run folder taken as a population, from which images are drawn again and again.

The scored label maps are the whole world here, each as likely as the next, so the scores of the
population are known exactly, and so is the truth about every difference of two rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError, lookup
from spade_eval.metrics.counts import ClassAverage, StoredCounts
from spade_eval.reports.measured.counts import average_of, stored_counts
from spade_eval.reports.measured.grouping import ProtocolGroup, Row
from spade_eval.reports.statistics.bootstrap import Resampled, resampled
from spade_eval.reports.statistics.feature_distances import frechet
from spade_eval.reports.statistics.jackknife import Floats
from spade_eval.reports.statistics.stored_distances import is_frechet, stored_features

KERNEL = "kid"


def drawn_counts(counts: StoredCounts, places: NDArray[np.int64]) -> StoredCounts:
    """Return the counts of the images at `places`, in that order, some perhaps twice."""
    names = tuple(counts.names[place] for place in places)
    return StoredCounts(names, counts.counts[places], counts.num_ignored[places])


def counts_where(
    chosen: NDArray[np.bool_], mine: StoredCounts, other: StoredCounts
) -> StoredCounts:
    """Return the counts of one row where `chosen`, those of another elsewhere."""
    return StoredCounts(
        mine.names,
        np.where(chosen[:, None, None], mine.counts, other.counts),
        np.where(chosen, mine.num_ignored, other.num_ignored),
    )


@dataclass(frozen=True)
class Images:
    """What one row's images are judged by, and the photos of their label maps."""

    counts: StoredCounts  # N images
    average: ClassAverage
    photos: Floats  # (N, D)
    features: Floats  # (N, D)

    def drawn(self, places: NDArray[np.int64]) -> "Images":
        """Return the images at `places`, in that order, some perhaps twice."""
        counts = drawn_counts(self.counts, places)
        return Images(counts, self.average, self.photos[places], self.features[places])

    def where(self, chosen: NDArray[np.bool_], other: "Images") -> "Images":
        """Return these images where `chosen`, those of another row elsewhere."""
        counts = counts_where(chosen, self.counts, other.counts)
        features = np.where(chosen[:, None], self.features, other.features)
        return Images(counts, self.average, self.photos, features)

    def scores(self, times: Floats | None = None) -> Resampled:
        """Score all images once, or as often as each of the (R, N) `times` says."""
        once = np.ones((1, len(self.counts)))
        return resampled(self.counts, once if times is None else times, self.average)

    def population_distance(self, metric: str) -> float:
        """Return the distance of the populations, every label map as likely as the next."""
        count = len(self.photos)
        shift = self.photos.mean(axis=0) - self.features.mean(axis=0)
        if metric != KERNEL:
            # Covariances of a population are divided by N.
            rest = frechet(self.photos, self.features) - shift @ shift
            return float(shift @ shift + rest * (count - 1) / count)
        means = [
            ((x @ y.T / x.shape[1] + 1) ** 3).mean()
            for x, y in (
                (self.photos, self.photos),
                (self.features, self.features),
                (self.photos, self.features),
            )
        ]
        return float(means[0] + means[1] - 2 * means[2])


@dataclass(frozen=True)
class Population:
    """The rows of one protocol, and the distance that they have."""

    rows: Mapping[str, Images]
    frechet: str  # metric of the Fréchet distance

    @property
    def size(self) -> int:
        return len(next(iter(self.rows.values())).photos)


def population_of(group: ProtocolGroup, folder: Path, titles: Sequence[str] = ()) -> Population:
    """Read the rows of these titles (all, without any), in order, with counts and features.

    The photos' own row is at distance 0 whatever is drawn, and is left out.
    """
    found: dict[str, Images] = {}
    metric = ""
    for row in _rows_of(group, titles):
        metric = next((name for name in row.scores if is_frechet(name)), metric)
        images = _images(row, metric, folder)
        if images is not None:
            found[row.title] = images
    if not found:
        raise UserError(
            f"{folder} holds no row with per-image counts and features of a distance, expected "
            "what a run with a distance keeps; score the images again in a new --out folder"
        )
    return Population(found, metric)


@dataclass(frozen=True)
class Counted:
    """What one row's images are judged by where no distance is looked at."""

    counts: StoredCounts
    average: ClassAverage


def counted_of(
    group: ProtocolGroup, folder: Path, titles: Sequence[str] = ()
) -> dict[str, Counted]:
    """Read the counts of the rows of these titles (all but the photos' own, without any), in order.

    `UserError` where none has any, or where they are not of the same images.
    """
    found: dict[str, Counted] = {}
    for row in _rows_of(group, titles):
        counts = stored_counts(folder, row.measurements[0])
        if counts is not None:
            found[row.title] = Counted(counts, average_of(row, counts))
    if not found:
        raise UserError(
            f"{folder} holds no row with per-image counts; score the images again in a new --out "
            "folder"
        )
    first, *others = found
    for title in others:
        if found[title].counts.names != found[first].counts.names:
            raise UserError(
                f"{first} and {title} were scored on other images, expected one population; "
                "name rows of the same images with --row"
            )
    return found


def _rows_of(group: ProtocolGroup, titles: Sequence[str]) -> list[Row]:
    known = {row.title: row for row in group.rows if row.kind != "real"}
    return [lookup(known, name, "row") for name in titles or known]


def _images(row: Row, metric: str, folder: Path) -> Images | None:
    item = row.scores.get(metric)
    counts = stored_counts(folder, row.measurements[0])
    sets = None if item is None else stored_features(folder, item)
    if counts is None or sets is None:
        return None
    return Images(counts, average_of(row, counts), *sets)
