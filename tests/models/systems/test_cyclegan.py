# SPDX-License-Identifier: Apache-2.0
"""CycleGAN's system: its settings, its steps against plain ones, its pools and both directions."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_translation import PlainCycleGAN
from processes import world_of
from small_training import flat, same_bits
from torch import Tensor

from spade_eval.models.checkpoints.files import load_state
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.inputs import Batch, Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.cyclegan import CycleGAN
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, difference, resolved
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="first")
COLOURS = ((250, 20, 20), (20, 250, 20), (20, 20, 250), (200, 200, 100))
SIZE = (32, 32)
NETWORKS = ("generator", "to_labels", "discriminator", "label_discriminator")
WORKER = Path(__file__).parents[1] / "training" / "workers" / "gan_worker.py"


def trainer(which: Any = "release", **changes: Any) -> Trainer:
    preset = GENERATORS["cyclegan"]
    settings = changed(resolved(preset, which), changes)
    data = Data(num_labels=5, size=SIZE, palette=COLOURS, unlabelled_first=True)
    system = preset.system.build(preset, data, settings, width=1 / 16)
    return Trainer(system, settings, RateSchedule(constant=9, decay=0))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Blocks of labels, some of them unlabelled, and noise for photos."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (2, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
    noise = Noise.of_step(7, step, 0, 2)
    return [Batch(SemanticMap(labels, LAYOUT).to(dtype=dtype), photos.to(dtype), noise)]


def pictures(semantics: SemanticMap) -> Tensor:
    table = torch.tensor([(0, 0, 0), *COLOURS], dtype=torch.float32) / 127.5 - 1
    return table[semantics.labels_at(SIZE)].permute(0, 3, 1, 2).double()


def states_of(training: Trainer) -> dict[str, dict[str, Tensor]]:
    return {name: to_published(getattr(training.system, name)) for name in NETWORKS}


@pytest.mark.parametrize("which", ["paper", "release"])
def test_free_running_steps_are_those_written_out(which: str) -> None:
    # A pool of three, so that the second batch of two fills it and the third swaps; larger weights
    # than its own, so that every term counts.
    training = trainer(which, pool_size=3, initialisation="glorot")
    training.system.double()
    states = {
        name: {key: tensor.clone() for key, tensor in state.items()}
        for name, state in states_of(training).items()
    }
    plain = PlainCycleGAN(states, 2e-4, pool=3, identity=0.5 if which == "release" else 0.0)
    for step in range(6):
        (batch,) = batch_at(step, torch.float64)
        numbers = tuple(
            batch.noise.uniform_of_step(f"{name} pool", 2, 2).tolist()
            for name in ("photo", "label")
        )
        expected = plain.step(pictures(batch.semantics), batch.photos, numbers)  # type: ignore[arg-type]
        told = training.step([batch], step)
        assert list(told) == list(expected)
        for name, term in expected.items():
            torch.testing.assert_close(told[name], term, rtol=1e-8, atol=1e-11, msg=name)
    assert all(pool.swapped for pool in plain.pools)
    for name, state in states_of(training).items():
        for key, tensor in state.items():
            # The gradient of a bias in front of an instance norm is zero but for rounding, and Adam
            # divides it by its own size: a full step in a random direction, which no image shows.
            before_a_norm = key.endswith("bias") and key not in (
                "model.0.bias", "model.11.bias", "model.26.bias"
            )  # fmt: skip
            tolerance = 6 * 2e-4 * 2 if before_a_norm else 1e-7
            torch.testing.assert_close(
                tensor, states[name][key], rtol=1e-6, atol=tolerance, msg=f"{name} {key}"
            )


def test_settings_of_paper_and_release() -> None:
    rows = {row.setting: (row.paper, row.release) for row in difference(CycleGAN)}
    assert rows["identity_weight"] == ("0.0", "0.5")
    settings = resolved(GENERATORS["cyclegan"], "release")
    assert (settings.cycle_weight, settings.pool_size, settings.batch_size) == (10.0, 50, 1)
    assert (settings.constant_epochs, settings.decay_epochs) == (100, 100)
    assert settings.initialisation == "normal"
    for own in settings.optimizers.values():
        assert (own.rate, own.betas, own.decay) == (2e-4, (0.5, 0.999), "linear")
    assert not CycleGAN.paired


def test_networks_begin_with_different_weights_and_export_both_directions() -> None:
    training = trainer()
    system = training.system
    assert not torch.equal(system.generator.to_rgb.weight, system.to_labels.to_rgb.weight)
    assert list(training.others_exported()) == ["to_labels"]
    assert CycleGAN.goes_back == "to_labels"
    assert system.to_labels.config.palette == system.generator.config.palette


def test_images_too_small_to_be_judged_are_refused() -> None:
    preset = GENERATORS["cyclegan"]
    settings = resolved(preset, "release")
    for size, fits in (((24, 32), True), ((20, 32), False)):
        data = Data(num_labels=5, size=size, palette=COLOURS)
        if fits:
            system = preset.system.build(preset, data, settings, width=1 / 64)
            assert system.discriminator(torch.zeros(1, 3, *size)).numel() == 2
        else:
            with pytest.raises(ValueError, match="size is 20 x 32, expected at least 24"):
                preset.system.build(preset, data, settings, width=1 / 64)


@torch.no_grad()
def test_images_depend_on_label_maps_alone() -> None:
    network = trainer().system.generator.eval()
    (batch,) = batch_at(0)
    one, other = (
        CycleGAN.synthesized_by(network, Inputs(batch.semantics, Noise.of_images(seed, [0, 1])))
        for seed in (0, 1)
    )
    assert torch.equal(one, other)
    assert CycleGAN.style_input(network) == "none"
    assert one.shape == (2, 3, *SIZE)


def test_a_training_continues_bitwise_with_its_pools(tmp_path: Path) -> None:
    def run(folder: str, steps: int) -> Trainer:
        training = trainer(pool_size=3)
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run("whole", 4)
    run("parts", 2)
    assert same_bits(whole, run("parts", 4))
    state = whole.state_dict()
    assert state["photo_pool"]["filled"] == state["label_pool"]["filled"] == 3
    assert state["photo_pool"]["images"].abs().sum() > 0


@pytest.mark.slow
def test_a_killed_process_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    def run(folder: str, *flags: object) -> int:
        (fork,) = world_of(1, WORKER, "cyclegan", tmp_path / folder, "--steps", 5, *flags)
        return fork.wait()

    assert run("undisturbed") == 0
    assert run("killed", "--kill-at", 4) == -signal.SIGKILL
    assert run("killed", "--kill-at", 4) == 0, "it dies once"
    states = [load_state(tmp_path / name / "state.pt") for name in ("undisturbed", "killed")]
    assert states[0]["trainable"]["photo_pool"]["filled"] == 40
    expected, found = map(flat, states)
    assert len(expected) > 100
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
