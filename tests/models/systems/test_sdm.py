# SPDX-License-Identifier: Apache-2.0
"""SDM's system: its settings, its steps against plain ones, its average, its sampling."""

import math
from typing import Any

import pytest
import torch
from plain_sdm import PlainTraining

from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, resolved
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)
SIZE = (16, 24)
DATA = Data(num_labels=LAYOUT.num_labels, size=SIZE, edges=True)
IMAGES = 3


def trainer(constant: int = 2, width: float = 1 / 64, **changes: Any) -> Trainer:
    preset = GENERATORS["sdm"]
    settings = changed(resolved(preset, "release", "scenes"), changes)
    system = preset.system.build(preset, DATA, settings, width=width)
    return Trainer(system, settings, RateSchedule(constant=constant, decay=8))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 5, (IMAGES, SIZE[0] // 4, SIZE[1] // 4), generator=random)
    labels[labels == 4] = 255
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    photos = torch.randint(0, 256, (IMAGES, 3, *SIZE), generator=random).to(dtype) / 127.5 - 1
    noise = Noise.of_step(7, step, 0, IMAGES).to(torch.device("cpu"), dtype)
    return [Batch(SemanticMap(labels, LAYOUT, labels).to(dtype=dtype), photos, noise)]


def spread(training: Trainer) -> Trainer:
    """Float64, and no weight zero, so that every layer and every term counts."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in training.system.parameters():
            fan_in = weight[0].numel() if weight.ndim > 1 else 100
            offset = 1.0 if weight.ndim == 1 and bool((weight == 1).all()) else 0.0
            weight.copy_(offset + torch.randn(weight.shape, generator=random) / fan_in**0.5)
    training.system.double()
    assert training.average is not None
    training.average.double()
    training.average.module.load_state_dict(training.system.generator.state_dict())
    return training


def timesteps(batch: Batch) -> list[int]:
    return [math.floor(1000 * float(number)) for number in batch.noise.uniform("t")]


def test_free_running_steps_are_those_written_out() -> None:
    training = spread(trainer(constant=1, ema_decay=0.9, condition_drop=0.5))
    network = training.system.generator
    state = {name: tensor.clone() for name, tensor in to_published(network).items()}
    plain = PlainTraining(state, levels=4, blocks=2, heads=network.config.head_channels, decay=0.9)
    dropped_ever = False
    for step in range(3):
        (batch,) = batch_at(step, torch.float64)
        dropped = [step >= 1 and float(u) < 0.5 for u in batch.noise.uniform("drop")]
        dropped_ever |= any(dropped)
        expected = plain.step(
            batch.semantics.full, batch.photos, batch.noise.normal("epsilon", 3, *SIZE),
            timesteps(batch), dropped, 1e-4 if step < 1 else 2e-5,
        )  # fmt: skip
        terms = training.step([batch], step)
        assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, 1e-9)
    assert dropped_ever
    assert training.average is not None
    for module, states in ((network, plain.state), (training.average.module, plain.average)):
        for name, tensor in to_published(module).items():
            # Adam divides by roots of squares that may be tiny: sums in another order show.
            torch.testing.assert_close(tensor, states[name], atol=1e-8, rtol=1e-7)
