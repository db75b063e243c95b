# SPDX-License-Identifier: Apache-2.0
"""What a dataset holds and what is wrong with it, before anything is trained or scored.

Every file is read once, and faults are collected and grouped by kind instead of stopping at the
first. `check_files` looks at the files of a `FileDataset` as stored; `check_samples` takes any
`Dataset` and sees what comes out of `__getitem__`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files
from spade_eval.datasets.aspect import note_of_aspect
from spade_eval.datasets.base import Dataset, LabelSpace
from spade_eval.datasets.file_dataset import AbsentSplitError, FileDataset, SampleFiles
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.orientation import is_turned, note_of_turned
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel
from spade_eval.errors import UserError
from spade_eval.models.labels import IGNORE_INDEX, Size


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """One split. Histograms count what could be read; `problems` says what could not."""

    split: str
    num_samples: int
    num_instance_maps: int
    photo_sizes: dict[Size, int]  # number of photos, most frequent size first
    pixels_by_label: dict[int, int]  # every label value that occurs, ascending
    names_by_wrong_label: dict[int, list[str]]  # ids outside the label set
    problems: list[str]
    official_count: int | None = None  # samples of the split as published
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """All splits of one dataset; it is fit for use when `problems` is empty."""

    dataset: str
    label_space: LabelSpace
    splits: tuple[SplitReport, ...]
    notes: tuple[str, ...] = ()  # worth knowing, nothing wrong

    @property
    def problems(self) -> list[str]:
        """Every split's problems, and those between splits."""
        lines = [f"{split.split}: {line}" for split in self.splits for line in split.problems]
        read = [report for report in self.splits if report.num_samples]
        without = [report.split for report in read if not report.num_instance_maps]
        if 0 < len(without) < len(read):
            lines.append(
                f"{', '.join(without)}: no instance maps, though another split has them; networks "
                "with instance edges need them in every split, so add them or remove the others"
            )
        return lines

    def lines(self) -> list[str]:
        """Return the report as text: counts, sizes, label histogram, problems."""
        text = [line for split in self.splits for line in _lines(split, self.label_space)]
        text += [f"note: {split.split}: {note}" for split in self.splits for note in split.notes]
        text += [f"note: {note}" for note in self.notes]
        return text + ([f"problem: {line}" for line in self.problems] or ["no problems found"])


@dataclass(kw_only=True)
class _Findings:
    """What one sample showed."""

    name: str
    photo_size: Size | None = None
    turned: str | None = None  # the photo's name, if viewers turn it
    pixels_by_label: NDArray[np.int64] | None = None  # (256,)
    has_instances: bool = False
    wrong_labels: tuple[int, ...] = ()
    ids: set[int] = field(default_factory=set)  # file values, wrong ones too
    errors: list[UserError] = field(default_factory=list)


def check_files(
    kind: type[FileDataset],
    data_root: Path,
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
    size: Size | None = None,
) -> CheckReport:
    """Read every photo and map of the splits that are there; `AbsentSplitError` if none is.

    Of one's own photos, a note says which of them a `size` would squeeze.
    """
    label_files = kind.label_files_of(data_root)
    reports, absent = [], []
    for split in kind.splits:
        try:
            split_files = kind.find(data_root, split)
        except AbsentSplitError as error:
            absent.append(error)
            continue
        except UserError as error:  # half a split, or two files of one stem
            reports.append(_summary(split, [], [str(error)], kind))
            continue
        tasks = [
            _file_task(stem, paths, label_files) for stem, paths in split_files.samples.items()
        ]
        findings = run_parallel(_call, tasks, workers, progress)
        reports.append(_summary(split, findings, split_files.problems, kind, size))
    if not reports:
        raise absent[0]
    return CheckReport(
        dataset=kind.name,
        label_space=label_files.space,
        splits=tuple(reports),
        notes=(*kind.notes(data_root), *(f"absent: {error}" for error in absent)),
    )


def check_samples(
    datasets: Sequence[Dataset],
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
) -> CheckReport:
    """Read the splits of one dataset of any kind, sample by sample."""
    reports = []
    for dataset in datasets:
        tasks = [_sample_task(dataset, index, name) for index, name in enumerate(dataset.names)]
        findings = run_parallel(_call, tasks, workers, progress)
        reports.append(_summary(dataset.split, findings, []))
    first = datasets[0]
    return CheckReport(dataset=first.name, label_space=first.label_space, splits=tuple(reports))


def _call(task: Callable[[], _Findings]) -> _Findings:
    return task()


def _file_task(stem: str, paths: SampleFiles, label_files: LabelFiles) -> Callable[[], _Findings]:
    """Read each file even if another one of the sample is faulty."""

    def inspect() -> _Findings:
        findings = _Findings(name=stem, has_instances=paths.instance_map is not None)
        with _collected(findings):
            photo = files.read_photo(paths.photo)
            findings.photo_size = (photo.shape[0], photo.shape[1])
            findings.turned = paths.photo.name if is_turned(paths.photo) else None
        with _collected(findings):
            label_map = label_files.read(paths.label_map)
            findings.pixels_by_label = _histogram(label_map)
            labels = np.flatnonzero(findings.pixels_by_label).tolist()
            findings.ids = label_files.values_of(labels)
            _compare(findings, paths.photo, paths.label_map, label_map.shape)
        if paths.instance_map is not None:
            with _collected(findings):
                shape = files.read_instance_map(paths.instance_map).shape
                _compare(findings, paths.photo, paths.instance_map, shape)
        return findings

    return inspect


