# SPDX-License-Identifier: Apache-2.0
"""A narrow adversarial training, its batches and its loop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spade_eval.models.discriminators.multiscale import DiscriminatorNorm, MultiscaleDiscriminator
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.generators import GENERATORS, build_generator
from spade_eval.models.initialisation import build, initialise
from spade_eval.models.inputs import LatentSource
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.objective import OBJECTIVES, Objective
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.gan import GANTraining, OptimizerSettings, TrainingBatch
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.precision import ComputeSettings
from spade_eval.models.training.schedule import LinearDecay

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)
IMAGES = 2


def narrow(
    model: str = "spade",
    ema_decay: float | None = 0.5,
    discriminator_norm: DiscriminatorNorm = "spectralinstance",
    **compute: Any,
) -> GANTraining:
    """A training at a sixteenth of the paper's width, on the objective of SPADE."""
    generator = build_generator(model, LAYOUT.num_labels, image_size=(64, 64), width=4 / 64)
    discriminator = MultiscaleDiscriminator(
        MultiscaleDiscriminator.Config(
            num_labels=LAYOUT.num_labels, base_channels=4, norm=discriminator_norm
        )
    )
    initialise(discriminator, "as_trained", seed=1)
    return GANTraining(
        generator,
        discriminator,
        Objective(OBJECTIVES["spade"]),
        OptimizerSettings(ema_decay=ema_decay),
        LinearDecay(constant=2, decay=2),
        _latent(model),
        ComputeSettings(**compute),
    )


def _latent(model: str) -> LatentSource | None:
    if GENERATORS[model].latent != "encoder":
        return None
    config = ImageEncoder.Config(base_channels=4, input_size=64)
    return LatentSource(256, 7, build(ImageEncoder, config, "as_trained", 2))


def batch_at(step: int, num_micro_batches: int = 1) -> list[TrainingBatch]:
    """Blocks of labels and noise for photos, of 64x64, in so many parts."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (IMAGES, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(IMAGES, 3, 64, 64, generator=random) * 2 - 1
    return [
        TrainingBatch(SemanticMap(part, LAYOUT, part), images)
        for part, images in zip(
            labels.chunk(num_micro_batches), photos.chunk(num_micro_batches), strict=True
        )
    ]


def gan_loop(
    training: GANTraining, folder: Path, steps: int = 4, num_micro_batches: int = 1
) -> Loop[Sequence[TrainingBatch]]:
    """Saved after every second step."""
    settings = LoopSettings(steps=steps, batch_size=IMAGES, save_every=2, observe_every=1)
    return Loop(
        training,
        lambda step: batch_at(step, num_micro_batches),
        settings,
        folder / "state.pt",
        "sha",
    )


def flat(state: Any) -> list[Tensor]:
    """Every tensor of nested dictionaries and lists."""
    if isinstance(state, Tensor):
        return [state]
    values = state.values() if isinstance(state, Mapping) else state
    nested = values if isinstance(state, (Mapping, list, tuple)) else []
    return [tensor for value in nested for tensor in flat(value)]


def same_bits(first: GANTraining, second: GANTraining) -> bool:
    """Whether all that later steps depend on is equal, bit for bit."""
    pairs = zip(flat(first.state_dict()), flat(second.state_dict()), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)
