# SPDX-License-Identifier: Apache-2.0
"""Where the images that are scored come from: real photos, the oracle, a generator, a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from models.generators import build_generator
from models.semantics import SemanticLayout
from models.training.checkpoint import load_description, load_weights
from spade_eval.batches import layout_of, photos, semantic_map, to_8_bit
from spade_eval.datasets.base import Dataset, HasOracle, Sample
from spade_eval.datasets.images import ImageFolder
from spade_eval.errors import UserError, as_user_error
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.records import sha256_of_file


class Source(Protocol):
    """A row of the table: a name, its provenance, and 8-bit images in split order."""

    name: str
    # The fields of `Measurement` that say whose images these are.
    provenance: Mapping[str, Any]
    notes: tuple[str, ...]

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        """(N, 3, H, W) uint8: images for these samples of the split."""
        ...


class RealPhotos:
    """The photos themselves: what a perfect generator of this very split would score."""

    name = "real"
    provenance: Mapping[str, Any] = {"source_kind": "real", "source_sha256": None}
    notes: tuple[str, ...] = ()

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return photos(samples)


class Oracle:
    """Each label map photographed again in another style: the best any generator could do."""

    name = "oracle"
    provenance: Mapping[str, Any] = {"source_kind": "oracle", "source_sha256": None}
    notes: tuple[str, ...] = ()

    def __init__(self, dataset: HasOracle) -> None:
        self.dataset = dataset

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        rendered = np.stack([self.dataset.oracle_photo(index) for index in indices])
        return torch.from_numpy(rendered).permute(0, 3, 1, 2)


class SynthesizedFolder:
    """Images that anybody's model wrote, paired with the split by stem."""

    def __init__(self, name: str, directory: Path, dataset: Dataset, count: int) -> None:
        self.name = name
        self.folder = ImageFolder(directory, dataset.names, dataset.size, count)
        digest = self.folder.content_sha256()
        self.provenance: Mapping[str, Any] = {"source_kind": "images", "source_sha256": digest}
        self.notes: tuple[str, ...] = ()

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        stacked = np.stack([self.folder[index] for index in indices])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)


class SynthesizedByCheckpoint:
    """Images that a generator of this suite makes from the split's label maps."""

    def __init__(
        self,
        name: str,
        file: Path,
        dataset: Dataset,
        protocol: ScoringProtocol,
        device: torch.device,
        source_kind: str = "checkpoint",
    ) -> None:
        self.name, self.protocol, self.device = name, protocol, device
        self.file = file
        description = _described(file, dataset)
        self.layout = layout_of(dataset)
        self.generator = _load_generator(file, description).to(device).eval()
        train = description["train"]
        self.provenance: Mapping[str, Any] = {
            "source_kind": source_kind,
            "source_sha256": sha256_of_file(file),
            "parameters": sum(weight.numel() for weight in self.generator.parameters()),
            "train_steps": train["steps"],
            "train_batch_size": train["batch_size"],
            "train_config_sha256": description["train_config_sha256"],
            "checkpoint_rule": description["checkpoint_rule"],
            "seed": train["seed"],
        }
        self.notes = tuple(description["notes"])

    @torch.inference_mode()
    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        synthesized = self.generator(semantic_map(samples, self.layout, self.device))
        finite = torch.isfinite(synthesized).flatten(1).all(dim=1)
        if not finite.all():
            first = samples[int((~finite).nonzero()[0])].name
            raise UserError(
                f"{self.name}: the image synthesized for {first} holds NaN or infinite values, "
                f"expected numbers in [-1, 1]; the checkpoint {self.file} is damaged or its "
                "training diverged: train again with a lower learning rate"
            )
        return to_8_bit(synthesized, self.protocol)


def _described(file: Path, dataset: Dataset) -> dict[str, Any]:
    """The description of a checkpoint, refused where its labels are not the dataset's."""
    if not file.is_file():
        raise UserError(
            f"checkpoint {file} does not exist; expected a .safetensors file as "
            "`spade-eval train` writes it"
        )
    with as_user_error("checkpoint"):
        description = load_description(file)
    expected = SemanticLayout(**description["layout"])
    if (description["train"]["dataset"], expected) != (dataset.name, layout_of(dataset)):
        raise UserError(
            f"checkpoint {file} was trained on {description['train']['dataset']} with {expected}; "
            f"this run is {dataset.name} with {layout_of(dataset)}: choose the matching --dataset"
        )
    return description


def _load_generator(file: Path, description: Mapping[str, Any]) -> nn.Module:
    train = description["train"]
    with as_user_error(f"checkpoint {file}"):
        generator = build_generator(
            train["model"],
            num_labels=SemanticLayout(**description["layout"]).num_labels,
            image_size=tuple(train["size"]),
            width=train["width"],
        )
        try:
            generator.load_state_dict(load_weights(file))
        except RuntimeError as error:
            raise ValueError(f"its weights do not fit {train['model']}: {error}") from error
    return generator
