# SPDX-License-Identifier: Apache-2.0
"""What independent photos of one dataset come to: as many train photos against the val photos.

No method is expected below it. The sides share no label maps, so groups leave each side in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spade_eval.metrics.arrays import read_arrays, write_arrays
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import photos_path
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.statistics.feature_distances import (
    frechet,
    has_full_rank,
    left_out_frechet,
    load_features,
)
from spade_eval.reports.statistics.jackknife import (
    FEWEST_IMAGES,
    T_QUANTILE,
    Floats,
    LeftOut,
    distance_interval,
)
from spade_eval.reports.statistics.kernel_distances import (
    GAUSSIAN,
    left_out_sides,
    over_all_pairs,
)
from spade_eval.reports.statistics.stored_distances import (
    NOT_CORRECTED,
    Corrected,
    is_frechet,
    is_kernel,
    kernel_of,
)


@dataclass(frozen=True)
class Floor:
    """A distance of train photos to val photos, as every tool prints it and without its bias."""

    value: float
    corrected: Corrected


def floors_of(rows: Sequence[Row], run_folder: Path) -> dict[str, Floor]:
    """Return the floor of every distance by metric, where the run kept both sets of photos."""
    floors = {}
    for metric, item in ((name, item) for row in rows for name, item in row.scores.items()):
        if metric in floors or item.draws or not (is_frechet(metric) or is_kernel(metric)):
            continue
        kept = run_folder / "cache" / f"floor-{metric}-{(item.reference_sha256 or '')[:16]}.npz"
        if not kept.is_file():
            paths = [photos_path(run_folder, item, of) for of in ("floor", "reference")]
            if not all(path.is_file() for path in paths):
                continue
            train, val = map(load_features, paths)
            if len(val) < FEWEST_IMAGES or train.shape != val.shape:
                continue
            write_arrays(kept, **_computed(metric, train, val))
        floors[metric] = _read(item, kept)
    return floors


def _computed(metric: str, train: Floats, val: Floats) -> dict[str, Floats]:
    """Value and distances with groups left out; none of these where they remove no bias."""
    if not is_kernel(metric) and not has_full_rank(*val.shape):
        return {"value": np.array(frechet(train, val)), "without": np.empty((2, 0))}
    if not is_kernel(metric):
        left_out = left_out_frechet(train, val, paired=False)
        return {"value": np.array(left_out.value), "without": left_out.without}
    kernel = kernel_of(metric)
    left_out = left_out_sides(train, val, kernel)
    found = {"value": np.array(left_out.value), "without": left_out.without}
    if kernel is GAUSSIAN:  # which is printed with its bias
        found["printed"] = np.array(over_all_pairs(train, val, kernel))
    return found


def _read(item: Measurement, path: Path) -> Floor:
    kept = read_arrays(path, ("value", "without"), "a floor", optional=("printed",))
    value = float(kept["value"])
    if not kept["without"].size:
        return Floor(value, Corrected(float("nan"), remark=NOT_CORRECTED))
    left_out = LeftOut(value, kept["without"])
    centre = value if is_kernel(item.metric) else value - left_out.bias
    ends = distance_interval(centre, T_QUANTILE * left_out.standard_error)
    return Floor(float(kept.get("printed", value)), Corrected(centre, *ends))
