# SPDX-License-Identifier: Apache-2.0
"""The generators of a painting page: opened, named, with the encoder that takes styles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spade_eval.batches import semantic_map, to_8_bit, to_unit_range
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import UserError, as_user_error
from spade_eval.models.checkpoints.files import has_description, load_description
from spade_eval.models.choices import StyleInput
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.inputs import Inputs, Style
from spade_eval.models.labels import SemanticLayout, Size
from spade_eval.models.systems.base import System
from spade_eval.models.systems.presets import system_of
from spade_eval.pages.painting.styles import AskedStyle, TurnedNoise
from spade_eval.protocol import PROFILES
from spade_eval.sources.checkpoints import (
    Checkpoint,
    encoder_beside,
    open_checkpoint,
    open_generator,
)

Photos = Literal["none", "any", "of the dataset"]
"""Which photos a style may be taken from; codes of regions need the photo's own label map."""

_PROTOCOL = PROFILES["in-domain"]


@dataclass(frozen=True)
class PaintingModel:
    """One generator on its device."""

    title: str
    checkpoint: Checkpoint
    network: nn.Module
    layout: SemanticLayout
    system: type[System]
    encoder: ImageEncoder | None
    device: torch.device

    @property
    def photos(self) -> Photos:
        """Which photos it takes a style from."""
        if self.encoder is None and not self._takes_photos:
            return "none"
        return "of the dataset" if self.system.styles_regions else "any"

    @property
    def needs_photo(self) -> bool:
        """Whether it makes no image without a photo."""
        usual = self._style_inputs[0]
        return usual not in ("none", "random", "class means")

    @property
    def is_drawn(self) -> bool:
        """Whether other noise gives another image."""
        return self.encoder is not None or self.system.is_stochastic(
            self.network, self._style_inputs[0]
        )

    def facts(self) -> dict[str, Any]:
        """Return what the page must know of it."""
        return {
            "title": self.title,
            "photos": self.photos,
            "isDrawn": self.is_drawn,
            "hasEdges": self.layout.edges,
        }

    @torch.inference_mode()
    def image(self, sample: Sample, style: AskedStyle, photo: Sample | None = None) -> Tensor:
        """Synthesize (1, 3, H, W) uint8, the bits of a PNG; `photo` is what a style is taken of."""
        with as_user_error(self.title):
            semantics = semantic_map([sample], self.layout, self.device)
            posterior, taken = None, None
            if photo is not None and self.encoder is not None:
                posterior = self.encoder(self._pixels(photo))
            elif photo is not None and self._takes_photos:
                own_map = semantic_map([photo], self.layout, self.device)
                taken = Style(self._pixels(photo), own_map)
            noise = TurnedNoise.of(style, self.device, posterior)
            images = self.system.synthesized_by(self.network, Inputs(semantics, noise, taken))
        if not torch.isfinite(images).all():
            raise UserError(
                f"{self.title}: the image holds NaN or infinite values, expected numbers in "
                "[-1, 1]; its training diverged, choose another checkpoint"
            )
        return to_8_bit(to_unit_range(images), _PROTOCOL)

    def _pixels(self, photo: Sample) -> Tensor:
        """Return (1, 3, H, W) in [-1, 1]."""
        pixels = torch.tensor(photo.photo, device=self.device).permute(2, 0, 1)
        return pixels[None].float() / 127.5 - 1

    @property
    def _style_inputs(self) -> tuple[StyleInput, ...]:
        return self.system.style_inputs(self.network)

    @property
    def _takes_photos(self) -> bool:
        return bool({"another photo", "real image (same)"} & {*self._style_inputs})


def open_models(
    files: Mapping[str, Path], dataset: Dataset, device: torch.device
) -> list[PaintingModel]:
    """Open the generators of these titles; `UserError` for one that does not fit the dataset."""
    return [_open_model(title, file, dataset, device) for title, file in files.items()]


def titles_of(files: Sequence[Path]) -> dict[str, Path]:
    """Name files: by their model where they say it, with their folder where that is not unique."""
    models = [str(_described(file).get("model") or file.stem) for file in files]
    longer = [f"{model} ({file.parent.name})" for model, file in zip(models, files, strict=True)]
    for names in (models, longer, list(map(str, files))):
        if len({*names}) == len(files):
            return dict(zip(names, files, strict=True))
    twice = next(file for file in files if list(files).count(file) > 1)
    raise UserError(f"--model {twice} is given twice; expected different files, leave one out")


def trained_size(file: Path) -> Size | None:
    """Return height and width that a checkpoint of this suite was trained at, where it says so."""
    train = _described(file).get("train")
    size = train.get("size") if isinstance(train, dict) else None
    if not isinstance(size, list) or [type(side) for side in size] != [int, int]:
        return None
    return size[0], size[1]


def _described(file: Path) -> Mapping[str, Any]:
    """Return the description of a file of this suite; nothing of others, which say less."""
    if not file.is_file() or not has_description(file):
        return {}
    with as_user_error(f"checkpoint {file}"):
        return load_description(file)


def _open_model(title: str, file: Path, dataset: Dataset, device: torch.device) -> PaintingModel:
    checkpoint = open_generator(file, dataset)
    assert checkpoint.layout is not None
    network = checkpoint.network.to(device)
    system = system_of(network)
    return PaintingModel(
        title=title,
        checkpoint=checkpoint,
        network=network,
        layout=checkpoint.layout,
        system=system,
        encoder=_encoder(file, checkpoint.z_dim, device),
        device=device,
    )


def _encoder(file: Path, z_dim: int | None, device: torch.device) -> ImageEncoder | None:
    beside = None if z_dim is None else encoder_beside(file)
    if beside is None:
        return None
    encoder = open_checkpoint(beside).network
    if not isinstance(encoder, ImageEncoder) or encoder.config.z_dim != z_dim:
        raise UserError(
            f"{beside} lies beside the generator {file} and is no image encoder of its latent of "
            f"{z_dim} numbers; put the one that was trained with it there, or remove it"
        )
    return encoder.to(device)
