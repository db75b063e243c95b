# SPDX-License-Identifier: Apache-2.0
"""Whether the numbers of a bundle agree with each other, beyond the hashes of its files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts
from spade_eval.records import sha256_of_bytes
from spade_eval.reports.bundle.bundle import (
    MANIFEST,
    BundleCheck,
    bundled_runs,
    hash_faults,
    read_manifest,
)
from spade_eval.reports.bundle.safe_zip import opened_zip
from spade_eval.reports.measured.counts import average_of, counts_path
from spade_eval.reports.measured.grouping import Row, own_folder
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.bootstrap import resampled
from spade_eval.reports.tables.scores import per_class_table, scores_table

# Sums of 64-bit floats in another order than torch's.
_SAME = 1e-9
_FROM_COUNTS = ("miou", "acc_valid", "acc_all", "mean_accuracy", "fwiou")


def verify_bundle(path: Path) -> BundleCheck:
    """Check an archive completely; `UserError` only where it cannot be read at all."""
    with opened_zip(path) as bundle:
        read_manifest(bundle)
        faults, num_measurements = hash_faults(bundle), 0
        # Folders that a stranger's archive fills are looked at in a place of their own.
        with tempfile.TemporaryDirectory() as scratch:
            for name in bundle.names:
                bundle.extract(name, Path(scratch))
            for name in bundled_runs(bundle):
                run, of_run = _run_faults(Path(scratch) / "runs" / name)
                faults += of_run
                num_measurements += len(run.measurements) if run else 0
        return BundleCheck(
            sha256=sha256_of_bytes(bundle.read(MANIFEST)),
            runs=tuple(bundled_runs(bundle)),
            num_files=len(bundle.names),
            num_measurements=num_measurements,
            faults=tuple(faults),
        )


def _run_faults(folder: Path) -> tuple[RunData | None, list[str]]:
    """Return the run, None where its records cannot be read, and what is wrong with it."""
    try:
        run = open_run(folder)
    except UserError as error:
        return None, [_inside(str(error), folder)]
    faults = []
    for group in run.groups:
        for row in group.rows:
            faults += [f"runs/{run.name}: {fault}" for fault in _count_faults(row, folder)]
        inner = folder / "tables" / own_folder(group, run.groups)
        for file, frame, index in (
            ("scores.csv", scores_table(group), None),
            ("per_class_iou.csv", per_class_table(group), "class"),
        ):
            if (inner / file).is_file() and not _same_table(inner / file, frame, index):
                name = (inner / file).relative_to(folder).as_posix()
                faults.append(f"runs/{run.name}/{name}: other numbers than the records hold")
    return run, faults


def _count_faults(row: Row, folder: Path) -> Iterator[str]:
    """Recorded scores that are not those of the per-image counts."""
    first = row.measurements[0]
    try:
        path = counts_path(folder, first)
        if not path.is_file():
            return
        counts = StoredCounts.load(path)
        once = np.ones((1, len(counts)))
        counted = resampled(counts, once, average_of(row, counts))
    except UserError as error:
        yield _inside(str(error), folder)
        return
    if len(counts) != first.num_images:
        yield f"{row.title}: counts of {len(counts)} images, recorded are {first.num_images}"
    for metric in _FROM_COUNTS:
        item, values = row.scores.get(metric), counted.of(metric)
        if item is not None and values is not None and not _agree(item.value, values[0]):
            yield f"{row.title}: {metric} is recorded as {item.value}, the counts give {values[0]}"
    for name, value in zip(row.class_iou, counted.iou[0], strict=False):
        recorded = row.class_iou[name].value
        if not _agree(recorded, value):
            yield f"{row.title}: IoU of {name} is recorded as {recorded}, the counts give {value}"


def _agree(recorded: float | None, computed: float) -> bool:
    if recorded is None:
        return bool(np.isnan(computed))
    return bool(abs(recorded - computed) < _SAME)


def _same_table(path: Path, expected: pd.DataFrame, index: str | None) -> bool:
    """Return whether a CSV holds the numbers of a frame, apart from columns of provenance."""
    try:
        # Names and numbers alone: "NA" may be the name of a class.
        stored = pd.read_csv(path, keep_default_na=False, dtype=str)
        shown = expected.reset_index() if index else expected
        if len(stored) != len(shown):
            return False
        return all(_same_cells(stored[column], shown[column]) for column in map(str, shown.columns))
    except (KeyError, ValueError):
        return False


def _same_cells(stored: pd.Series, expected: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(expected):
        numbers = pd.to_numeric(stored.replace("", np.nan)).to_numpy(dtype="float64")
        return np.array_equal(
            numbers, expected.to_numpy(dtype="float64", na_value=np.nan), equal_nan=True
        )
    texts = ["" if pd.isna(value) else str(value) for value in expected]
    return stored.tolist() == texts


def _inside(message: str, folder: Path) -> str:
    """Remove from a message the place where the bundle was unpacked."""
    return message.replace(f"{folder.parent}/", "runs/")
