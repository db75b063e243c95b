# SPDX-License-Identifier: Apache-2.0
"""A narrow adversarial training, its batches and its loop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spade_eval.models.discriminators.multiscale import DiscriminatorNorm
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.conditional_gan import ConditionalGAN
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, settings_of
from spade_eval.models.systems.spade import SPADE
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.precision import ComputeSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)
IMAGES = 2


def narrow(
    model: str = "spade",
    ema_decay: float | None = 0.5,
    discriminator_norm: DiscriminatorNorm = "spectralinstance",
    **compute: Any,
) -> Trainer:
    """A training at a sixteenth of the paper's width; conditional GANs on SPADE's objective."""
    preset = GENERATORS[model]
    changes: dict[str, Any] = {"ema_decay": ema_decay}
    method = preset.system
    if issubclass(method, ConditionalGAN):
        method, changes = SPADE, {**changes, "discriminator_norm": discriminator_norm}
    settings = changed(settings_of(method, "release"), {**preset.changes, **changes})
    data = Data(num_labels=LAYOUT.num_labels, size=(64, 64))
    system = accelerate(preset.system.build(preset, data, settings, width=4 / 64))
    return Trainer(system, settings, RateSchedule(constant=2, decay=2), ComputeSettings(**compute))


def batch_at(step: int, num_micro_batches: int = 1) -> list[Batch]:
    """Blocks of labels and noise for photos, of 64x64, in so many parts."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (IMAGES, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(IMAGES, 3, 64, 64, generator=random) * 2 - 1
    parts = zip(labels.chunk(num_micro_batches), photos.chunk(num_micro_batches), strict=True)
    return [
        Batch(SemanticMap(part, LAYOUT, part), images, Noise.of_step(7, step, micro, len(part)))
        for micro, (part, images) in enumerate(parts)
    ]


def gan_loop(
    training: Trainer, folder: Path, steps: int = 4, num_micro_batches: int = 1
) -> Loop[Sequence[Batch]]:
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


def same_bits(first: Trainer, second: Trainer) -> bool:
    """Whether all that later steps depend on is equal, bit for bit."""
    pairs = zip(flat(first.state_dict()), flat(second.state_dict()), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)
