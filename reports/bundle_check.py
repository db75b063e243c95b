# SPDX-License-Identifier: Apache-2.0
"""Whether the numbers of a bundle agree with each other, beyond the hashes of its files."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spade_eval.errors import UserError
from spade_eval.records import sha256_of_bytes
from spade_eval.reports.bundle.bundle import MANIFEST, bundled_runs, hash_faults, read_manifest
from spade_eval.reports.bundle.numbers import check_numbers
from spade_eval.reports.bundle.safe_zip import opened_zip
from spade_eval.reports.measured.grouping import own_folder
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.runs import open_run
from spade_eval.reports.tables.draws import drawn_rows, draws_frame
from spade_eval.reports.tables.scores import per_class_table, scores_table


@dataclass(frozen=True, kw_only=True)
class BundleCheck:
    """What a verification found; `faults` is empty for a sound bundle."""

    sha256: str  # of the manifest
    runs: tuple[str, ...]
    num_files: int
    num_measurements: int
    num_unchecked: int  # measurements that nothing stored makes
    faults: tuple[str, ...]
    unchecked: tuple[str, ...]  # what could not be computed again, each in a sentence

    @property
    def verdict(self) -> str:
        """Say how much of a bundle without faults was proved."""
        computed = self.num_measurements - self.num_unchecked
        if not self.num_unchecked:
            return f"every hash agrees, and all {computed:,} numbers were computed again and agree"
        return (
            f"every hash agrees; {computed:,} of {self.num_measurements:,} numbers were computed "
            f"again and agree, {self.num_unchecked:,} cannot be checked (named above)"
        )


@dataclass(frozen=True, kw_only=True)
class _RunCheck:
    """The same of one run."""

    faults: tuple[str, ...]
    num_measurements: int = 0
    num_unchecked: int = 0
    unchecked: tuple[str, ...] = ()


def verify_bundle(path: Path) -> BundleCheck:
    """Check an archive completely; `UserError` only where it cannot be read at all."""
    with opened_zip(path) as bundle:
        read_manifest(bundle)
        faults = hash_faults(bundle)
        # Folders that a stranger's archive fills are looked at in a place of their own.
        with tempfile.TemporaryDirectory() as scratch:
            for name in bundle.names:
                bundle.extract(name, Path(scratch))
            checks = [_check_run(Path(scratch) / "runs" / name) for name in bundled_runs(bundle)]
        return BundleCheck(
            sha256=sha256_of_bytes(bundle.read(MANIFEST)),
            runs=tuple(bundled_runs(bundle)),
            num_files=len(bundle.names),
            num_measurements=sum(check.num_measurements for check in checks),
            num_unchecked=sum(check.num_unchecked for check in checks),
            faults=(*faults, *(fault for check in checks for fault in check.faults)),
            unchecked=tuple(sentence for check in checks for sentence in check.unchecked),
        )


def _check_run(folder: Path) -> _RunCheck:
    """Compute again what the files of a run allow, and compare its tables with its records."""
    try:
        run = open_run(folder)
    except UserError as error:
        return _RunCheck(faults=(_inside(str(error), folder),))
    numbers = check_numbers(run.measurements, folder)
    faults, compared = _table_faults(run)
    tables = [
        f"{path.relative_to(folder).as_posix()}: not made of this run's records alone"
        for path in sorted((folder / "tables").rglob("*.csv"))
        if path not in compared
    ]
    place = f"runs/{run.name}"
    return _RunCheck(
        faults=(
            *(f"{place}: {_inside(fault, folder)}" for fault in numbers.faults),
            *(f"{place}/{fault}" for fault in faults),
        ),
        num_measurements=len(run.measurements),
        num_unchecked=sum(len(item.sources) for item in numbers.unchecked),
        unchecked=(
            *(f"{place}: {item.sentence()}" for item in numbers.unchecked),
            *(f"{place}/{table}" for table in tables),
        ),
    )


def _table_faults(run: RunData) -> tuple[list[str], list[Path]]:
    """Say which tables hold other numbers than the records; return also those compared."""
    faults, compared = [], []
    for group in run.groups:
        inner = run.folder / "tables" / own_folder(group, run.groups)
        for file, frame, index in (
            ("scores.csv", scores_table(group), None),
            ("per_class_iou.csv", per_class_table(group), "class"),
            ("draws.csv", draws_frame(drawn_rows(group)), None),
        ):
            path = inner / file
            if not path.is_file():
                continue
            compared.append(path)
            if not _same_table(path, frame, index):
                name = path.relative_to(run.folder).as_posix()
                faults.append(f"{name}: other numbers than the records hold")
    return faults, compared


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
