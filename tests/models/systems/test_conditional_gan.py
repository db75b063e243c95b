# SPDX-License-Identifier: Apache-2.0
"""Which images the discriminators of a conditional GAN learn from."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.conditional_gan import ConditionalGAN
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, resolved
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="last")
SIZE = (64, 64)
MODELS = ("spade", "spade_vae", "pix2pixhd", "clade", "sean")


def trainer(model: str, *, one_synthesis: bool) -> Trainer:
    settings = changed(
        resolved(GENERATORS[model], "release"),
        {"optimizers.G.rate": 1e-2, "initialisation": "glorot"},
    )
    data = Data(num_labels=LAYOUT.num_labels, size=SIZE)
    system = GENERATORS[model].system.build(GENERATORS[model], data, settings, width=1 / 32)
    system.one_synthesis = one_synthesis
    return Trainer(system, settings, RateSchedule(constant=9, decay=0))


def batches() -> list[Batch]:
    """Two micro batches of two images each."""
    random = torch.Generator().manual_seed(0)
    made = []
    for part in range(2):
        labels = torch.randint(0, 4, (2, *SIZE), generator=random)
        photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
        made.append(Batch(SemanticMap(labels, LAYOUT), photos, Noise.of_step(7, 0, part, 2)))
    return made


def judged(training: Trainer, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[Tensor]]:
    """Return the images of G's and of D's update of one step."""
    system = training.system
    assert isinstance(system, ConditionalGAN)
    seen: dict[str, list[Tensor]] = {"generator_terms": [], "discriminator_terms": []}

    def spied(name: str, asked: Callable[..., Any]) -> Callable[..., Any]:
        def terms(critic: Any, semantics: Any, fake: Tensor, *others: Any) -> Any:
            seen[name].append(fake.detach().clone())
            return asked(critic, semantics, fake, *others)

        return terms

    for name in seen:
        monkeypatch.setattr(system.objective, name, spied(name, getattr(system.objective, name)))
    training.step(batches(), 0)
    return seen["generator_terms"], seen["discriminator_terms"]


@pytest.mark.parametrize("model", MODELS)
def test_d_sees_images_of_the_new_g_as_published(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_g, of_d = judged(trainer(model, one_synthesis=False), monkeypatch)
    for before, after in zip(of_g, of_d, strict=True):
        assert not torch.equal(before, after)


@pytest.mark.parametrize("model", MODELS)
def test_with_one_synthesis_d_sees_those_of_g_s_update(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = trainer(model, one_synthesis=True)
    of_g, of_d = judged(training, monkeypatch)
    for before, after in zip(of_g, of_d, strict=True):
        assert torch.equal(before, after)
    assert not training.system._made, "nothing is left for the next step"  # type: ignore[operator]


def test_who_makes_images_once_is_not_told() -> None:
    twice = {name for name, preset in GENERATORS.items() if preset.system.synthesizes_twice}
    assert {"spade", "pix2pixhd", "clade", "sean"} <= twice
    assert not {"crn", "oasis", "pix2pix", "cyclegan", "unit", "munit"} & twice
