# SPDX-License-Identifier: Apache-2.0
"""MUNIT and UNIT: settings, steps against plain ones, styles, and what is exported."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_domains import PlainTraining, munit_step, unit_step
from processes import world_of
from small_training import flat, same_bits
from torch import Tensor, nn

from spade_eval.models.checkpoints.files import load_state
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.generators.munit import MUNITGenerator
from spade_eval.models.inputs import Batch, Inputs, Noise, Style
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.vgg19 import vgg16_trunk
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.munit import MUNIT
from spade_eval.models.systems.presets import GENERATORS, count_parameters
from spade_eval.models.systems.settings import changed, resolved
from spade_eval.models.systems.unit import UNIT
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=3, unknown="first")
COLOURS = ((200, 10, 60), (20, 220, 90), (30, 70, 250))
SIZE = (64, 64)
DATA = Data(num_labels=4, size=SIZE, palette=COLOURS, unlabelled_first=True)
CPU = torch.device("cpu")
WORKER = Path(__file__).parents[1] / "training" / "workers" / "gan_worker.py"


def trainer(
    model: str,
    which: Any = "release",
    dataset: str = "",
    vgg16: dict[str, Tensor] | None = None,
    **changes: Any,
) -> Trainer:
    preset = GENERATORS[model]
    settings = changed(resolved(preset, which, dataset), changes)
    measure = None if vgg16 is None else preset.system.measure(vgg16)
    system = preset.system.build(preset, DATA, settings, width=1 / 16, measure=measure)
    return Trainer(system, settings, RateSchedule(constant=1, decay=0))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Blocks of labels, some of them unlabelled, and noise for photos."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 3, (2, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
    noise = Noise.of_step(7, step, 0, 2).to(CPU, dtype)
    return [Batch(SemanticMap(labels, LAYOUT).to(dtype=dtype), photos.to(dtype), noise)]


def domain_states(system: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The networks as their authors sort them: by domain."""
    onward, backward = (to_published(network) for network in (system.generator, system.inverse))

    def is_content(name: str) -> bool:
        return name.startswith(("enc_content.", "enc."))

    return {
        "a": {name: (onward if is_content(name) else backward)[name] for name in onward},
        "b": {name: (backward if is_content(name) else onward)[name] for name in onward},
        "d_a": to_published(system.label_discriminator),
        "d_b": to_published(system.photo_discriminator),
    }


def random_vgg16() -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {f"features.{k}": v.double() for k, v in vgg16_trunk().state_dict().items()}


@pytest.mark.parametrize(
    ("model", "which", "dataset"),
    [
        ("munit", "release", ""),
        ("munit", "release", "cityscapes"),
        ("unit", "release", "cityscapes"),
        ("unit", "paper", ""),
    ],
)
def test_free_running_steps_are_those_written_out(model: str, which: Any, dataset: str) -> None:
    vgg = random_vgg16() if dataset else None
    training = trainer(model, which, dataset, vgg16=vgg)
    training.system.double()
    copies = {
        name: {key: tensor.clone() for key, tensor in state.items()}
        for name, state in domain_states(training.system).items()
    }
    plain = PlainTraining(copies, 1e-4, 1e-4 if which == "release" else 0.0)
    palette = torch.tensor([(0, 0, 0), *COLOURS], dtype=torch.float32) / 127.5 - 1
    shape = (8,) if model == "munit" else (16, 16, 16)
    for step in range(1 if vgg else 2):  # VGG-16 in float64 takes its time
        (batch,) = batch_at(step, torch.float64)
        labels = palette[batch.semantics.labels_at(SIZE)].permute(0, 3, 1, 2).double()
        real = {"a": labels, "b": batch.photos}
        noise = {
            f"{part} {domain}": batch.noise.normal(f"{part} {domain}", *shape)
            for part in ("discriminator", "generator", "cycle")
            for domain in ("labels", "photos")
        }
        if model == "munit":
            cycle = 10.0 if (which, dataset) == ("release", "cityscapes") else 0.0
            expected = munit_step(plain, real, noise, cycle=cycle, vgg=vgg)
        else:
            expected = unit_step(plain, real, noise, released=which == "release", vgg=vgg)
        terms = training.step([batch], step)
        assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, 1e-9)
    moved = 0
    for name, state in domain_states(training.system).items():
        for key, tensor in state.items():
            # Adam divides by roots of squares that may be tiny: sums in another order show.
            torch.testing.assert_close(tensor, plain.states[name][key], atol=1e-8, rtol=1e-7)
            moved += not torch.equal(tensor, copies[name][key])
    assert moved > 100


