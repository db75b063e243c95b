# SPDX-License-Identifier: Apache-2.0
"""OASIS's system: its settings, its steps against plain ones, its average and what is exported."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_oasis import PlainTraining
from small_training import same_bits
from torch import Tensor

from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.inputs import Batch, Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.vgg19 import CONV5_1, vgg19_trunk
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.oasis import OASIS
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, resolved
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="first")
DATA = Data(num_labels=LAYOUT.num_labels, size=(64, 64), unlabelled_first=True)
SIZE = (64, 64)


def trainer(
    model: str = "oasis",
    which: Any = "release",
    vgg19: dict[str, Tensor] | None = None,
    data: Data = DATA,
    **changes: Any,
) -> Trainer:
    preset = GENERATORS[model]
    settings = changed(resolved(preset, which), changes)
    measure = None if vgg19 is None else preset.system.measure(vgg19)
    system = preset.system.build(preset, data, settings, width=1 / 64, measure=measure)
    return Trainer(system, settings, RateSchedule(constant=1, decay=0))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Blocks of labels, some of them unlabelled, and noise for photos."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (2, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
    noise = Noise.of_step(7, step, 0, 2).to(torch.device("cpu"), dtype)
    return [Batch(SemanticMap(labels, LAYOUT).to(dtype=dtype), photos.to(dtype), noise)]


def as_float64(training: Trainer) -> Trainer:
    training.system.double()
    assert training.average is not None
    training.average.double()
    return training


@pytest.mark.parametrize("which", ["paper", "release"])
def test_free_running_steps_are_those_written_out(which: Any) -> None:
    changes = {
        "ema_decay": 0.9, "optimizers.G.rate": 1e-3, "optimizers.D.rate": 4e-3,
        "initialisation": "glorot",  # larger weights than its own, so that every term counts
    }  # fmt: skip
    training = as_float64(trainer(which=which, **changes))
    networks = {"G": training.system.generator, "D": training.system.discriminator}
    states = {
        name: {key: tensor.clone() for key, tensor in to_published(network).items()}
        for name, network in networks.items()
    }
    plain = PlainTraining(states["G"], states["D"], {"G": 1e-3, "D": 4e-3}, 0.9)
    for step in range(2):
        (batch,) = batch_at(step, torch.float64)
        noise = {name: batch.noise.normal(name, 64) for name in ("generator", "discriminator")}
        expected = plain.step(
            batch.semantics.labels_at(SIZE), batch.photos, LAYOUT.num_labels, noise,
            batch.noise.uniform_of_step("labelmix", LAYOUT.num_labels) < 0.5,
            dont_care=True, in_place=which == "release", labelmix=10.0,
        )  # fmt: skip
        terms = training.step([batch], step)
        assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, 1e-9)
    assert training.average is not None
    networks["average"] = training.average.module
    plain.states["average"] = plain.average
    for name, network in networks.items():
        for key, tensor in to_published(network).items():
            if not key.endswith("num_batches_tracked"):
                # Adam divides by roots of squares that may be tiny: sums in another order show.
                torch.testing.assert_close(tensor, plain.states[name][key], atol=1e-8, rtol=1e-7)


def test_numbers_of_paper_and_release() -> None:
    preset = GENERATORS["oasis"]
    table = {
        (which, dataset): resolved(preset, which, dataset)
        for which in ("paper", "release") for dataset in ("ade20k", "cocostuff", "cityscapes")
    }  # fmt: skip
    for (which, dataset), settings in table.items():
        of_cityscapes = dataset == "cityscapes"
        assert settings.batch_size == (20 if of_cityscapes else 32)
        assert settings.labelmix_weight == (5 if of_cityscapes else 10)
        assert settings.first_class_unlabelled is of_cityscapes
        assert settings.constant_epochs == (100 if dataset == "cocostuff" else 200)
        assert settings.labelmix_in_place is (which == "release")
        changed_by_code = which == "release" and of_cityscapes
        assert settings.optimizers["G"].rate == (4e-4 if changed_by_code else 1e-4)
        assert settings.optimizers["D"].rate == 4e-4
        assert {item.betas for item in settings.optimizers.values()} == {(0.0, 0.999)}
        assert {item.decay for item in settings.optimizers.values()} == {"constant"}
        assert settings.ema_decay == (0.999 if changed_by_code else 0.9999)
        assert settings.ema_buffers
        assert settings.initialisation == "as_printed"


def test_the_layout_has_unlabelled_pixels_first_and_no_edges() -> None:
    layout = OASIS.layout({}, 4, has_unlabelled=True, has_instances=True)
    assert layout == LAYOUT
    assert OASIS.layout({}, 4, has_unlabelled=False, has_instances=True).num_labels == 4


@pytest.mark.parametrize(
    ("data", "changes", "ignored"),
    [
        (DATA, {}, True),
        (Data(num_labels=5, size=SIZE), {}, False),
        (Data(num_labels=5, size=SIZE), {"first_class_unlabelled": True}, True),
    ],
)
def test_label_0_is_learned_unless_it_means_no_class(
    data: Data, changes: dict[str, Any], ignored: bool
) -> None:
    system = trainer(data=data, **changes).system.eval()
    (batch,) = batch_at(0)
    everywhere = Batch(SemanticMap(torch.full((2, *SIZE), 255), LAYOUT), batch.photos, batch.noise)
    assert bool(system.generator_terms(everywhere)["gan"] == 0) is ignored
    assert system.generator_terms(batch)["gan"] > 0


def test_images_that_the_discriminator_cannot_halve_are_refused_when_it_is_built() -> None:
    with pytest.raises(ValueError, match="size is 96 x 64, expected multiples of 64"):
        trainer(data=Data(num_labels=5, size=(96, 64)))


def test_the_perceptual_term_is_there_where_it_has_a_weight_and_weights() -> None:
    torch.manual_seed(0)
    weights = {f"features.{k}": v for k, v in vgg19_trunk(CONV5_1).state_dict().items()}
    with_it, without = trainer("oasis_with_perceptual", vgg19=weights), trainer(vgg19=weights)
    assert list(with_it.step(batch_at(0), 0)) == [
        "G/gan", "G/perceptual", "D/fake", "D/real", "D/labelmix"
    ]  # fmt: skip
    assert "G/perceptual" not in without.step(batch_at(0), 0)
    assert "G/perceptual" not in trainer("oasis_with_perceptual").step(batch_at(0), 0)
    assert list(with_it.system.state_dict()) == list(without.system.state_dict())
    (batch,), (measure,) = batch_at(1), with_it.system.measures
    fake = with_it.system.generator(batch.semantics, batch.noise.normal("generator", 64))
    term = with_it.system.eval().generator_terms(batch)["perceptual"]
    with_it.system.train()
    assert term.item() > 0
    assert measure(fake, batch.photos).isfinite()


def test_labelmix_can_be_left_out() -> None:
    assert list(trainer(labelmix_weight=0.0).step(batch_at(0), 0)) == ["G/gan", "D/fake", "D/real"]


def test_the_average_begins_with_the_first_weights_and_takes_every_entry() -> None:
    training = trainer(ema_decay=0.75)
    before = {k: v.clone() for k, v in training.system.generator.state_dict().items()}
    training.step(batch_at(0), 0)
    after, average = training.system.generator.state_dict(), training.scored_network.state_dict()
    moved = 0
    for name, tensor in average.items():
        if tensor.is_floating_point():
            expected = 0.75 * before[name] + 0.25 * after[name]
            torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=1e-5)
            moved += not torch.equal(before[name], after[name])
    assert moved > len(before) // 2


def test_the_finished_network_has_the_statistics_of_its_own_weights() -> None:
    training = trainer(ema_decay=0.5)
    training.step(batch_at(0), 0)
    for name, buffer in training.scored_network.named_buffers():
        if name.endswith("running_mean"):
            buffer.fill_(1000.0)  # what averaged statistics may be: far from those of the weights
    kept = {k: v.clone() for k, v in training.scored_network.state_dict().items()}
    given = []

    def batches() -> Any:
        for step in itertools.count(10):
            given.append(step)
            yield from batch_at(step)

    training.scored_network.eval()  # as a preview leaves it
    finished = training.finished(batches())
    assert len(given) == 51
    assert not finished.training
    for name, tensor in training.scored_network.state_dict().items():
        assert torch.equal(tensor, kept[name]), "the training goes on with the average as it was"
        if name.endswith("running_mean"):
            of_it = finished.state_dict()[name]
            torch.testing.assert_close(of_it, tensor * 0.9**51, atol=1.0, rtol=0)
    assert all(torch.equal(weight, kept[name]) for name, weight in finished.named_parameters())


def test_a_training_continues_bitwise(tmp_path: Path) -> None:
    def run(training: Trainer, folder: str, steps: int) -> Trainer:
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run(trainer(ema_decay=0.9), "whole", 4)
    run(trainer(ema_decay=0.9), "parts", 2)
    assert same_bits(whole, run(trainer(ema_decay=0.9), "parts", 4))


@torch.no_grad()
def test_images_are_stochastic_through_z_alone() -> None:
    semantics = batch_at(0)[0].semantics
    for model, style in (("oasis", "random"), ("oasis_without_noise", "none")):
        network = trainer(model).system.generator
        network(semantics, torch.zeros(2, 64) if style == "random" else None)
        network.eval()
        assert OASIS.style_input(network) == style
        one, same, other = (
            OASIS.synthesized_by(network, Inputs(semantics, Noise.of_images(0, [0, 1], draw)))
            for draw in (0, 0, 1)
        )
        assert torch.equal(one, same)
        assert torch.equal(one, other) == (style == "none")
