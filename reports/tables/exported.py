# SPDX-License-Identifier: Apache-2.0
"""Leaderboards for others' pages: one JSON, and `.eval_results/*.yaml` of model repositories.

Both are made from the frames of `leaderboard`, a protocol each, so every number has the hash of its
protocol, the suite's version, and its intervals, and no two protocols are mixed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from spade_eval.errors import UserError, installed_version
from spade_eval.records import Measurement, sha256_of_json
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.measured.seeds import SeededRow
from spade_eval.reports.tables.plain_rows import rows_of_frame
from spade_eval.reports.tables.writing import write_text

FORMAT_VERSION = 1
"""Of the JSON: raised where a field changes its meaning or goes away."""

_BENCHMARK = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_ADDRESS = re.compile(r"https?://[^\s/]+\S*")


@dataclass(frozen=True)
class Board:
    """The frame of a protocol's leaderboard, and the rows that it was made from."""

    group: ProtocolGroup
    rows: Sequence[SeededRow]
    frame: pd.DataFrame


@dataclass(frozen=True)
class Hub:
    """Where results are shown: a dataset repository that is a Benchmark; what is behind them."""

    benchmark: str  # "owner/name"
    source_url: str | None = None  # of a page or repository

    def __post_init__(self) -> None:
        if not _BENCHMARK.fullmatch(self.benchmark):
            raise UserError(
                f"--benchmark {self.benchmark!r:.200}: expected the dataset repository of the "
                "benchmark as OWNER/NAME"
            )
        if self.source_url is not None and not _ADDRESS.fullmatch(self.source_url):
            raise UserError(
                f"--source-url {self.source_url!r:.200}: expected an address, https://..."
            )


def write_leaderboard_json(boards: Sequence[Board], notes: Sequence[str], path: Path) -> Path:
    """Write all protocols into one file: valid JSON, null where there is no number."""
    content = {
        "format": "spade-eval leaderboard",
        "format_version": FORMAT_VERSION,
        "suite_version": installed_version("spade-eval"),
        "protocols": [_protocol(board) for board in boards],
        "notes": list(notes),
    }
    text = json.dumps(_finite(content), allow_nan=False, indent=1, ensure_ascii=False)
    return write_text(text + "\n", path)


def _protocol(board: Board) -> dict[str, Any]:
    first, key = board.group.measurements[0], board.group.key
    return {
        "title": board.group.title,
        **key._asdict(),
        "slug": key.slug,
        "protocol_version": first.protocol_version,
        "segmenter": first.segmenter,
        "segmenter_weights": first.segmenter_weights,
        "suite_versions": _each(board.group.measurements, _suite_of),
        "commits": _each(board.group.measurements, lambda item: item.commit),
        "metrics": [
            {"metric": name, **about} for name, about in board.frame.attrs["metrics"].items()
        ],
        "rows": [
            {
                **{name: value for name, value in shown.items() if name != "table"},
                "competes": row.competes,
                "jobs": _each(_measurements(row), lambda item: item.job_sha256),
                "measured": max(item.started for item in _measurements(row)),
            }
            for row, shown in zip(_in_order(board), rows_of_frame(board.frame), strict=True)
        ],
        "warnings": list(board.frame.attrs["warnings"]),
        "shown": board.frame.attrs["shown"],
        "notes": list(board.frame.attrs["notes"]),
    }


def write_eval_results(boards: Sequence[Board], hub: Hub, folder: Path) -> list[Path]:
    """Write, of every model, the files of its repository: `ROW/.eval_results/PROTOCOL.yaml`.

    The form is that of https://huggingface.co/docs/hub/eval-results: a list of results, each of a
    task of the benchmark, here `PROFILE-METRIC`. Bounds and cheats are no models and have none.
    """
    written = []
    for board in boards:
        for row, shown in zip(_in_order(board), rows_of_frame(board.frame), strict=True):
            entries = list(_entries(board, row, shown, hub)) if row.competes else []
            if entries:
                place = folder / _folder_name(row.title) / ".eval_results"
                text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=10**6)
                written.append(write_text(text, place / f"{board.group.key.slug}.yaml"))
    return written


