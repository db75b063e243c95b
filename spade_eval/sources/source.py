# SPDX-License-Identifier: Apache-2.0
"""Where the images that are scored come from: real photos, the oracle, floors, a folder.

Images that a generator makes are in `spade_eval.sources.synthesis`.

Two rows are floors, which any generator must beat: one grey for all images, and the label maps in
the colours of the dataset, which show where things are and nothing of how they look.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.batches import coloured, photos
from spade_eval.datasets.base import Dataset, HasOracle, Sample
from spade_eval.datasets.image_draws import image_draws
from spade_eval.datasets.images import ImageFolder
from spade_eval.errors import UserError
from spade_eval.models.choices import StyleInput
from spade_eval.records import sha256_of_json
from spade_eval.sources.jpeg_photos import jpeg_note

STYLE_INPUTS: tuple[StyleInput, ...] = get_args(StyleInput)
_GREY = 128


class Source(Protocol):
    """A row of the table: a name, its provenance, and images in split order."""

    @property
    def name(self) -> str: ...
    @property
    def provenance(self) -> Mapping[str, Any]:
        """The fields of `Measurement` that say whose images these are."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences below a table with this row; complete once its images are made."""
        ...

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        """Return (N, 3, H, W) float32 in [0, 1]: images for these samples of the split.

        Images that are 8 bit already are k / 255, of which `to_8_bit` makes k again.
        """
        ...


class RealPhotos:
    """The photos themselves: what a perfect generator of this very split would score."""

    name = "real"
    provenance: Mapping[str, Any] = {
        "source_kind": "real", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return photos(samples).float() / 255


class Oracle:
    """Each label map photographed again in another style: the best any generator could do."""

    name = "oracle"
    provenance: Mapping[str, Any] = {
        "source_kind": "oracle", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def __init__(self, dataset: HasOracle) -> None:
        self.dataset = dataset

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return _unit_range([self.dataset.oracle_photo(index) for index in indices])


class Grey:
    """One grey for every image: what the segmenter and the distance give for nothing at all."""

    name = "grey"
    provenance: Mapping[str, Any] = {
        "source_kind": "grey", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return torch.full_like(photos(samples), _GREY).float() / 255


class LabelColours:
    """The label maps in the colours of the dataset: layout without appearance."""

    name = "label colours"
    provenance: Mapping[str, Any] = {
        "source_kind": "label colours", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return coloured(list(samples), self.dataset).float() / 255


class SynthesizedFolder:
    """Images that anybody's model wrote, paired with the split by stem."""

    def __init__(
        self,
        name: str,
        directory: Path,
        dataset: Dataset,
        count: int,
        style_input: StyleInput | None = None,
    ) -> None:
        self.name = name
        self.draws = image_draws(directory, dataset.names, dataset.size, count)
        self.folder = self.draws[0]
        digests = [draw.content_sha256() for draw in self.draws]
        digest = digests[0] if len(digests) == 1 else sha256_of_json(digests)
        # What decides which images these are.
        self.identity: Mapping[str, Any] = {
            "source_kind": "images", "source_sha256": digest, "style_input": style_input
        }  # fmt: skip
        self.provenance: Mapping[str, Any] = {
            **self.identity,
            "file_format": _formats_of(self.draws),
        }
        self.jpeg, num_jpeg = self.folder.jpeg_encoding()
        lossy: tuple[str, ...] = ()
        if self.jpeg is not None:
            lossy = (jpeg_note(name, self.jpeg, num_jpeg, len(self.folder)),)
        style = notes_of_stated_style(name, style_input)
        self.notes = (*style, *lossy, *self._notes_of_numbers())

    @property
    def eight_bit(self) -> str:
        """Say what holds 8 bits alone; sources of floats have no such property, or an empty one."""
        return f"{self.folder.directory} holds 8-bit images"

    @property
    def num_draws(self) -> int:
        """Images of each label map."""
        return len(self.draws)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        return _unit_range([self.draws[draw][index] for index in indices])

    def _notes_of_numbers(self) -> tuple[str, ...]:
        pairs = list(self.folder.numbering.items())
        if not pairs:
            return ()
        (first, of_first), (last, of_last) = pairs[0], pairs[-1]
        return (
            f"{self.name}: files are called by SIMS's numbers, which are those of the split in "
            f"alphabetical order: {first} is {of_first}, {last} is {of_last}.",
        )


def _formats_of(draws: Sequence[ImageFolder]) -> str:
    """Name the kinds of file of all draws: "JPEG, PNG"."""
    return ", ".join(sorted({kind for draw in draws for kind in draw.file_formats().split(", ")}))


def require_floats(source: Source) -> None:
    """Refuse images that were never anything but 8 bit, for profiles that score floats."""
    if held := getattr(source, "eight_bit", ""):
        raise UserError(
            f"{source.name}: {held}, but this FID profile scores a generator's floats; choose "
            "another --fid-profile, or give the checkpoint"
        )


def _unit_range(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Stack (H, W, 3) images each -> (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def notes_of_stated_style(name: str, style_input: StyleInput | None) -> tuple[str, ...]:
    """Return what a user's images must say of the style that somebody states, or nobody."""
    if style_input is None:
        return (
            f"{name}: its style input is not stated; say --style-input {name}=none, random or "
            '"real image", since images made from a real image are reconstructions.',
        )
    return reconstruction_notes(name, style_input)


def reconstruction_notes(name: str, style_input: StyleInput) -> tuple[str, ...]:
    """Say of images whose generator saw the photo they are compared with what they are."""
    if style_input not in ("real image", "real image (same)"):
        return ()
    return (
        f"{name}: synthesized with the real image as style input, which is reconstruction and "
        "not label-to-image; not comparable with rows that have no such input.",
    )
