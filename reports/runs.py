# SPDX-License-Identifier: Apache-2.0
"""Runs as reports read them: run folders and bundles, alone or merged.

Merging keeps each measurement once. Where two runs hold the same job, the same images under the
same protocol, with different values, the first given run's value is shown and the disagreement is
named: it means that one of the machines computes something else, or that a file was changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.bundle.bundle import extract_bundle
from spade_eval.reports.measured.run_data import RunData


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """One number that two runs hold with different values."""

    source: str
    metric: str
    class_name: str | None
    first: float | None
    second: float | None
    first_run: str
    second_run: str

    def sentence(self) -> str:
        """Say what a reader must know."""
        name = self.metric if self.class_name is None else f"{self.metric} of {self.class_name}"
        return (
            f"{self.source}: {self.first_run} and {self.second_run} hold the same job with "
            f"different values of {name} ({self.first} and {self.second}); shown is the first."
        )


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The measurements of several runs, each once."""

    measurements: tuple[Measurement, ...]
    disagreements: tuple[Disagreement, ...]
    num_duplicates: int  # equal measurements that several runs hold


def open_run(folder: Path) -> RunData:
    """Open configuration and measurements of a run folder.

    `UserError` where nothing is recorded.
    """
    measurements = tuple(RecordStore(folder / "records.jsonl"))
    if not measurements:
        raise UserError(
            f"{folder / 'records.jsonl'}: holds no complete measurement, so there is nothing "
            f"to report; run `spade-eval benchmark --out {folder}` first"
        )
    return RunData(
        folder=folder, name=folder.name, config=_config(folder), measurements=measurements
    )


def open_runs(places: Sequence[Path], scratch: Path) -> list[RunData]:
    """Open runs of folders and of bundles, which are verified and unpacked below `scratch`."""
    folders: list[Path] = []
    for number, place in enumerate(places):
        if place.is_file():
            folders += extract_bundle(place, scratch / f"bundle-{number}")
        else:
            folders.append(place)
    return [open_run(folder) for folder in folders]


def merged(runs: Sequence[RunData]) -> Merged:
    """Join the measurements of all runs in the given order."""
    kept: dict[tuple[str, str, str | None], tuple[Measurement, str]] = {}
    disagreements, num_duplicates = [], 0
    for run in runs:
        for item in run.measurements:
            key = (item.job_sha256, item.metric, item.class_name)
            first, name = kept.setdefault(key, (item, run.name))
            if first is item:
                continue
            if first.value == item.value:
                num_duplicates += 1
                continue
            disagreements.append(
                Disagreement(
                    source=item.source, metric=item.metric, class_name=item.class_name,
                    first=first.value, second=item.value, first_run=name, second_run=run.name,
                )
            )  # fmt: skip
    return Merged(
        measurements=tuple(item for item, _ in kept.values()),
        disagreements=tuple(disagreements),
        num_duplicates=num_duplicates,
    )


def _config(folder: Path) -> dict[str, Any] | None:
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        config = parsed_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not the JSON that a run writes ({error}); restore it") from error
    return config if isinstance(config, dict) else None