def _entries(
    board: Board, row: SeededRow, shown: Mapping[str, Any], hub: Hub
) -> Iterator[dict[str, Any]]:
    metrics: Mapping[str, Mapping[str, Any]] = board.frame.attrs["metrics"]
    for metric, about in metrics.items():
        values: Mapping[str, Any] = shown["values"][metric]
        value: float | None = values["value"]
        if value is None or math.isnan(value):
            continue
        items = [version.scores[metric] for version in row.versions if metric in version.scores]
        factor = 100 if about["unit"] == "%" else 1
        entry: dict[str, Any] = {
            "dataset": {"id": hub.benchmark, "task_id": f"{board.group.key.profile}-{metric}"},
            "value": factor * value,
            "date": max(item.started for item in items),
        }
        if hub.source_url is not None:
            entry["source"] = {"url": hub.source_url, "name": "spade-eval"}
        yield {**entry, "notes": _notes(items, values, about, factor)}


def _notes(
    items: Sequence[Measurement],
    values: Mapping[str, Any],
    about: Mapping[str, Any],
    factor: int,
) -> str:
    """Say all that a reader needs to judge or repeat a number; footnotes of the record last."""
    first = items[0]
    unit = " in %" if about["unit"] == "%" else ""
    direction = "larger is better" if about["larger_is_better"] else "smaller is better"
    said = [f"{about['label']}{unit}, {direction}"]
    for over, what in (("images", "label maps"), ("seeds", "seeds")):
        low, high = values.get(f"{over}_low"), values.get(f"{over}_high")
        if low is not None and high is not None and not math.isnan(low):
            unbiased = ", without bias" if over == "images" and about["unit"] != "%" else ""
            said.append(f"95% over {what}{unbiased} [{factor * low:.6g}, {factor * high:.6g}]")
    if len(items) > 1:
        said.append(f"mean of {len(items)} seeds")
    said += [
        f"{first.num_images} images of {first.height}x{first.width}, {first.dataset} {first.split} "
        f"(SHA-256 {first.dataset_sha256})",
        f"protocol {first.profile}, version {first.protocol_version} "
        f"(SHA-256 {first.protocol_sha256})",
    ]
    for what in ("segmenter", "features"):
        if getattr(first, what):
            sha256 = getattr(first, f"{what}_sha256")
            said.append(f"{what} {getattr(first, what)} (SHA-256 {sha256})")
    suites = ", ".join(filter(None, _each(items, _suite_of)))
    said.append(f"spade-eval {suites or 'of an unknown version'}")
    commits = ", ".join(filter(None, _each(items, lambda item: item.commit)))
    said += [f"commit {commits}"] if commits else []
    return "; ".join([*said, *_each((note for item in items for note in item.notes), str)])


def _in_order(board: Board) -> list[SeededRow]:
    """Return the rows in the order of the frame, which ranks them."""
    by_title = {row.title: row for row in board.rows}
    return [by_title[title] for title in board.frame["row"]]


def _measurements(row: SeededRow) -> list[Measurement]:
    return [item for version in row.versions for item in version.measurements]


def _suite_of(item: Measurement) -> str | None:
    return item.versions.get("spade-eval")


def _each(items: Any, of: Any) -> list[Any]:
    """Return what there is of all items, each once, in order."""
    return list(dict.fromkeys(of(item) for item in items))


def _folder_name(title: str) -> str:
    """Return a name of a row that every file system takes, and that leaves no folder."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip(".-")
    return plain if plain == title else f"{plain or 'row'}-{sha256_of_json(title)[:8]}"


def _finite(value: Any) -> Any:
    """Return the same with None for NaN and infinity, and plain numbers for NumPy's."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
