# SPDX-License-Identifier: Apache-2.0
"""The images of one split side by side: label map, real photo, oracle, every model.

Pictures are links to the run's own PNG files, so that what is seen is what was scored, and nothing
is decoded while the page is written. The page's script makes elements only for the images it shows.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.metrics.counts import StoredCounts
from spade_eval.records import Measurement
from spade_eval.reports.html.image_scores import ImageScores, image_scores
from spade_eval.reports.measured.counts import stored_counts
from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.measured.run_data import RunData

LABEL_MAP = "label map"
PAINTER = "http://127.0.0.1:8417/"
"""Where `spade-eval paint` serves unless told otherwise: a link opens an image's map there."""
_SHARED_KINDS = (LABEL_MAP, *REFERENCE_KINDS)  # equal in every run on the same data


@dataclass(kw_only=True)
class GalleryColumn:
    """One source of images; several runs on the same data share label maps and photos."""

    title: str
    kind: str
    files: dict[str, Path] = field(default_factory=dict)  # by stem
    counts: StoredCounts | None = None
    class_names: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Gallery:
    """Every image of one split at one size; `prefix` is where its pictures lie."""

    title: str
    prefix: str
    height: int
    width: int
    columns: list[GalleryColumn]
    names: list[str]
    scores: ImageScores
    colors: dict[str, tuple[int, int, int]]  # of the label maps; empty where nothing states them

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "height": self.height,
            "width": self.width,
            "names": self.names,
            "classes": [[name, self.colors.get(name)] for name in self.scores.class_names],
            "columns": [
                {
                    "title": column.title,
                    "kind": column.kind,
                    "isModel": column.kind not in _SHARED_KINDS,
                    "folder": f"{self.prefix}/{place}",
                    "present": "".join("01"[name in column.files] for name in self.names),
                    **self.scores.of_column(place),
                }
                for place, column in enumerate(self.columns)
            ],
            "labels": self.scores.labels,
        }


def galleries(runs: Sequence[RunData]) -> list[Gallery]:
    """Return a gallery for each set of data that any image is kept of, in order of the runs."""
    groups: dict[tuple[str, ...], list[RunData]] = {}
    for run in runs:
        if run.measurements:
            first = run.measurements[0]
            data = (first.dataset, first.dataset_sha256, first.split, first.height, first.width)
            groups.setdefault(tuple(map(str, data)), []).append(run)
    by_data = [_gallery(group, f"images/{place}") for place, group in enumerate(groups.values())]
    return [gallery for gallery in by_data if gallery.names]


def link_images(gallery: Gallery, folder: Path) -> None:
    """Put the gallery's pictures into `folder`: hard links, or copies to another file system."""
    for place, column in enumerate(gallery.columns):
        target = folder / gallery.prefix / str(place)
        target.mkdir(parents=True, exist_ok=True)
        for stem, path in column.files.items():
            link_file(path, target / f"{stem}.png")


def link_file(path: Path, target: Path) -> None:
    """Make a hard link, or a copy on another file system."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _gallery(runs: Sequence[RunData], prefix: str) -> Gallery:
    columns: dict[tuple[str, str], GalleryColumn] = {}
    for run in runs:
        for kind, source, item in _sources(run):
            shared = kind in _SHARED_KINDS
            key = (kind, source if shared else f"{run.folder}/{source}")
            column = columns.setdefault(key, GalleryColumn(title=source, kind=kind))
            column.files = {**_pictures(run.folder / "images" / source), **column.files}
            if column.counts is None and item is not None:
                column.counts = stored_counts(run.folder, item)
                column.class_names = _classes_of_job(run.measurements, item.job_sha256)
            if not shared and len(runs) > 1:
                column.title = f"{source} ({run.name})"
    shown = sorted(
        (column for column in columns.values() if column.files),
        key=lambda column: (*_SHARED_KINDS, column.kind).index(column.kind),
    )
    names = _names(shown)
    first = runs[0].measurements[0]
    return Gallery(
        title=f"{first.dataset} {first.split}, {first.height}x{first.width}",
        prefix=prefix,
        height=first.height,
        width=first.width,
        columns=shown,
        names=names,
        scores=image_scores([(column.counts, column.class_names) for column in shown], names),
        colors=class_colors(run.folder for run in runs),
    )


def _sources(run: RunData) -> Iterable[tuple[str, str, Measurement | None]]:
    """Kind, name and last measurement of everything that may have pictures in a run."""
    last: dict[tuple[str, str], Measurement] = {}
    for item in sorted(run.measurements, key=lambda item: item.started):
        last[item.source_kind, item.source] = item
    yield LABEL_MAP, LABEL_MAP, None
    yield from ((kind, source, item) for (kind, source), item in last.items())


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the PNG files of a folder by stem, in order of their names."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


def _names(columns: Sequence[GalleryColumn]) -> list[str]:
    """Stems that have a picture, in the order of scoring where it is known."""
    known = {name for column in columns for name in column.files}
    order = [name for column in columns if column.counts for name in column.counts.names]
    return [name for name in dict.fromkeys([*order, *sorted(known)]) if name in known]


def _classes_of_job(measurements: Iterable[Measurement], job_sha256: str) -> tuple[str, ...]:
    """Names of the columns of the job's counts: its per-class records stand in their order."""
    return tuple(
        item.class_name
        for item in measurements
        if item.job_sha256 == job_sha256 and item.metric == "iou" and item.class_name is not None
    )


def class_colors(folders: Iterable[Path]) -> dict[str, tuple[int, int, int]]:
    """Colours of the label maps as run folders state them; none is guessed from the pictures."""
    for folder in folders:
        path = folder / "classes.json"
        if path.is_file():
            try:
                classes = parsed_json(path.read_text(encoding="utf-8"))
                return {str(item["name"]): _color(item["color"]) for item in classes}
            except (ValueError, TypeError, KeyError, OSError) as error:
                raise UserError(
                    f"{path}: expected a list of names and colours as the engine writes it "
                    f"({error}); delete the file and repeat the command"
                ) from error
    return {}


def _color(value: Sequence[Any]) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in value)
    return red, green, blue
