# SPDX-License-Identifier: Apache-2.0
"""How sure a recorded distance is, from the features that its run stored.

What takes long (groups left out, influence values) is computed once and kept in the run's `cache`.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from spade_eval.metrics.arrays import read_cache, write_cache
from spade_eval.metrics.draws import MEAN, POOLED, base_of
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import draws_of, features_path, photos_path
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.statistics.feature_distances import (
    has_full_rank,
    left_out_frechet,
    left_out_plainly,
    load_features,
)
from spade_eval.reports.statistics.frechet_influence import influence_of_maps, standard_error_of
from spade_eval.reports.statistics.jackknife import (
    FEWEST_IMAGES,
    NUM_GROUPS,
    T_QUANTILE,
    Floats,
    LeftOut,
    distance_interval,
)
from spade_eval.reports.statistics.kernel_distances import (
    CUBIC,
    GAUSSIAN,
    Kernel,
    kernel_influence,
    left_out_pairs,
    paired_sums,
)

SAME_IMAGES = "same images"
NOT_CORRECTED = "not corrected: N <= d"
INFLUENCE = "paired influence values; bias removed by the jackknife over 20 groups of pairs"
JACKKNIFE = f"jackknife over 20 groups of pairs; {NOT_CORRECTED}"
NORMAL_QUANTILE = 1.959964  # 97.5%
MOST_POOLED = 20_000
"""Images of all draws together whose kernel is computed for an interval, every pair of them."""
_QUICK_DIM = 512


@dataclass(frozen=True)
class Corrected:
    """A distance without its bias, with a 95% interval; NaN where `remark` says why not."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    remark: str = ""


