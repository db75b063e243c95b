# SPDX-License-Identifier: Apache-2.0
"""SDM's system: its settings, its steps against plain ones, its average, its sampling."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_sdm import PlainTraining
from small_training import same_bits
from torch import Tensor

from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.generators.sdm import SDMGenerator
from spade_eval.models.inputs import Batch, Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.sdm import SDM
from spade_eval.models.systems.settings import changed, resolved
from spade_eval.models.training.loop import Loop, LoopSettings
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


def test_numbers_of_paper_and_release() -> None:
    for which in ("paper", "release"):
        for dataset in ("ade20k", "cocostuff", "cityscapes", "scenes"):
            settings = resolved(GENERATORS["sdm"], which, dataset)  # type: ignore[arg-type]
            rate = settings.optimizers["G"]
            assert (rate.rate, rate.kind, rate.betas) == (1e-4, "adamw", (0.9, 0.999))
            assert (rate.weight_decay, settings.batch_size, settings.ema_decay) == (0, 32, 0.9999)
            assert (settings.condition_drop, settings.guidance) == (0.2, 1.5)
            assert settings.sampling_steps == (20 if dataset == "scenes" else 1000)


def test_fine_tuning_is_the_second_part_of_the_schedule_at_a_fifth_of_the_rate() -> None:
    training = trainer(constant=2, condition_drop=1.0)
    rates, zero = [], []
    for step in range(4):
        training.step(batch_at(step), step)
        rates.append(training.optimizers["G"].optimizer.param_groups[0]["lr"])
        condition = training.system.condition(batch_at(step)[0])
        zero.append(not condition.full.any())
    assert rates == [1e-4, 1e-4, 2e-5, 2e-5]
    assert zero == [False, False, True, True]


def test_maps_are_left_out_image_by_image() -> None:
    system = trainer(condition_drop=0.5).system
    system.fine_tuning = True
    seen = set()
    for step in range(8):
        (batch,) = batch_at(step)
        drawn = (batch.noise.uniform("drop") < 0.5).tolist()
        condition, full = system.condition(batch).full, batch.semantics.full
        for image, gone in enumerate(drawn):
            expected = torch.zeros_like(full[image]) if gone else full[image]
            assert torch.equal(condition[image], expected)
        seen |= set(drawn)
    assert seen == {True, False}


def test_the_average_begins_with_the_first_weights() -> None:
    training = trainer(ema_decay=0.75)
    before = {k: v.clone() for k, v in training.system.generator.state_dict().items()}
    training.step(batch_at(0), 0)
    after = training.system.generator.state_dict()
    for name, tensor in training.scored_network.state_dict().items():
        torch.testing.assert_close(tensor, 0.75 * before[name] + 0.25 * after[name])


def test_a_training_continues_bitwise_across_the_begin_of_fine_tuning(tmp_path: Path) -> None:
    def run(training: Trainer, folder: str, steps: int) -> Trainer:
        settings = LoopSettings(steps=steps, batch_size=IMAGES, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    def fresh() -> Trainer:
        return trainer(constant=2, ema_decay=0.9, condition_drop=0.5)

    whole = run(fresh(), "whole", 4)
    run(fresh(), "parts", 1)
    run(fresh(), "parts", 3)
    assert same_bits(whole, run(fresh(), "parts", 4))


def sampled(
    network: SDMGenerator,
    rows: slice = slice(None),
    draw: int = 0,
    dtype: torch.dtype = torch.float32,
    **asked: Any,
) -> Tensor:
    (batch,) = batch_at(0)
    alone = SemanticMap.from_tensor(batch.semantics.full[rows])
    inputs = Inputs(alone, Noise.of_images(0, list(range(IMAGES))[rows], draw))
    with torch.no_grad():
        return SDM.synthesized_by(network, inputs.to(dtype), **asked)


def small(**changes: Any) -> SDMGenerator:
    """A generator whose every weight counts."""
    network = spread(trainer(**{"sampling_steps": 4, **changes})).system.generator
    assert isinstance(network, SDMGenerator)
    return network.float()


def test_images_are_functions_of_their_own_noise_alone() -> None:
    network = small()
    one, again, other = sampled(network), sampled(network), sampled(network, draw=1)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    # Other batch sizes sum in other orders, which the first step multiplies by 150.
    torch.testing.assert_close(sampled(network, slice(1, 2)), one[1:2], atol=1e-3, rtol=0)
    assert SDM.style_input(network) == "random"
    assert SDM.is_stochastic(network, "random")


@pytest.mark.parametrize("guidance", [0.0, 1.0, 1.5, 3.0])
def test_guidance_mixes_the_two_predictions(guidance: float) -> None:
    """What a step predicts, from whole passes with the map and with zeros in its place."""
    network = small(guidance=guidance).double()
    (batch,) = batch_at(0, torch.float64)
    x, t = batch.photos, torch.tensor([999, 500, 0])
    zeros = SemanticMap.from_tensor(torch.zeros_like(batch.semantics.full))
    with torch.no_grad():
        with_map, without = (network.unet(x, t, maps) for maps in (batch.semantics, zeros))
        noise, v = network.guided(batch.semantics)(x, t)
    expected = (1 - guidance) * without[:, :3] + guidance * with_map[:, :3]
    torch.testing.assert_close(noise, expected)
    torch.testing.assert_close(v, with_map[:, 3:])


def test_without_guidance_the_map_goes_through_the_decoder_once() -> None:
    counts = {}
    for guidance in (1.0, 1.5):
        network, calls = small(guidance=guidance), []
        for name in ("embed", "norm"):  # at the begin of the encoder, at the end of the decoder
            layer = getattr(network.unet, name)
            layer.register_forward_hook(lambda *_, name=name, calls=calls: calls.append(name))
        sampled(network)
        counts[guidance] = (calls.count("embed"), calls.count("norm"))
    assert counts == {1.0: (4, 4), 1.5: (4, 8)}


def test_previews_take_fewer_steps() -> None:
    network = small(sampling_steps=30)
    quick = sampled(network, quick=True)
    network.config = replace(network.config, sampling_steps=10, guidance=1.0)
    assert torch.equal(quick, sampled(network))
    network.config = replace(network.config, sampling_steps=4)
    assert torch.equal(sampled(network), sampled(network, quick=True)), "not more than its own"


def test_the_row_says_how_it_was_sampled() -> None:
    (note,) = SDM.notes(small())
    assert "4 ancestral steps of the 1,000" in note
    assert "guidance 1.5 by the zero map" in note
    assert "without guidance" in SDM.notes(small(guidance=1.0))[0]


def test_a_chain_in_half_precision_keeps_its_bits() -> None:
    network = small()
    whole = sampled(network)
    half = sampled(network.to(torch.bfloat16), dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    assert not torch.equal(whole, half)
    assert not torch.equal(half, half.to(torch.bfloat16).float()), "as a chain of half floats would"


def test_the_layout_has_unlabelled_pixels_last_and_edges_where_there_are_instances() -> None:
    assert SDM.layout({}, 4, has_unlabelled=True, has_instances=True) == LAYOUT
    assert SDM.layout({}, 4, has_unlabelled=True, has_instances=False).num_labels == 5