def test_numbers_of_paper_and_release() -> None:
    for model in ("munit", "unit"):
        assert GENERATORS[model].system.whole_steps == 1_000_000
        for which in ("paper", "release"):
            for dataset in ("ade20k", "cocostuff", "cityscapes"):
                settings = resolved(GENERATORS[model], which, dataset)
                assert settings.batch_size == 1
                assert settings.initialisation == "kaiming"
                assert settings.discriminator_initialisation == "normal"
                assert settings.ema_decay is None
                assert set(settings.optimizers) == {"D", "G"}
                for optimizer in settings.optimizers.values():
                    assert (optimizer.rate, optimizer.betas) == (1e-4, (0.5, 0.999))
                    assert optimizer.weight_decay == (1e-4 if which == "release" else 0)
                    if (model, which) != ("unit", "paper"):
                        assert (optimizer.decay, optimizer.halve_every) == ("halving", 100_000)
    streets = resolved(GENERATORS["munit"], "release", "cityscapes")
    assert (streets.cycle_weight, streets.perceptual_weight) == (10, 1)
    others = resolved(GENERATORS["munit"], "release", "ade20k")
    assert (others.cycle_weight, others.perceptual_weight) == (0, 0)
    assert (others.gan_weight, others.reconstruction_weight) == (1, 10)
    assert (others.style_weight, others.content_weight) == (1, 1)
    unit = resolved(GENERATORS["unit"], "release", "ade20k")
    assert (unit.gan_weight, unit.reconstruction_weight, unit.cycle_weight) == (1, 10, 10)
    assert (unit.code_weight, unit.perceptual_weight) == (0.01, 0)


def test_parameters_to_the_digit() -> None:
    """Of one domain; label maps are pictures, so datasets change nothing."""
    for labels in (151, 183, 35):
        assert count_parameters("munit", labels) == 15_026_187
        assert count_parameters("unit", labels) == 11_140_483
    with torch.device("meta"):
        network = MUNITGenerator(MUNITGenerator.Config(num_labels=1))
    counts = {
        name: sum(weight.numel() for weight in part.parameters())
        for name, part in network.named_children()
    }
    assert counts == {
        "style": 2_764_936, "content": 5_385_856, "decoder": 5_754_627, "mlp": 1_120_768,
    }  # fmt: skip
    assert sum(counts.values()) - counts["style"] == 12_261_251


def test_first_weights_are_kaimings_and_small_normal_ones() -> None:
    system = GENERATORS["munit"].system.build(
        GENERATORS["munit"], DATA, resolved(GENERATORS["munit"], "release"), width=1 / 2
    )
    content = system.generator.content.blocks[0].first.conv
    # 147,456 draws: the deviation is known to a fifth of a percent.
    fan = content.weight[0].numel()
    assert content.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.01)
    last = system.photo_discriminator.scales[0][3].conv
    assert last.weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert not content.bias.any()
    assert not last.bias.any()
    gamma = system.generator.decoder.ups[0].norm.gamma
    assert 0 <= gamma.min() < 0.2 < 0.8 < gamma.max() <= 1
    assert not torch.equal(content.weight, system.inverse.content.blocks[0].first.conv.weight)


