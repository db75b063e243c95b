# SPDX-License-Identifier: Apache-2.0
"""pix2pix's system: its settings, its steps against plain ones, dropout and test modes."""

import dataclasses
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_translation import PlainPix2Pix, unet
from processes import world_of
from small_training import flat, same_bits
from torch import Tensor

from spade_eval.models.checkpoints.files import load_state
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.inputs import Batch, Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.pix2pix import Pix2Pix
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, difference, resolved
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="first")
COLOURS = ((250, 20, 20), (20, 250, 20), (20, 20, 250), (200, 200, 100))
SIZE = (64, 64)
WORKER = Path(__file__).parents[1] / "training" / "workers" / "gan_worker.py"


def trainer(size: tuple[int, int] = SIZE, **changes: Any) -> Trainer:
    preset = GENERATORS["pix2pix"]
    settings = changed(resolved(preset, "release"), changes)
    data = Data(num_labels=5, size=size, palette=COLOURS, unlabelled_first=True)
    system = preset.system.build(preset, data, settings, width=1 / 16)
    return Trainer(system, settings, RateSchedule(constant=9, decay=0))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Blocks of labels, some of them unlabelled, and noise for photos."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (2, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
    noise = Noise.of_step(7, step, 0, 2)
    return [Batch(SemanticMap(labels, LAYOUT).to(dtype=dtype), photos.to(dtype), noise)]


def shown(semantics: SemanticMap, label_input: str) -> Tensor:
    if label_input == "one-hot":
        return semantics.full
    table = torch.tensor([(0, 0, 0), *COLOURS], dtype=torch.float32) / 127.5 - 1
    return table[semantics.labels_at(SIZE)].permute(0, 3, 1, 2).double()


@pytest.mark.parametrize("label_input", ["one-hot", "colours"])
def test_free_running_steps_are_those_written_out(label_input: str) -> None:
    # Larger weights than its own, so that every term counts.
    training = trainer(label_input=label_input, initialisation="glorot")
    training.system.double()
    networks = {"generator": training.system.generator, "D": training.system.discriminator}
    states = [
        {name: tensor.clone() for name, tensor in to_published(network).items()}
        for network in networks.values()
    ]
    plain = PlainPix2Pix(states[0], states[1], 2e-4, last=5)
    for step in range(2):
        (batch,) = batch_at(step, torch.float64)
        kept = {4: batch.noise.uniform("dropout 4", 32, 4, 4)}
        expected = plain.step(shown(batch.semantics, label_input), batch.photos, kept)
        told = training.step([batch], step)
        assert list(told) == list(expected) == ["D/fake", "D/real", "G/gan", "G/l1"]
        for name, term in expected.items():
            torch.testing.assert_close(told[name], term, rtol=1e-9, atol=1e-11, msg=name)
    for network, state in zip(networks.values(), states, strict=True):
        for name, tensor in to_published(network).items():
            if not name.endswith("num_batches_tracked"):
                # Adam divides gradients that are zero but for rounding by their own size.
                torch.testing.assert_close(tensor, state[name], rtol=1e-7, atol=1e-8, msg=name)
            elif network is networks["generator"]:
                assert tensor == 2, "once a step, though both halves synthesize"


def test_settings_of_paper_and_release() -> None:
    rows = {row.setting: (row.paper, row.release) for row in difference(Pix2Pix)}
    assert set(rows) == {"decay", "constant_epochs", "decay_epochs", "innermost level"}
    for which in ("paper", "release"):
        settings = resolved(GENERATORS["pix2pix"], which)  # type: ignore[arg-type]
        assert settings.constant_epochs + settings.decay_epochs == 200
        assert (settings.l1_weight, settings.discriminator_weight) == (100.0, 0.5)
        assert {(o.rate, o.betas) for o in settings.optimizers.values()} == {(2e-4, (0.5, 0.999))}
        assert (settings.batch_size, settings.initialisation) == (1, "normal")


