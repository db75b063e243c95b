# SPDX-License-Identifier: Apache-2.0
"""Two training steps of every method, in fast forms and in plain ones, in float64."""

import dataclasses

import pytest
import torch
from small_training import LAYOUT, batch_at

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.inputs import Batch
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import resolved
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer


def _trainer(model: str, fast: bool) -> Trainer:
    preset = GENERATORS[model]
    settings = dataclasses.replace(resolved(preset, "release"), ema_decay=None)
    data = Data(num_labels=LAYOUT.num_labels, size=(64, 64), edges=True)
    system = preset.system.build(preset, data, settings, width=1 / 16)
    training = Trainer(
        accelerate(system, always=True) if fast else system,
        settings,
        RateSchedule(constant=2, decay=0),
    )
    training.system.double()
    training.measures_gradients = lambda done: True
    return training


def _batch(step: int) -> Batch:
    (batch,) = batch_at(step)
    double = torch.float64
    return Batch(
        batch.semantics.to(dtype=double),
        batch.photos.double(),
        batch.noise.to(torch.device("cpu"), double),
    )


@pytest.mark.parametrize("model", GENERATORS)
def test_losses_and_gradients_are_those_of_the_plain_form(model: str) -> None:
    plain, fast = _trainer(model, fast=False), _trainer(model, fast=True)
    for step in range(2):
        batch = _batch(step)
        expected = plain.step([batch], step) | plain.gradient_norms
        found = fast.step([batch], step) | fast.gradient_norms
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            # Sums in another order: up to 1e-13 was seen. Adam divides by roots of tiny squares.
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-12, msg=name)