@dataclass(frozen=True)
class StoredDistance:
    """A recorded distance between the photos' and the row's stored features, (N, D) each.

    Photo i and image i share a label map: they are left out together. Of several draws that are
    pooled the images are (K N, D), draw after draw, and all of a label map are left out with it.
    """

    metric: str
    recorded: float
    real: Floats
    synthesized: Floats
    kept: Callable[[str], Path] | None = None  # the file of what takes long, by its form

    @property
    def is_kernel(self) -> bool:
        return is_kernel(self.metric)

    @property
    def is_correctable(self) -> bool:
        """Whether its bias can be removed; at N <= D nothing removes that of a Fréchet distance."""
        return self.is_kernel or has_full_rank(*self.real.shape)

    @property
    def num_images(self) -> int:
        return len(self.real)

    def settled(self) -> "SettledDistance":
        """Return what comparisons need, without the features: those of many rows fill memory."""
        return _settled(self)

    @cached_property
    def corrected(self) -> Corrected:
        """Remove the bias by the jackknife in pairs (of kernels: the pairs themselves)."""
        if np.array_equal(self.real, self.synthesized):
            return Corrected(0.0, remark=SAME_IMAGES)
        if not self.is_correctable:
            return Corrected(float("nan"), remark=NOT_CORRECTED)
        return _corrected(self.recorded, self.left_out, self.is_kernel)

    @cached_property
    def left_out(self) -> LeftOut:
        """The distance with one group of pairs left out at a time."""

        def compute() -> dict[str, Floats]:
            if self.is_kernel:
                made = left_out_pairs(self._kernel_sums)
            else:
                leave_out = left_out_frechet if self.is_correctable else left_out_plainly
                made = leave_out(self.real, self.synthesized, paired=True)
            return {"value": np.array(made.value), "without": made.without}

        kept = self._computed("jackknife", ("value", "without"), compute)
        return LeftOut(float(kept["value"]), kept["without"])

    @cached_property
    def influence(self) -> Floats:
        """(N,) influence of each pair; of what `is_correctable`."""

        def compute() -> dict[str, Floats]:
            if self.is_kernel:
                return {"influence": kernel_influence(self._kernel_sums)}
            return {"influence": influence_of_maps(self.real, self.synthesized)}

        return self._computed("influence", ("influence",), compute)["influence"]

    @cached_property
    def _kernel_sums(self) -> Floats:
        return paired_sums(self.real, self.synthesized, kernel_of(self.metric))

    def _computed(
        self, form: str, names: tuple[str, ...], compute: Callable[[], dict[str, Floats]]
    ) -> dict[str, Floats]:
        if self.kept is None:
            return compute()
        path = self.kept(form)
        kept = read_cache(path, self._made_by, names)
        if kept is None:
            kept = compute()
            with contextlib.suppress(OSError):  # what cannot be kept is computed again
                write_cache(path, self._made_by, **kept)
        return kept

    @cached_property
    def _made_by(self) -> str:
        """The hash of the features, whose files may have been changed since."""
        digest = hashlib.sha256(self.real.tobytes())
        digest.update(self.synthesized.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class MeanDistance:
    """The mean of the distances of several draws, whose images of a label map leave together."""

    recorded: float
    draws: tuple[StoredDistance, ...]

    @property
    def is_correctable(self) -> bool:
        return self.draws[0].is_correctable

    @property
    def num_images(self) -> int:
        return self.draws[0].num_images

    def settled(self) -> "SettledDistance":
        """Return what comparisons need, without the features."""
        return _settled(self)

    @cached_property
    def corrected(self) -> Corrected:
        """Remove the mean of the draws' biases; the error is that of their mean over label maps."""
        if not self.is_correctable:
            return Corrected(float("nan"), remark=NOT_CORRECTED)
        return _corrected(self.recorded, self.left_out, self.draws[0].is_kernel)

    @cached_property
    def left_out(self) -> LeftOut:
        """The mean with one group of label maps left out at a time."""
        every = [draw.left_out for draw in self.draws]
        without = np.mean([one.without for one in every], axis=0)
        return LeftOut(float(np.mean([one.value for one in every])), without)

    @cached_property
    def influence(self) -> Floats:
        """(N,) influence of each label map on the mean."""
        influence: Floats = np.mean([draw.influence for draw in self.draws], axis=0)
        return influence


def _corrected(recorded: float, left_out: LeftOut, is_kernel: bool) -> Corrected:
    # A profile may have its own arithmetic (float32), which the bias is taken from as it is.
    value = left_out.value if is_kernel else recorded - left_out.bias
    return Corrected(value, *distance_interval(value, T_QUANTILE * left_out.standard_error))


@dataclass(frozen=True)
class SettledDistance:
    """A `StoredDistance` without its features; of influence and left out, the one that is used."""

    recorded: float
    is_correctable: bool
    num_images: int
    corrected: Corrected
    influence: Floats
    left_out: LeftOut


AnyDistance = StoredDistance | MeanDistance | SettledDistance


def _settled(item: StoredDistance | MeanDistance) -> SettledDistance:
    return SettledDistance(
        recorded=item.recorded,
        is_correctable=item.is_correctable,
        num_images=item.num_images,
        corrected=item.corrected,
        influence=item.influence if item.is_correctable else np.zeros(0),
        left_out=LeftOut(0.0, np.zeros((1, 0))) if item.is_correctable else item.left_out,
    )


@dataclass(frozen=True)
class DistanceDifference:
    """Subject minus baseline without the bias of both, where it can be removed; its error."""

    value: float
    standard_error: float
    degrees: float  # of freedom; infinite where the normal law is used
    method: str

    @property
    def low(self) -> float:
        return self.value - self._half

    @property
    def high(self) -> float:
        return self.value + self._half

    @property
    def _half(self) -> float:
        quantile = NORMAL_QUANTILE if math.isinf(self.degrees) else T_QUANTILE
        return quantile * self.standard_error


def difference_of(mine: AnyDistance, other: AnyDistance) -> DistanceDifference:
    """Compare two rows with the same label maps: what those do to both distances cancels."""
    if mine.is_correctable:
        centre = mine.corrected.value - other.corrected.value
        error = standard_error_of(mine.influence - other.influence)
        return DistanceDifference(centre, error, math.inf, INFLUENCE)
    first, second, centre = mine.left_out, other.left_out, mine.recorded - other.recorded
    both = LeftOut(first.value - second.value, first.without - second.without)
    return DistanceDifference(centre, both.standard_error, NUM_GROUPS - 1, JACKKNIFE)


def stored_distances(row: Row, run_folder: Path) -> Mapping[str, StoredDistance | MeanDistance]:
    """Return them by metric; none where features of the row or of the photos were not kept.

    Of several draws: those of the first, of all pooled and of their mean.
    """
    distances: dict[str, StoredDistance | MeanDistance] = {}
    for metric, item in row.scores.items():
        if item.value is None or not (is_frechet(metric) or is_kernel(metric)):
            continue
        if item.draws not in (None, POOLED, MEAN):
            continue
        numbers = [1] if item.draws is None else draws_of(item)
        sets = [stored_features(run_folder, item, number) for number in numbers]
        known = [both for both in sets if both is not None]
        if len(known) == len(sets):
            found = _of_draws(item, known, partial(_kept_path, run_folder / "cache", item))
            distances |= {} if found is None else {metric: found}
    return distances


def _of_draws(
    item: Measurement, sets: Sequence[tuple[Floats, Floats]], kept: Callable[[str], Path]
) -> StoredDistance | MeanDistance | None:
    """Open a distance of these draws; None for one that would take hours."""
    metric, value = base_of(item.metric), item.value
    assert value is not None
    if item.draws == MEAN:
        draws = (
            StoredDistance(metric, math.nan, *both, partial(_of_draw, kept, place))
            for place, both in enumerate(sets)
        )
        return MeanDistance(value, tuple(draws))
    real, made = sets[0][0], np.concatenate([images for _, images in sets])
    if is_kernel(metric) and len(made) > MOST_POOLED and len(sets) > 1:
        return None
    return StoredDistance(metric, value, real, made, kept)


def _kept_path(cache: Path, item: Measurement, form: str) -> Path:
    return cache / f"{form}-{item.metric}-{item.job_sha256[:16]}.npz"


def _of_draw(kept: Callable[[str], Path], place: int, form: str) -> Path:
    return kept(f"{form}-{place + 1}")


def is_frechet(metric: str) -> bool:
    """Return whether it is FID by any profile, or the distance of another network's features."""
    return metric == "fid" or metric.startswith(("fid_", "fd_"))


def is_kernel(metric: str) -> bool:
    """Return whether it is KID, or the Gaussian kernel's distance of another network's features."""
    return base_of(metric) == "kid" or metric.startswith("mmd_")


def kernel_of(metric: str) -> Kernel:
    """Return the kernel of a distance that `is_kernel`."""
    return CUBIC if base_of(metric) == "kid" else GAUSSIAN


def is_quick(sets: tuple[Floats, Floats]) -> bool:
    """Return whether distances of these features take well below a second each."""
    return sets[1].shape[1] <= _QUICK_DIM


def stored_features(
    run_folder: Path, item: Measurement, draw: int = 1
) -> tuple[Floats, Floats] | None:
    """Load features of photos and of the row's images, (N, D) each; None where one is missing."""
    synthesized = features_path(run_folder, item, draw)
    reference = photos_path(run_folder, item)
    if not (synthesized.is_file() and reference.is_file()):
        return None
    real, made = load_features(reference), load_features(synthesized)
    if len(made) < FEWEST_IMAGES or real.shape != made.shape:
        return None
    return real, made
