# SPDX-License-Identifier: Apache-2.0
"""Mean and covariance of a stream of features, whatever its batches.

Sums of x and x xᵀ in float64, and the features themselves while there are too few of them for a
covariance of full rank. The first row of the stream is taken from all that are summed: squares of
numbers far from 0 would leave no digits for their spread.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.metrics.arrays import read_arrays, require_array, write_arrays

_STORED = ("sum", "outer", "num_folded", "rows", "metadata")
_SHIFT = "shift"  # files from before it have sums of plain x
_ROUNDING = 1e-9  # of sums in float64, against their largest
_FARTHEST = 1e10  # square of a mean over the variance: plain sums of squares lose 10 digits of 16


class FeatureMoments:
    """Streaming moments of features of `dim` dimensions; sample covariance (N - 1).

    Rows wait in a buffer of `dim` rows and enter the sums one full buffer at a time, when the next
    row arrives. So the order of the rows alone decides every rounding, and how they were batched
    cannot change a bit; and while N <= `dim`, when the covariance cannot have full rank, the
    buffer holds every row.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._num_folded = 0
        self._shift = torch.zeros(dim, dtype=torch.float64)
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._outer = torch.zeros(dim, dim, dtype=torch.float64)
        self._buffer = torch.zeros(dim, dim, dtype=torch.float64)
        self._num_buffered = 0
        self._covariance: Tensor | None = None  # of the rows so far, once it was asked for

    def update(self, features: Tensor) -> None:
        """Add (N, dim) features; NaN or infinity is an error and leaves the sums untouched."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features are {tuple(features.shape)}, expected (N, {self.dim})")
        rows = features.detach().to("cpu", torch.float64)
        self._require_finite(rows)
        if not self.count and len(rows):
            self._shift = rows[0].clone()
        self._covariance = None
        while len(rows):
            if self._num_buffered == self.dim:
                self._fold()
            taken = min(self.dim - self._num_buffered, len(rows))
            self._buffer[self._num_buffered : self._num_buffered + taken] = rows[:taken]
            self._num_buffered += taken
            rows = rows[taken:]

    def _require_finite(self, rows: Tensor) -> None:
        broken = (~rows.isfinite().all(dim=1)).nonzero()
        if len(broken):
            raise UserError(
                f"{len(broken)} of {len(rows)} features hold NaN or infinity, expected finite "
                f"numbers; check image {self.count + int(broken[0])} (counted from 0)"
            )

    def _fold(self) -> None:
        """Add the full buffer to the sums and empty it."""
        shifted = self._buffer - self._shift
        self._sum += shifted.sum(dim=0)
        self._outer.addmm_(shifted.T, shifted)
        self._num_folded += self._num_buffered
        self._num_buffered = 0

    @property
    def _rows(self) -> Tensor:
        return self._buffer[: self._num_buffered]

    @property
    def count(self) -> int:
        """Number of rows seen."""
        return self._num_folded + self._num_buffered

    @property
    def is_rank_deficient(self) -> bool:
        """Whether the covariance is singular for lack of rows: its rank is at most N - 1."""
        return self.count <= self.dim

    @property
    def features(self) -> Tensor | None:
        """All rows, (N, dim) float64, while `is_rank_deficient`; else None."""
        return self._rows.clone() if self.is_rank_deficient else None

    def mean(self) -> Tensor:
        """Return the (dim,) float64 mean."""
        return self._shift + self._shifted_mean()

    def mean_difference(self, other: "FeatureMoments") -> Tensor:
        """Return the (dim,) float64 mean minus that of `other`, exact also far from 0."""
        return (self._shift - other._shift) + (self._shifted_mean() - other._shifted_mean())

    def _shifted_mean(self) -> Tensor:
        self.require_count(1)
        return (self._sum + (self._rows - self._shift).sum(dim=0)) / self.count

    def centred_rows(self) -> Tensor:
        """Return all rows minus their mean, (N, dim) float64; only while `is_rank_deficient`."""
        assert self.is_rank_deficient, "rows are kept while the covariance is rank deficient"
        return self._rows - self._shift - self._shifted_mean()

    def covariance(self) -> Tensor:
        """Return the (dim, dim) float64 sample covariance, divided by N - 1; not to be changed.

        It is kept until a row comes: every distance to the same photos asks for theirs.
        """
        self.require_count(2)
        if self._covariance is None:
            self._covariance = self._made_covariance()
        return self._covariance

    def _made_covariance(self) -> Tensor:
        if self.is_rank_deficient:
            centred = self.centred_rows()
            return centred.T @ centred / (self.count - 1)
        mean, shifted = self._shifted_mean(), self._rows - self._shift
        outer = torch.addmm(self._outer, shifted.T, shifted)
        # In place: at 2048 dimensions new memory costs as much as half of the product.
        return outer.addr_(mean, mean, alpha=-self.count).div_(self.count - 1)

    def require_count(self, least: int) -> None:
        """Refuse to go on with fewer than `least` rows."""
        if self.count < least:
            raise UserError(f"features of {self.count} images, expected at least {least} of them")

    def save(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write sums, kept rows and the caller's JSON metadata (profile, hashes) as .npz."""
        write_arrays(
            path,
            shift=self._shift.numpy(),
            sum=self._sum.numpy(),
            outer=self._outer.numpy(),
            num_folded=np.array(self._num_folded),
            rows=self._rows.numpy(),
            metadata=np.array(json.dumps(dict(metadata), sort_keys=True)),
        )

    @classmethod
    def load(cls, path: Path) -> "tuple[FeatureMoments, dict[str, Any]]":
        """Read what `save` wrote, bit for bit: later rows are added as if the stream went on."""
        stored = read_arrays(path, _STORED, "feature moments", optional=(_SHIFT,))
        _require_moments(stored, path)
        moments = cls(len(stored["sum"]))
        moments._num_folded = int(stored["num_folded"])
        moments._sum += torch.from_numpy(stored["sum"])
        moments._outer += torch.from_numpy(stored["outer"])
        moments.update(torch.from_numpy(stored["rows"]))
        if _SHIFT in stored:
            moments._shift = torch.from_numpy(stored[_SHIFT]).double()
        return moments, _metadata(path, str(stored["metadata"]))