@pytest.mark.parametrize(
    ("size", "downsamplings", "dropped"),
    [((64, 64), 6, [4]), ((96, 64), 5, []), ((128, 128), 7, [4, 5]), ((256, 512), 8, [4, 5, 6])],
)
def test_as_many_downsamplings_as_the_size_allows(
    size: tuple[int, int], downsamplings: int, dropped: list[int]
) -> None:
    network = trainer(size).system.generator
    assert network.config.num_downsamplings == downsamplings
    assert list(network.drawn_shapes(size)) == dropped
    assert Pix2Pix.style_input(network) == ("random" if dropped else "none")
    (_, note) = Pix2Pix.notes(network)
    assert f"U-Net of {downsamplings} downsamplings" in note
    assert ("as many as the image size allows" in note) == (downsamplings < 8)


def test_sizes_that_cannot_be_halved_five_times_are_refused() -> None:
    with pytest.raises(ValueError, match="size is 48 x 64, expected multiples of 32"):
        trainer((48, 64))


@torch.no_grad()
def test_as_released_an_image_has_its_own_statistics_and_dropout() -> None:
    """Whatever its batch mates and the running statistics are: those of a batch of one."""
    system = trainer().system
    network = system.generator.eval()
    state = {name: tensor.clone() for name, tensor in to_published(network).items()}
    (batch,) = batch_at(3)
    noise = Noise.of_images(5, [8, 9])
    images = Pix2Pix.synthesized_by(network, Inputs(batch.semantics, noise))
    for row, index in enumerate((8, 9)):
        kept = {4: Noise.of_images(5, [index]).uniform("dropout 4", 32, 4, 4)}
        alone = unet(state, batch.semantics.full[row : row + 1], 5, kept, track=False)
        torch.testing.assert_close(images[row : row + 1], alone, rtol=0, atol=1e-5)
    assert all(torch.equal(state[name], now) for name, now in to_published(network).items())
    again = Pix2Pix.synthesized_by(network, Inputs(batch.semantics, noise))
    other = Pix2Pix.synthesized_by(network, Inputs(batch.semantics, Noise.of_images(6, [8, 9])))
    assert torch.equal(images, again)
    assert not torch.equal(images, other)


@torch.no_grad()
def test_in_eval_mode_neither_dropout_nor_batch_mates_count() -> None:
    network = trainer().system.generator.eval()
    network.config = dataclasses.replace(network.config, test_mode="eval")
    (batch,) = batch_at(3)
    images, other = (
        Pix2Pix.synthesized_by(network, Inputs(batch.semantics, Noise.of_images(seed, [8, 9])))
        for seed in (5, 6)
    )
    assert torch.equal(images, other)
    assert torch.equal(images, network(batch.semantics))
    assert Pix2Pix.style_input(network) == "none"
    assert "test mode: eval, dropout off" in Pix2Pix.notes(network)[0]


def test_half_of_what_comes_up_is_dropped_and_the_rest_doubled() -> None:
    network = trainer((128, 128)).system.generator
    up = network.up[4 - 1]  # none of them is of the first level
    x = torch.randn(1, up.conv.in_channels, 4, 4, generator=torch.Generator().manual_seed(0))
    drawn = torch.rand(1, 32, 8, 8, generator=torch.Generator().manual_seed(1))
    whole, dropped = up(x), up(x, drawn)
    assert torch.equal(dropped == 0, drawn < 0.5)
    assert torch.equal(dropped[drawn >= 0.5], 2 * whole[drawn >= 0.5])


def test_a_training_continues_bitwise(tmp_path: Path) -> None:
    def run(folder: str, steps: int) -> Trainer:
        training = trainer(ema_decay=0.9)
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run("whole", 4)
    run("parts", 2)
    assert same_bits(whole, run("parts", 4))


@pytest.mark.slow
def test_a_killed_process_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    def run(folder: str, *flags: object) -> int:
        (fork,) = world_of(1, WORKER, "pix2pix", tmp_path / folder, "--steps", 5, *flags)
        return fork.wait()

    assert run("undisturbed") == 0
    assert run("killed", "--kill-at", 4) == -signal.SIGKILL
    assert run("killed", "--kill-at", 4) == 0, "it dies once"
    expected, found = (
        flat(load_state(tmp_path / name / "state.pt")) for name in ("undisturbed", "killed")
    )
    assert len(expected) > 100
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
