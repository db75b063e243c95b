# SPDX-License-Identifier: Apache-2.0
"""The trainer takes any method: here one that shares nothing with SPADE's but the interface.

Two generators and two discriminators, D first, AdamW and a halved rate, unpaired photos, a pool
that is part of the state, an average with its buffers, and a finished copy that is exported.
"""

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_training import flat, same_bits
from torch import Tensor, nn

from spade_eval.models.inputs import Batch, Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data, Optimizer, Settings, System, Update
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=3)


class Pool(nn.Module):
    """The last image of earlier steps, which the discriminator sees in place of a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(1, 3, 8, 8))

    def forward(self, image: Tensor, chance: Tensor) -> Tensor:
        shown = torch.where(chance < 0.5, self.kept, image)
        self.kept.copy_(image[-1:])
        return shown


@dataclass(frozen=True, kw_only=True)
class LoopSystemSettings(Settings):
    cycle: float = 10.0


class LoopSystem(System):
    """Label maps to photos and back."""

    name = "loop"
    paired = False
    scored = "to_photo"

    def __init__(self, settings: LoopSystemSettings) -> None:
        super().__init__()
        self.weights = settings
        self.to_photo = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.to_labels = nn.Conv2d(3, 3, 3, padding=1)
        self.judge_photo, self.judge_labels = nn.Conv2d(3, 1, 3), nn.Conv2d(3, 1, 3)
        self.pool = Pool()

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        drawn = inputs.noise.normal("start", 3, *inputs.semantics.size)
        return torch.tanh(network(inputs.semantics.full + (0 if quick else 0.1 * drawn)))

    @property
    def exported(self) -> tuple[str, ...]:
        return ("to_photo", "to_labels")

    def updates(self) -> tuple[Update, ...]:
        return (
            Update("D", ("judge_photo", "judge_labels"), self.discriminator_terms),
            Update("G", ("to_photo", "to_labels"), self.generator_terms),
        )

    def discriminator_terms(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.to_photo(batch.semantics.full)
        batch.made["fake"] = fake
        shown = self.pool(fake, batch.noise.uniform("pool", 1, 1, 1))
        return {
            "photo": self.judge_photo(shown).square().mean(),
            "labels": (self.judge_labels(self.to_labels(batch.photos)) - 1).square().mean(),
        }

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.made["fake"].shape == batch.photos.shape, "what D's half has left"
        fake = self.to_photo(batch.semantics.full)
        return {
            "gan": (self.judge_photo(fake) - 1).square().mean(),
            "cycle": self.weights.cycle * F.l1_loss(self.to_labels(fake), batch.semantics.full),
        }

    def finished(self, network: nn.Module, batches: Iterable[Batch]) -> nn.Module:
        fresh = copy.deepcopy(network).train()
        with torch.no_grad():
            for batch in itertools.islice(batches, 3):
                fresh(batch.semantics.full)
        return fresh.eval()


SETTINGS = LoopSystemSettings(
    optimizers={
        "G": Optimizer(rate=1e-2, kind="adamw", weight_decay=0.1, decay="constant"),
        "D": Optimizer(rate=1e-2, betas=(0.5, 0.999), decay="halving", halve_every=2),
    },
    batch_size=2,
    constant_epochs=1,
    decay_epochs=0,
    ema_decay=0.5,
    ema_buffers=True,
)


def batch_at(step: int) -> list[Batch]:
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 3, (2, 8, 8), generator=random)
    photos = torch.rand(2, 3, 8, 8, generator=random) * 2 - 1
    return [Batch(SemanticMap(labels, LAYOUT), photos, Noise.of_step(0, step, 0, 2))]


def trainer(**changes: Any) -> Trainer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        system = LoopSystem(SETTINGS)
    settings = LoopSystemSettings(**{**vars(SETTINGS), **changes})
    return Trainer(system, settings, RateSchedule(constant=2, decay=2))


def test_updates_are_taken_in_the_systems_order_and_told_by_their_names() -> None:
    terms = trainer().step(batch_at(0), 0)
    assert list(terms) == ["D/photo", "D/labels", "G/gan", "G/cycle"]


def test_an_update_moves_its_own_networks_alone() -> None:
    training = trainer()
    before = {name: p.detach().clone() for name, p in training.system.named_parameters()}
    training._update(training.updates["D"], batch_at(0), 0)
    moved = {
        name.split(".")[0]
        for name, parameter in training.system.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert moved == {"judge_photo", "judge_labels"}
    assert all(parameter.requires_grad for parameter in training.system.parameters())


def test_optimizers_and_rates_are_the_systems() -> None:
    training = trainer()
    rates = []
    for step in range(5):
        training.step(batch_at(step), step)
        rates.append(
            [training.optimizers[name].optimizer.param_groups[0]["lr"] for name in ("G", "D")]
        )
    assert rates == [[1e-2, 1e-2], [1e-2, 1e-2], [1e-2, 5e-3], [1e-2, 5e-3], [1e-2, 2.5e-3]]
    assert isinstance(training.optimizers["G"].optimizer, torch.optim.AdamW)
    assert training.optimizers["G"].optimizer.param_groups[0]["weight_decay"] == 0.1
    assert isinstance(training.optimizers["D"].optimizer, torch.optim.Adam)


@pytest.mark.parametrize("averaged", [True, False])
def test_buffers_are_averaged_where_the_settings_say_so(averaged: bool) -> None:
    training = trainer(ema_buffers=averaged)
    means = []
    for step in range(2):
        training.step(batch_at(step), step)
        means.append(training.system.to_photo[1].running_mean.clone())
    average = training.scored_network[1].running_mean
    expected = means[0] + 0.5 * (means[1] - means[0]) if averaged else means[1]
    torch.testing.assert_close(average, expected)


def test_pools_are_part_of_the_state_and_a_training_continues_bitwise(tmp_path: Path) -> None:
    def run(training: Trainer, folder: str, steps: int) -> Trainer:
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run(trainer(), "whole", 4)
    run(trainer(), "parts", 2)
    assert same_bits(whole, run(trainer(), "parts", 4))
    assert "kept" in whole.state_dict()["pool"]
    assert len(flat(whole.state_dict())) > 20


def test_the_finished_network_is_a_copy_and_exports_beside_it_are_named() -> None:
    training = trainer()
    training.step(batch_at(0), 0)
    before = [tensor.clone() for tensor in training.scored_network.state_dict().values()]
    batches = (batch for step in itertools.count(10) for batch in batch_at(step))
    finished = training.finished(batches)
    after = training.scored_network.state_dict().values()
    assert all(torch.equal(new, old) for new, old in zip(after, before, strict=True))
    assert not torch.equal(finished[1].running_mean, training.scored_network[1].running_mean)
    assert list(training.others_exported()) == ["to_labels"]


def test_previews_leave_mode_and_weights_as_they_are() -> None:
    training = trainer()
    training.step(batch_at(0), 0)
    inputs = Inputs(batch_at(5)[0].semantics, Noise.of_images(0, [0, 1]))
    modes = [module.training for module in training.scored_network.modules()]
    quick, whole = training.synthesized(inputs, quick=True), training.synthesized(inputs)
    assert quick.shape == whole.shape == (2, 3, 8, 8)
    assert not torch.equal(quick, whole)
    assert [module.training for module in training.scored_network.modules()] == modes


def test_a_system_must_say_what_it_does() -> None:
    with pytest.raises(NotImplementedError):
        System().updates()
    with pytest.raises(NotImplementedError):
        System.build(None, Data(num_labels=1, size=(8, 8)), SETTINGS)  # type: ignore[arg-type]
