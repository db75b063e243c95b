# SPDX-License-Identifier: Apache-2.0
"""Where a run keeps what it counted in every image, and which rule made an mIoU of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.metrics.counts import ClassAverage, StoredCounts, miou_of
from spade_eval.metrics.draws import POOLED, column_over, of_draw, pooled_counts
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import Row

# Sums of 64-bit floats in another order than torch's.
_SAME = 1e-9


def counts_path(run_folder: Path, item: Measurement, draw: int = 1) -> Path:
    """Return the file of the per-image counts of a measurement's job, of several draws of one."""
    return run_folder / "counts" / f"{_file_name(item)}{of_draw(draw)}.npz"


def features_path(run_folder: Path, item: Measurement, draw: int = 1) -> Path:
    """Return the file of features that a distance was taken from: images', not photos'."""
    photos = (item.reference_sha256 or "")[:8]
    return run_folder / "features" / f"{_file_name(item)}-{photos}{of_draw(draw)}.npz"


def photos_path(run_folder: Path, item: Measurement, of: str = "reference") -> Path:
    """Return the file of features of the photos compared with; `floor`: of train photos."""
    return run_folder / "cache" / f"{of}-{(item.reference_sha256 or '')[:16]}.npz"


def stored_counts(run_folder: Path, item: Measurement) -> StoredCounts | None:
    """Load the per-image counts of a measurement's job; None where the run kept none."""
    path = counts_path(run_folder, item)
    return StoredCounts.load(path) if path.is_file() else None


def draws_of(item: Measurement) -> range:
    """Return the numbers of a job's draws, from 1."""
    return range(1, 1 + (item.num_draws or 1))


def stored_draws(run_folder: Path, item: Measurement) -> list[StoredCounts]:
    """Load the per-image counts of every draw of a job; none where one is missing."""
    paths = [counts_path(run_folder, item, draw) for draw in draws_of(item)]
    return [StoredCounts.load(path) for path in paths] if all(map(Path.is_file, paths)) else []


def average_of(row: Row, counts: StoredCounts) -> ClassAverage:
    """Infer the rule that makes the recorded mIoU, which also proves these counts the row's own.

    Rules that agree on the split (every class occurs) differ only where a resampled split lacks a
    class; the first of "target", "union", "all" is taken then.
    """
    pooled = counts.counts.sum(axis=0, dtype=np.float64)
    recorded = row.scores["miou"].value if "miou" in row.scores else None
    for average in get_args(ClassAverage):
        if recorded is not None and abs(float(miou_of(pooled, average)) - recorded) < _SAME:
            _require_accuracy(row, counts, pooled)
            return average
    raise UserError(
        f"{row.title}: its per-image counts give another mIoU than the {recorded} that is "
        "recorded; one of the two files was changed: score the row again in a new --out folder"
    )


def require_pooled(row: Row, draws: Sequence[StoredCounts], average: ClassAverage) -> None:
    """Refuse counts of several draws that do not make the recorded mIoU over all of them."""
    item = row.scores.get(column_over("miou", POOLED))
    pooled = pooled_counts(draws).counts.sum(axis=0, dtype=np.float64)
    if item is None or item.value is None:
        return
    if abs(float(miou_of(pooled, average)) - item.value) >= _SAME:
        raise UserError(
            f"{row.title}: the counts of its {len(draws)} draws give another pooled mIoU than the "
            f"{item.value} that is recorded; one of the files was changed: score the row again in "
            "a new --out folder"
        )


def _require_accuracy(row: Row, counts: StoredCounts, pooled: NDArray[np.float64]) -> None:
    """Refuse other numbers of ignored pixels than those of the recorded accuracy over all."""
    item = row.scores.get("acc_all")
    pixels = pooled[1].sum() + counts.num_ignored.sum(dtype=np.float64)
    if item is None or item.value is None or not pixels:
        return
    if abs(pooled[0].sum() / pixels - item.value) >= _SAME:
        raise UserError(
            f"{row.title}: its per-image counts give another accuracy than the {item.value} that "
            "is recorded; one of the two files was changed: score the row again in a new --out "
            "folder"
        )


def _file_name(item: Measurement) -> str:
    """Name it as the engine names a job's files.

    A name with a path in it never leaves the folder.
    """
    name = f"{item.source}-{item.job_sha256[:8]}"
    if Path(name).name != name or "\\" in name:
        raise UserError(f"the row name {item.source!r} is no file name; the record was changed")
    return name