def _metadata(path: Path, text: str) -> dict[str, Any]:
    try:
        return dict(parsed_json(text))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: its metadata is no JSON object ({error}); compute them again"
        ) from error


def _require_moments(stored: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Refuse sums that no features have: of other shapes, asymmetric, or of negative squares."""
    require_array(stored["sum"], (None,), "f", path, "sum")
    dim, outer = len(stored["sum"]), stored["outer"]
    require_array(outer, (dim, dim), "f", path, "outer")
    require_array(stored["rows"], (None, dim), "f", path, "rows")
    require_array(stored["num_folded"], (), "iu", path, "num_folded")
    require_array(stored.get(_SHIFT, stored["sum"]), (dim,), "f", path, _SHIFT)
    count = int(stored["num_folded"])
    if count < 0 or len(stored["rows"]) > dim:
        raise UserError(
            f"{path}: {count} folded rows and {len(stored['rows'])} kept ones, expected at least 0 "
            f"and at most {dim}; compute them again"
        )
    scale = np.abs(outer).max(initial=0.0)
    if not np.allclose(outer, outer.T, rtol=0, atol=_ROUNDING * scale):
        raise UserError(f"{path}: outer is not symmetric; compute them again")
    # count times the covariance, about whatever the sums are taken (Cauchy-Schwarz: never below 0).
    scatter = outer - np.outer(stored["sum"], stored["sum"]) / max(count, 1)
    if not _is_positive(scatter, scale):
        raise UserError(
            f"{path}: a combination of features has a negative variance; compute them again"
        )
    farthest = (stored["sum"] ** 2).max(initial=0.0) / max(count, 1)
    if _SHIFT not in stored and farthest > _FARTHEST * np.diagonal(scatter).max(initial=0.0):
        raise UserError(
            f"{path}: features so far from 0 that their plain sums do not hold their variance; "
            "compute them again"
        )


def _is_positive(scatter: NDArray[np.float64], scale: float) -> bool:
    """Return whether a symmetric matrix has no negative eigenvalue beyond rounding.

    By a Cholesky factor, which takes a tenth of the time of eigenvalues. The factor itself is
    rounded by up to D² times that of float64, 1e-9 of the largest number at 2048 dimensions.
    """
    shift = 10 * _ROUNDING * (scale or 1.0)
    try:
        np.linalg.cholesky(scatter + np.diag(np.full(len(scatter), shift)))
    except np.linalg.LinAlgError:
        return False
    return True
