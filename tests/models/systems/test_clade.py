# SPDX-License-Identifier: Apache-2.0
"""CLADE's system: its settings, its steps against plain ones, and a killed training."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_clade import PlainTraining
from processes import world_of
from small_training import flat, same_bits
from torch import Tensor

from spade_eval.models.checkpoints.files import load_state
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.clade import CLADE
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import changed, difference, resolved, settings_of
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)
SIZE = (64, 64)
WORKER = Path(__file__).parents[1] / "training" / "workers" / "gan_worker.py"
MIRRORED = torch.tensor([True, False])


def trainer(model: str, which: Any = "release", **changes: Any) -> Trainer:
    preset = GENERATORS[model]
    settings = changed(resolved(preset, which), changes)
    data = Data(num_labels=LAYOUT.num_labels, size=SIZE, edges=True)
    system = accelerate(preset.system.build(preset, data, settings, width=1 / 32))
    return Trainer(system, settings, RateSchedule(constant=9, decay=0))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Blocks of labels, some of them unlabelled, and noise for photos; one image is mirrored."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (2, 8, 8), generator=random)
    labels[:, :2] = 255
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
    semantics = SemanticMap(labels, LAYOUT, labels).to(dtype=dtype)
    noise = Noise.of_step(7, step, 0, 2)
    return [Batch(semantics, photos.to(dtype), noise, mirrored=MIRRORED)]


def seen_positions(which: str, semantics: SemanticMap) -> Tensor:
    """What the generator is told: in the release, mirrored images have their original's map with
    its rows in reverse."""
    known = semantics.positions_at(SIZE)
    if which == "paper":
        return known
    original = known[0].flip(-1) * torch.tensor([1, -1])[:, None, None]
    return torch.stack([original.flip(-2), known[1]])


@pytest.mark.parametrize("which", ["paper", "release"])
@pytest.mark.parametrize("model", ["clade", "clade_icpe"])
def test_free_running_steps_are_those_written_out(model: str, which: str) -> None:
    changes = {
        "optimizers.G.rate": 1e-3, "optimizers.D.rate": 4e-3,
        "optimizers.G.betas": (0.0, 0.9), "optimizers.D.betas": (0.0, 0.9),
        "initialisation": "glorot",  # larger weights than its own, so that every term counts
    }  # fmt: skip
    training = trainer(model, which, **changes)
    training.system.double()
    with torch.no_grad():  # where a region's place counts from the first step on
        for name, weight in training.system.generator.named_parameters():
            if "dist_conv" in name or name.endswith("affine.bias"):
                weight.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(len(name)))
    networks = {"G": training.system.generator, "D": training.system.discriminator}
    plain = PlainTraining(
        *(to_published(network) for network in networks.values()), {"G": 1e-3, "D": 4e-3}
    )
    for step in range(2):
        (batch,) = batch_at(step, torch.float64)
        expected = plain.step(
            batch.semantics.full, seen_positions(which, batch.semantics), batch.photos
        )
        told = training.step([batch], step)
        assert sorted(told) == sorted(expected)
        for name, term in expected.items():
            torch.testing.assert_close(told[name], term, rtol=1e-9, atol=1e-11, msg=name)
    for which_network, network in networks.items():
        for name, tensor in to_published(network).items():
            if not name.endswith("num_batches_tracked"):
                # Adam divides gradients that are zero but for rounding by their own size.
                torch.testing.assert_close(
                    tensor, plain.states[which_network][name].detach(), rtol=1e-6, atol=1e-8,
                    msg=name,
                )  # fmt: skip


def test_settings_are_spades_without_its_cityscapes_batch() -> None:
    spade, clade = GENERATORS["spade"], GENERATORS["clade"]
    for which, dataset in (("paper", "cocostuff"), ("paper", "ade20k"), ("release", "ade20k")):
        ours = dict(vars(resolved(clade, which, dataset)))
        assert ours.pop("positional_flip") == ("horizontal" if which == "paper" else "vertical")
        assert ours == vars(resolved(spade, which, dataset))
    release = settings_of(CLADE, "release", "cityscapes")
    assert (release.batch_size, release.constant_epochs, release.decay_epochs) == (1, 50, 0)
    rows = {row.setting: (row.paper, row.release) for row in difference(CLADE)}
    assert rows["positional_flip"] == ("horizontal", "vertical")
    assert rows["betas"] == ("(0.0, 0.999)", "(0.0, 0.9)")


@pytest.mark.parametrize("model", ["clade", "clade_icpe"])
def test_a_training_continues_bitwise(tmp_path: Path, model: str) -> None:
    def run(folder: str, steps: int) -> Trainer:
        training = trainer(model, ema_decay=0.9)
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run("whole", 3)
    run("parts", 2)
    assert same_bits(whole, run("parts", 3))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["clade", "clade_icpe"])
def test_a_killed_process_ends_as_an_undisturbed_one(tmp_path: Path, model: str) -> None:
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
    assert len(pairs) > 300
    assert all(torch.equal(one, other) for one, other in pairs)
