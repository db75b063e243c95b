# SPDX-License-Identifier: Apache-2.0
"""Networks for figures: from checkpoints, or with random weights that let signals through.

The methods' own initialisations are so small that an untrained network gives grey. Here weights
keep the variance of their input, and a few forward passes in training mode settle the spectral
vectors and the running statistics, as a training does.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from spade_eval.batches import layout_for, semantic_map
from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.generators.munit import MUNITGenerator
from spade_eval.models.generators.spade import SPADEGenerator
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator, preset_of, system_of
from spade_eval.sources.checkpoints import ReleasedOptions, open_checkpoint, open_generator

_SETTLING_PASSES = 20
_SETTLING_IMAGES = 4
_WIDTH = 0.25  # of random networks: enough to show what an architecture does
RANDOM = "random weights"


@dataclass(frozen=True)
class FigureGenerator:
    """A generator in eval mode, how it is titled, and the label layout it takes."""

    title: str
    network: nn.Module
    layout: SemanticLayout
    is_random: bool

    @property
    def z_dim(self) -> int | None:
        z_dim: int | None = getattr(self.network.config, "z_dim", None)
        return z_dim


def from_checkpoint(
    title: str, file: Path, dataset: Dataset, released: ReleasedOptions
) -> FigureGenerator:
    """Open a trained generator that fits the dataset."""
    checkpoint = open_generator(file, dataset, released)
    assert checkpoint.layout is not None
    return FigureGenerator(title, checkpoint.network, checkpoint.layout, is_random=False)


def random_generator(title: str, preset: str, dataset: Dataset, seed: int) -> FigureGenerator:
    """Build an untrained generator of a preset, a quarter as wide as the paper's."""
    layout = layout_for(preset_of(preset).system, dataset)
    network = build_generator(
        preset, layout.num_labels, dataset.size, width=_WIDTH, seed=seed, edges=layout.edges
    )
    preserve_variance(network, seed)
    count = min(_SETTLING_IMAGES, len(dataset))
    samples = [dataset[index] for index in range(count)]
    semantics = semantic_map(samples, layout, torch.device("cpu"))
    network.train()
    with torch.no_grad():
        for step in range(_SETTLING_PASSES):
            indices = range(step * count, (step + 1) * count)
            noise = Noise.of_images(seed, indices)
            system_of(network).synthesized_by(network, Inputs(semantics, noise))
    network.eval()
    return FigureGenerator(title, network, layout, is_random=True)


def require_latent(generator: FigureGenerator, file: Path | None) -> int:
    """Return the size of its latent; `UserError` for a generator that takes the map alone."""
    if generator.z_dim is None:
        raise UserError(
            f"checkpoint {file} takes the label map alone, expected a generator with a latent z "
            "(spade_vae or spade_random, or a released file trained with the image encoder); give "
            "another --checkpoint"
        )
    return generator.z_dim


def open_encoder(file: Path, z_dim: int) -> ImageEncoder:
    """Open an image encoder of this suite or a released `*_net_E.pth`, for latents of that size."""
    network = open_checkpoint(file).network
    if not isinstance(network, ImageEncoder):
        raise UserError(
            f"--encoder {file} holds a {type(network).__name__}, expected an image encoder "
            "(*_net_E.pth)"
        )
    _require_z_dim(file, network, z_dim)
    return network


def own_style_encoder(generator: nn.Module) -> nn.Module | None:
    """Return the encoder of styles, photos (N, 3, H, W) in [-1, 1] -> (N, z_dim), that it holds."""
    return generator.style if isinstance(generator, MUNITGenerator) else None


def _require_z_dim(file: Path, encoder: ImageEncoder, z_dim: int) -> None:
    if encoder.config.z_dim != z_dim:
        raise UserError(
            f"--encoder {file} gives latents of {encoder.config.z_dim} numbers, expected {z_dim} "
            "as the generator takes: give the encoder that was trained with it"
        )


def random_encoder(z_dim: int, seed: int) -> ImageEncoder:
    """Build an untrained image encoder."""
    with torch.random.fork_rng(devices=[]):
        encoder = ImageEncoder(ImageEncoder.Config(base_channels=16, z_dim=z_dim))
    preserve_variance(encoder, seed)
    encoder.train()
    with torch.no_grad():
        for _ in range(_SETTLING_PASSES):
            encoder(torch.zeros(1, 3, *[encoder.config.input_size] * 2))
    return encoder.eval()


def preserve_variance(network: nn.Module, seed: int) -> None:
    """Draw weights N(0, 1 / inputs), vectors of affine norms near 1, biases N(0, 0.01)."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            drawn = torch.randn(parameter.shape, generator=random)
            if parameter.ndim > 1:
                parameter.copy_(drawn / math.sqrt(parameter[0].numel()))
            else:
                parameter.copy_(0.1 * drawn + (0.0 if name.endswith("bias") else 1.0))


def synthesize(
    generator: FigureGenerator, semantics: SemanticMap, z: Tensor | None = None
) -> Tensor:
    """Synthesize (N, 3, H, W) in [-1, 1]; generators without a latent take no z."""
    with torch.inference_mode():
        images: Tensor = generator.network(semantics, z)
    return images


def latent_size(file: Path, released: ReleasedOptions) -> tuple[int, int] | None:
    """Return (height, width) of a latent-input checkpoint's images; None where the map says it."""
    checkpoint = open_checkpoint(file, released)
    if isinstance(checkpoint.network, SPADEGenerator) and checkpoint.z_dim is not None:
        return checkpoint.network.config.image_size
    return None
