# SPDX-License-Identifier: Apache-2.0
"""Where the images that are scored come from: real photos, the oracle, a generator, a folder.

Two rows are floors, which any generator must beat: one grey for all images, and the label maps in
the colours of the dataset, which show where things are and nothing of how they look.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from models.training.checkpoint import has_description
from spade_eval.batches import photos, semantic_map, to_8_bit
from spade_eval.checkpoints import Checkpoint, ReleasedOptions, open_generator
from spade_eval.datasets.base import Dataset, HasOracle, Sample
from spade_eval.datasets.images import ImageFolder
from spade_eval.errors import UserError, as_user_error
from spade_eval.latents import standard_normal
from spade_eval.observers import coloured
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.records import sha256_of_file

# What a generator is given besides the label map; with a real image it is a reconstruction.
StyleInput = Literal["none", "random", "real image"]
STYLE_INPUTS: tuple[StyleInput, ...] = ("none", "random", "real image")
_GREY = 128


class Source(Protocol):
    """A row of the table: a name, its provenance, and 8-bit images in split order."""

    name: str
    # The fields of `Measurement` that say whose images these are.
    provenance: Mapping[str, Any]
    notes: tuple[str, ...]

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        """(N, 3, H, W) uint8: images for these samples of the split."""
        ...

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        """(N, 3, H, W) in [0, 1], before they become 8 bit; `UserError` where only files are."""
        ...


class RealPhotos:
    """The photos themselves: what a perfect generator of this very split would score."""

    name = "real"
    provenance: Mapping[str, Any] = {
        "source_kind": "real", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return photos(samples)

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

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        rendered = np.stack([self.dataset.oracle_photo(index) for index in indices])
        return torch.from_numpy(rendered).permute(0, 3, 1, 2)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return self.images(indices, samples).float() / 255


class Grey:
    """One grey for every image: what the segmenter and the distance give for nothing at all."""

    name = "grey"
    provenance: Mapping[str, Any] = {
        "source_kind": "grey", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return torch.full_like(photos(samples), _GREY)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return self.images(indices, samples).float() / 255


class LabelColours:
    """The label maps in the colours of the dataset: layout without appearance."""

    name = "label colours"
    provenance: Mapping[str, Any] = {
        "source_kind": "label colours", "source_sha256": None, "style_input": "none"
    }  # fmt: skip
    notes: tuple[str, ...] = ()

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return coloured(list(samples), self.dataset)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return self.images(indices, samples).float() / 255


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
        self.folder = ImageFolder(directory, dataset.names, dataset.size, count)
        digest = self.folder.content_sha256()
        self.provenance: Mapping[str, Any] = {
            "source_kind": "images", "source_sha256": digest, "style_input": style_input
        }  # fmt: skip
        self.notes = _notes_of_style(name, style_input)

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        stacked = np.stack([self.folder[index] for index in indices])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        raise UserError(
            f"{self.name}: {self.folder.directory} holds 8-bit images, but this FID profile scores "
            "a generator's floats; choose another --fid-profile, or give the checkpoint"
        )


class SynthesizedByCheckpoint:
    """Images that a generator makes from the split's label maps.

    Generators with a latent get z ~ N(0, 1), drawn for each image from `seed` and its index.
    """

    def __init__(
        self,
        name: str,
        file: Path,
        dataset: Dataset,
        protocol: ScoringProtocol,
        device: torch.device,
        source_kind: str = "checkpoint",
        *,
        released: ReleasedOptions | None = None,
        seed: int = 0,
    ) -> None:
        self.name, self.protocol, self.device = name, protocol, device
        self._seconds, self._num_synthesized = 0.0, 0
        self.file, self.seed = file, seed
        checkpoint = open_generator(file, dataset, released)
        assert checkpoint.layout is not None
        self.layout, self.z_dim = checkpoint.layout, checkpoint.z_dim
        self.generator = checkpoint.network.to(device)
        self.provenance: Mapping[str, Any] = {
            "source_kind": source_kind,
            "source_sha256": sha256_of_file(file),
            "style_input": "none" if self.z_dim is None else "random",
            "parameters": sum(weight.numel() for weight in self.generator.parameters()),
            **_training_record(checkpoint),
        }
        self.notes = tuple(map(str, checkpoint.description["notes"]))
        self.notes += _notes_of_choice(name, self.provenance.get("checkpoint_rule"), self.notes)
        if self.z_dim is not None:
            self.notes += (
                f"{name}: latent z drawn from N(0, 1) for each image, from seed {seed} and the "
                "image's index.",
            )
        # What besides the file decides which images it makes.
        self.identity: Mapping[str, Any] = {
            "checkpoint": self.provenance["source_sha256"],
            **({} if self.z_dim is None else {"z_seed": seed}),
            **_told(checkpoint),
        }

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return to_8_bit(self._synthesized(indices, samples), self.protocol)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return (self._synthesized(indices, samples) + 1) / 2

    def samples(self, index: int, sample: Sample, count: int) -> Tensor:
        """(count, 3, H, W) uint8: images of one label map, each with another latent."""
        drawn = [self._synthesized([index], [sample], draw) for draw in range(count)]
        return to_8_bit(torch.cat(drawn), self.protocol)

    @torch.inference_mode()
    def _synthesized(
        self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0
    ) -> Tensor:
        """(N, 3, H, W) in [-1, 1]; `draw` tells several latents of an image apart."""
        started = time.perf_counter()
        with as_user_error(f"{self.name}: {self.file}"):
            semantics = semantic_map(samples, self.layout, self.device)
            z = None
            if self.z_dim is not None:
                z = standard_normal(self.z_dim, self.seed, indices, draw).to(self.device)
            synthesized: Tensor = self.generator(semantics, z)
        finite = torch.isfinite(synthesized).flatten(1).all(dim=1)
        if not finite.all():
            first = samples[int((~finite).nonzero()[0])].name
            raise UserError(
                f"{self.name}: the image synthesized for {first} holds NaN or infinite values, "
                f"expected numbers in [-1, 1]; the checkpoint {self.file} is damaged or its "
                "training diverged: train again with a lower learning rate"
            )
        # The look at the values above has waited for the device.
        self._seconds += time.perf_counter() - started
        self._num_synthesized += len(indices)
        return synthesized

    @property
    def images_per_second(self) -> float | None:
        """Label maps to images, the first batch included; None before there is one."""
        return self._num_synthesized / self._seconds if self._num_synthesized else None


def _notes_of_style(name: str, style_input: StyleInput | None) -> tuple[str, ...]:
    if style_input is None:
        return (
            f"{name}: its style input is not stated; say --style-input {name}=none, random or "
            '"real image", since images made from a real image are reconstructions.',
        )
    if style_input == "real image":
        return (
            f"{name}: synthesized with the real image as style input, which is reconstruction and "
            "not label-to-image; not comparable with rows that have no such input.",
        )
    return ()


def _notes_of_choice(name: str, rule: str | None, said: Sequence[str]) -> tuple[str, ...]:
    """A checkpoint chosen by the number that is then reported scores too well."""
    if rule in (None, "last") or any(str(rule) in note for note in said):
        return ()
    return (
        f"{name}: the checkpoint was chosen by a score ({rule}), so that score of it is too good "
        'by the choice; compare "last" with "last".',
    )


def _told(checkpoint: Checkpoint) -> dict[str, Any]:
    """Network and label layout where the file does not hold them but flags had a say."""
    if has_description(checkpoint.file):
        return {}
    return {name: checkpoint.description[name] for name in ("network", "config", "layout")}


def _training_record(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is known about the training; nothing where the file is not ours."""
    train = checkpoint.description["train"]
    if train is None:
        return {}
    return {
        "train_steps": train.get("steps"),
        "train_batch_size": train.get("batch_size"),
        "train_config_sha256": checkpoint.description["train_config_sha256"],
        "checkpoint_rule": checkpoint.description["checkpoint_rule"],
        "seed": train.get("seed"),
    }