def test_rates_are_halved_every_hundred_thousand_steps() -> None:
    training = trainer("munit")
    for step, rate in ((0, 1e-4), (99_999, 1e-4), (100_000, 5e-5), (250_000, 2.5e-5)):
        for name in ("D", "G"):
            training._set_rate(name, step)
            assert training.optimizers[name].optimizer.param_groups[0]["lr"] == rate


@pytest.mark.parametrize("model", ["munit", "unit"])
def test_a_training_continues_bitwise(model: str, tmp_path: Path) -> None:
    def run(training: Trainer, folder: str, steps: int) -> Trainer:
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run(trainer(model), "whole", 3)
    run(trainer(model), "parts", 2)
    assert same_bits(whole, run(trainer(model), "parts", 3))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["munit", "unit"])
def test_a_killed_process_ends_as_an_undisturbed_one(model: str, tmp_path: Path) -> None:
    def run(folder: str, *flags: object) -> int:
        (fork,) = world_of(1, WORKER, model, tmp_path / folder, "--steps", 5, *flags)
        return fork.wait()

    assert run("undisturbed") == 0
    assert run("killed", "--kill-at", 4) == -signal.SIGKILL
    assert run("killed", "--kill-at", 4) == 0, "it dies once"
    expected, found = (
        load_state(tmp_path / name / "state.pt") for name in ("undisturbed", "killed")
    )
    assert expected["step"] == found["step"] == 5
    pairs = list(zip(flat(expected), flat(found), strict=True))
    assert len(pairs) > 500
    assert all(torch.equal(one, other) for one, other in pairs)


@torch.no_grad()
def test_munit_is_stochastic_through_its_style_and_unit_is_not() -> None:
    semantics = batch_at(0)[0].semantics
    for model, system, style in (("munit", MUNIT, "random"), ("unit", UNIT, "none")):
        network = trainer(model).system.generator.eval()
        assert system.style_input(network) == style
        assert system.noise_levels(network) == ("image",)
        one, same, other = (
            system.synthesized_by(network, Inputs(semantics, Noise.of_images(0, [0, 1], draw)))
            for draw in (0, 0, 1)
        )
        assert torch.equal(one, same)
        assert torch.equal(one, other) == (style == "none")


@torch.no_grad()
def test_a_style_can_be_taken_from_a_photo() -> None:
    (batch,) = batch_at(0)
    network = trainer("munit").system.generator.eval()
    inputs = Inputs(
        batch.semantics, Noise.of_images(0, [0, 1]), style=Style(batch.photos, batch.semantics)
    )
    expected = network(batch.semantics, network.style(batch.photos))
    assert torch.equal(MUNIT.synthesized_by(network, inputs), expected)
    assert not torch.equal(network.style(batch.photos), network.style(batch.photos.flip(0)))


def test_what_is_scored_translates_label_maps_in_their_colours() -> None:
    for model in ("munit", "unit"):
        training = trainer(model)
        assert training.system.exported == ("generator",)
        assert training.system.generator.config.palette == "000000c80a3c14dc5a1e46fa"
        (note,) = training.system.notes(training.scored_network)
        assert "label maps (domain A) to photos (domain B)" in note


def test_images_that_the_discriminators_cannot_halve_are_refused() -> None:
    training = trainer("unit")
    with pytest.raises(ValueError, match=r"63 x 80 has a side of 63, expected at least 64"):
        training.system.photo_discriminator(torch.zeros(1, 3, 63, 80))
    assert UNIT.smallest == MUNIT.smallest == 64


def test_the_perceptual_term_is_there_where_it_has_a_weight_and_weights() -> None:
    vgg = {name: tensor.float() for name, tensor in random_vgg16().items()}
    named = {
        dataset: list(trainer("munit", dataset=dataset, vgg16=vgg).step(batch_at(0), 0))
        for dataset in ("", "cityscapes")
    }
    assert "G/perceptual_photos" in named["cityscapes"]
    assert "G/perceptual_photos" not in named[""]
    assert "G/perceptual_photos" not in trainer("munit", dataset="cityscapes").step(batch_at(0), 0)
