# SPDX-License-Identifier: Apache-2.0
"""Measurements with their full provenance, kept as an append-only file of JSON lines.

One line holds one number and all that is needed to judge or repeat it. A *job* is one source of
images scored once under one protocol; its lines are appended in one write and each of them states
how many there are, so a job that was cut off counts as not done and is simply scored again.
This module imports no torch: tables and plots are built from it alone.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json, require_types

SCHEMA_VERSION = 1
PHOTOS_TO_LABELS = "photos-to-labels"
"""The profile of methods that are scored as segmenters, beside the run's own."""
# Letters: what tables and figures show in a time that anybody waits for.
_LONGEST_TEXT, _LONGEST_NOTE, _MOST_NOTES = 1_000, 4_000, 100
_LONGEST_NAME = 200  # bytes: a row's files are named after it, and file names end at 255
_POSITIVE = ("height", "width", "num_images", "job_size")
# Numbers that fall below 0: KID's unbiased estimate by chance, an FID of float32 by rounding.
_SIGNED = ("kid",)
_SIGNED_PROFILES = ("oasis-train",)
_PACKAGES = ("spade-eval", "torch", "torchvision", "numpy", "scipy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number. `value` is None where the metric has no value (a class that does not occur)."""

    # The number.
    metric: str
    class_name: str | None = None  # for per-class IoU
    # Over which of several images of each label map: "pooled", "mean", "best" (an oracle), "draw 2"
    # and so on; None: the first, or the only one.
    draws: str | None = None
    value: float | None
    label: str  # column title, as METRICS has it
    unit: str  # "%" for fractions that tables print times 100, "" for plain numbers
    larger_is_better: bool
    # Whose images.
    source: str  # row name
    # "real", "real as JPEG", "oracle", "grey", "label colours", "generator" (trained in this run),
    # "shipped" (with the suite), "checkpoint", "images", "cheat", "callable", "program" or
    # "diffusers".
    source_kind: str
    # Of the checkpoint file, of the content of given images, or of what a callable or program made
    # of the first batch.
    source_sha256: str | None
    parameters: int | None = None  # of the generator
    # Its multiplications for one image, in convolutions and linear layers as the equations stand.
    multiplications: int | None = None
    train_steps: int | None = None
    train_batch_size: int | None = None
    train_config_sha256: str | None = None
    train_way_sha256: str | None = None  # of the same without the seed
    train_perceptual: str | None = None  # whose features the perceptual loss compares, or "none"
    # The method's settings as they were used: rates, betas, loss weights, initialisation...
    train_settings: Mapping[str, Any] | None = None
    checkpoint_rule: str | None = None  # how the scored weights were chosen, e.g. "last"
    seed: int | None = None
    # What a generator is given besides the label map: "none", "random", or "real image", which
    # makes the row a reconstruction; None where nobody stated it.
    style_input: str | None = None
    # Of a diffusion model: through how many steps an image went, and how strongly it was guided.
    sampling_steps: int | None = None
    guidance: float | None = None
    num_draws: int | None = None  # images of each label map that were scored; None: one
    file_format: str | None = None  # of images that were given as files, as "JPEG, PNG"
    # Of other people's images these are stated by the user; None where nobody did.
    # Which segmenter had a part in the training: "none", "related", "scoring" (the very one).
    trained_with_segmenter: str | None = None
    text_input: str | None = None  # "none", "classes", "prompt: ...", "captions ..." or in words
    sampler: str | None = None  # of a diffusion model, by its class
    condition_palette: str | None = None  # in which its label maps are painted
    # On which data.
    dataset: str
    dataset_sha256: str
    split: str
    height: int
    width: int
    num_images: int
    num_reference_images: int | None = None  # for distances between two sets
    # Under which protocol.
    profile: str
    protocol_version: int
    protocol_sha256: str
    segmenter: str | None = None
    segmenter_sha256: str | None = None
    segmenter_weights: str | None = None  # "in-domain", "published", "given", "filled", "random"
    features: str | None = None  # network whose features a distance compares
    features_sha256: str | None = None
    fid_profile: str | None = None
    num_samples: int | None = None  # images per label map, for diversity
    until: str | None = None  # rule by which scoring stopped at `num_images`, as "miou+-0.5"
    reference_sha256: str | None = None  # of the reference statistics
    notes: tuple[str, ...] = ()  # footnotes the number must never be shown without
    # Where, when and by what.
    job_sha256: str
    job_size: int
    device: str
    started: str  # UTC, ISO 8601
    seconds: float  # of the whole job
    images_per_second: float | None = None  # of the generator alone, in one process
    commit: str | None
    commit_clean: bool | None
    versions: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    schema: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Write one line; floats keep every bit, NaN is refused."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> "Measurement":
        """Read what `to_json` wrote; `ValueError` or `TypeError` for a line of another form."""
        fields = parsed_json(line)
        if fields.get("schema") != SCHEMA_VERSION:
            raise ValueError(f"schema {fields.get('schema')!r:.80}, expected {SCHEMA_VERSION}")
        require_types(cls, fields)
        measurement = cls(**{**fields, "notes": tuple(fields["notes"])})
        measurement._require_sound()
        return measurement

    def _require_sound(self) -> None:
        """Refuse values that no run records."""
        signed = self.metric.partition("_")[0] in _SIGNED or self.fid_profile in _SIGNED_PROFILES
        if self.value is not None and self.value < 0 and not signed:
            raise ValueError(f"value is {self.value}, expected at least 0 of {self.metric!r:.80}")
        if self.value is not None and self.value > 1 and self.unit == "%":
            raise ValueError(f"value is {self.value}, expected a fraction, at most 1")
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        self._require_short()

    def _require_short(self) -> None:
        """Refuse texts that no table or figure can show."""
        for name, value in vars(self).items():
            if isinstance(value, str) and len(value) > _LONGEST_TEXT:
                raise ValueError(
                    f"{name} has {len(value)} letters, expected at most {_LONGEST_TEXT}"
                )
        longest = max(map(len, self.notes), default=0)
        if longest > _LONGEST_NOTE or len(self.notes) > _MOST_NOTES:
            raise ValueError(
                f"notes are {len(self.notes)} of up to {longest} letters, expected at most "
                f"{_MOST_NOTES} of {_LONGEST_NOTE}"
            )
        if len(self.source.encode()) > _LONGEST_NAME:
            raise ValueError(
                f"source has {len(self.source.encode())} bytes, expected at most {_LONGEST_NAME}"
            )


class RecordStore:
    """The measurements of a run folder, in the order in which they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Measurement]:
        """Yield measurements of complete jobs; a line that a crash cut off is not one yet."""
        text = ""
        if self.path.is_file():
            text = self.path.read_text("utf-8", errors="replace")
        elif os.path.lexists(self.path):
            raise self._refusal(1, "a folder, a pipe or a link that leads nowhere")
        whole_lines = text[: text.rfind("\n") + 1].splitlines()
        measurements = [self._parse(line, number) for number, line in enumerate(whole_lines, 1)]
        # A job that was started again is another attempt; the last one that is whole counts.
        attempts: dict[tuple[str, str], dict[tuple[str, str | None], Measurement]] = {}
        for item in measurements:
            numbers = attempts.setdefault((item.job_sha256, item.started), {})
            numbers[item.metric, item.class_name] = item
        whole = {}
        for number, item in enumerate(measurements, 1):
            numbers = attempts[item.job_sha256, item.started]
            self._require_sound_job(number, item, numbers)
            if len(numbers) == item.job_size:
                whole[item.job_sha256] = numbers
        for numbers in whole.values():
            yield from numbers.values()

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Add a job's measurements: all of them or, on a full disk, none."""
        lines = "".join(measurement.to_json() + "\n" for measurement in measurements).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write_after_whole_lines(descriptor, lines)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}); nothing recorded is lost: "
                "free space or fix its permissions, then start again"
            ) from error

    def _parse(self, line: str, number: int) -> Measurement:
        try:
            return Measurement.from_json(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self._refusal(number, str(error)) from error

    def _require_sound_job(
        self, line: int, item: Measurement, numbers: Mapping[Any, Measurement]
    ) -> None:
        """Refuse an attempt of two sources or sizes, or of more numbers than it states."""
        first = next(iter(numbers.values()))
        if (item.source, item.source_kind) != (first.source, first.source_kind):
            raise self._refusal(line, f"source is {item.source!r} in a job of {first.source!r}")
        if item.job_size != first.job_size or len(numbers) > item.job_size:
            size = max(first.job_size, len(numbers))
            reason = f"job_size is {item.job_size} in a job of {size} measurements"
            raise self._refusal(line, reason)

    def _refusal(self, number: int, reason: str) -> UserError:
        return UserError(
            f"{self.path}, line {number}: not a measurement of this version ({reason}); "
            "expected one JSON object per line as spade-eval writes them: "
            "restore the file, or choose another run folder with --out"
        )


def _write_after_whole_lines(descriptor: int, lines: bytes) -> None:
    """Replace a line that a crash cut off; on a full disk leave the whole lines alone."""
    size = os.fstat(descriptor).st_size
    end = os.pread(descriptor, size, 0).rfind(b"\n") + 1
    os.ftruncate(descriptor, end)
    os.lseek(descriptor, end, os.SEEK_SET)
    try:
        written = 0
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def sha256_of_json(value: object) -> str:
    """Hash a value made of dictionaries, lists, strings, numbers, booleans and None."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """Hash bytes in memory."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hash a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@cache
def provenance() -> dict[str, Any]:
    """Return commit, library versions and platform of this process, as `Measurement` fields."""
    commit, clean = _git_state(Path(__file__).parent)
    return {
        "commit": commit,
        "commit_clean": clean,
        "versions": {"python": platform.python_version(), **_versions(_PACKAGES)},
        "platform": platform.platform(),
    }


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the source tree's commit and whether it is unchanged; (None, None) outside of git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy inside somebody else's repository must not report their commit.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD"), not git("status", "--porcelain", "--untracked-files=no")
    except (subprocess.CalledProcessError, OSError):
        return None, None
