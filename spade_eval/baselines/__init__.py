# SPDX-License-Identifier: Apache-2.0
"""Generators that ship with the suite, for rows beside which others stand without a training.

`baselines.json` says of each which file it is, its SHA-256 and how it was made, chosen and scored;
`shipping.py` writes both. The files are opened like any checkpoint, once their hash is right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json, require_types
from spade_eval.models.labels import Size
from spade_eval.records import sha256_of_file
from spade_eval.sources.checkpoints import Checkpoint, encoder_name, open_generator

FOLDER = Path(__file__).parent
LIST = "baselines.json"
MOST_BYTES = 12_000_000
"""Of all weights together: what a clone and a wheel may carry for them."""
SHIPPED = "shipped"
"""The kind of their rows."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One generator that ships."""

    name: str  # the model's
    file: str  # in the folder of the list
    sha256: str
    encoder_sha256: str | None = None  # of `encoder`, where styles may be taken from photos
    # How it was made.
    command: str
    train: Mapping[str, Any]  # the `TrainConfig`
    train_config_sha256: str
    checkpoint_rule: str
    weights: str  # "plain", or of which average
    source_sha256: str  # of the file in full precision
    made_on: Mapping[str, Any]  # device, platform, versions, commit, start and seconds
    # How it was chosen: the best by this score on the images that it is scored on.
    chosen_by: str
    seeds: Mapping[str, float]  # that score of every seed
    # What it scores in half precision, and how far that is from full precision.
    scored: Mapping[str, Any]  # split, number of images, hashes of data, protocol and segmenter
    scores: Mapping[str, float]  # fractions and distances, by metric
    half: Mapping[str, float]  # levels of 255 on average and at most; of each metric the difference

    @property
    def encoder(self) -> str:
        """Name of the file of the image encoder that was trained with it; not all have one."""
        return encoder_name(self.file)

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of every file, by name."""
        encoder = {} if self.encoder_sha256 is None else {self.encoder: self.encoder_sha256}
        return {self.file: self.sha256, **encoder}

    @property
    def row(self) -> str:
        """Name of its row, which no row of a user can have."""
        return f"{self.name} ({SHIPPED})"

    @property
    def size(self) -> Size:
        """Height and width that it was trained at."""
        height, width = self.train["size"]
        return height, width

    def fits(self, dataset: str, size: Size) -> bool:
        """Return whether it was trained on such images."""
        return (self.train["dataset"], self.size) == (dataset, size)

    def path(self) -> Path:
        """Return its file, once all its files are those that the list states; else `UserError`."""
        for name, sha256 in self.files.items():
            path = FOLDER / name
            if not path.is_file() or sha256_of_file(path) != sha256:
                state = "has another SHA-256 than" if path.is_file() else "is absent beside"
                raise UserError(
                    f"{path} {state} {LIST}, expected {sha256[:16]}...: install the suite "
                    f"again, or score without it: --model {self.name} trains one"
                )
        return FOLDER / self.file


def shipped() -> dict[str, Baseline]:
    """Return every baseline by name, as listed; `UserError` for a list that was changed."""
    path = FOLDER / LIST
    try:
        rows = parsed_json(path.read_text(encoding="utf-8"))["baselines"]
        return {row["name"]: _checked(row) for row in rows}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not the list of the baselines that ship ({error}): install the suite again"
        ) from error


def fitting(dataset: str, size: Size) -> dict[str, Baseline]:
    """Return the baselines that were trained on images of this dataset and size."""
    return {name: item for name, item in shipped().items() if item.fits(dataset, size)}


def open_baseline(name: str, dataset: Dataset) -> Checkpoint:
    """Open a baseline that makes images of this dataset; nothing in its file is run."""
    known = fitting(dataset.name, dataset.size)
    if name not in known:
        height, width = dataset.size
        raise UserError(
            f"no baseline {name!r} ships for {dataset.name} at {height}x{width}; expected one of "
            f"{', '.join(known) or 'none'}"
        )
    return open_generator(known[name].path(), dataset)


def _checked(row: Mapping[str, Any]) -> Baseline:
    require_types(Baseline, row)
    baseline = Baseline(**row)
    if Path(baseline.file).name != baseline.file or "\\" in baseline.file:
        raise ValueError(f"{baseline.file!r} is no name of a file")
    require_types(_Trained, {name: baseline.train[name] for name in ("dataset", "size")})
    return baseline


@dataclass(frozen=True)
class _Trained:
    """The types of what is read of a training."""

    dataset: str
    size: Size