def _sample_task(dataset: Dataset, index: int, name: str) -> Callable[[], _Findings]:
    def inspect() -> _Findings:
        findings = _Findings(name=name, has_instances=dataset.has_instances)
        with _collected(findings):
            sample = dataset[index]
            findings.photo_size = (sample.photo.shape[0], sample.photo.shape[1])
            findings.pixels_by_label = _histogram(sample.label_map)
            findings.wrong_labels = files.values_outside(
                sample.label_map, dataset.label_space.num_classes
            )
            if findings.wrong_labels:
                raise UserError(
                    f"{name}: label ids {files.shortened(findings.wrong_labels)} were "
                    f"found, 0..{dataset.label_space.num_classes - 1} were expected; map them"
                )
        return findings

    return inspect


@contextmanager
def _collected(findings: _Findings) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        findings.errors.append(error)
        if isinstance(error, files.LabelValueError):
            findings.wrong_labels = error.values
            findings.ids = set(error.held)


def _compare(findings: _Findings, photo: Path, map_file: Path, map_shape: Size) -> None:
    if findings.photo_size is not None:
        files.require_same_size(photo, findings.photo_size, map_file, map_shape)


def _histogram(label_map: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(label_map.ravel(), minlength=256)


def _summary(
    split: str,
    findings: Iterable[_Findings],
    problems: list[str],
    kind: type[FileDataset] | None = None,
    size: Size | None = None,
) -> SplitReport:
    """Fold the findings as they come: 118,000 of them need not be held at once."""
    pixels = np.zeros(256, dtype=np.int64)
    sizes: Counter[Size] = Counter()
    names_by_wrong_label: dict[int, list[str]] = {}
    errors: list[UserError] = []
    turned: list[str] = []
    ids: set[int] = set()
    num_samples = num_instance_maps = 0
    for item in findings:
        num_samples += 1
        num_instance_maps += item.has_instances
        if item.photo_size is not None:
            sizes[item.photo_size] += 1
        if item.pixels_by_label is not None:
            pixels += item.pixels_by_label
        for value in item.wrong_labels:
            names_by_wrong_label.setdefault(value, []).append(item.name)
        ids |= item.ids
        errors += item.errors
        turned += [item.turned] if item.turned else []
    doubts = kind.numbering.doubts(ids, num_samples) if kind and kind.numbering else []
    is_own = kind is not None and kind.scored_as is None  # papers squeeze the published data sets
    return SplitReport(
        split=split,
        num_samples=num_samples,
        num_instance_maps=num_instance_maps,
        photo_sizes=dict(sizes.most_common()),
        pixels_by_label={int(value): int(pixels[value]) for value in np.flatnonzero(pixels)},
        names_by_wrong_label=dict(sorted(names_by_wrong_label.items())),
        problems=problems + _grouped(errors) + doubts + _binary_masks(pixels),
        official_count=kind.official_counts.get(split) if kind else None,
        notes=(*note_of_turned(turned), *(note_of_aspect(sizes, size) if size and is_own else ())),
    )


def _grouped(errors: Sequence[UserError]) -> list[str]:
    """One line per kind of fault and folder: the first message in full, then further files."""
    groups: dict[tuple[type, Path | None], list[UserError]] = {}
    for error in errors:
        folder = error.path.parent if isinstance(error, files.FileError) else None
        groups.setdefault((type(error), folder), []).append(error)
    lines = []
    for first, *others in groups.values():
        more = [error.path.name for error in others if isinstance(error, files.FileError)]
        names = f": {files.shortened(more)}" if more else ""
        lines.append(f"{first} (likewise {len(others)} more{names})" if others else str(first))
    return lines


def _binary_masks(pixels: NDArray[np.int64]) -> list[str]:
    """0 and 255 alone are black and white: 255 is then a class, but was read as unlabelled."""
    if set(np.flatnonzero(pixels).tolist()) != {0, IGNORE_INDEX}:
        return []
    return [
        "only the values 0 and 255 occur, as in black and white masks, but 255 means unlabelled; "
        "describe them as --dataset folder with values = [0, 255] and no ignored value"
    ]


def _lines(report: SplitReport, label_space: LabelSpace) -> list[str]:
    sizes = [f"{files.text_of_size(size)} ({n})" for size, n in report.photo_sizes.items()]
    total = sum(report.pixels_by_label.values())
    official = report.official_count
    of_all = f" (of {official})" if official not in (None, report.num_samples) else ""
    lines = [
        f"{report.split}: {report.num_samples} samples{of_all}, {report.num_instance_maps} with "
        "an instance map",
        f"  photo sizes (height x width): {files.shortened(sizes) or 'none'}",
        "  label  share of pixels  class",
    ]
    for label, pixels in report.pixels_by_label.items():
        lines.append(f"  {label:5d}  {pixels / total:15.4%}  {_label_name(label, label_space)}")
    absent = [
        name
        for label, name in enumerate(label_space.class_names)
        if label not in report.pixels_by_label
    ]
    return lines + ([f"  classes without a pixel: {', '.join(absent)}"] if absent else [])


def _label_name(label: int, label_space: LabelSpace) -> str:
    if label == IGNORE_INDEX:
        return "(unlabelled)"
    known = label < label_space.num_classes
    return label_space.class_names[label] if known else "(outside the label set)"
