# SPDX-License-Identifier: Apache-2.0
"""SEAN's system: its settings, its steps against plain ones, its class means and style sources."""

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_sean import PlainTraining, encode
from processes import world_of
from small_training import flat, same_bits
from torch import Tensor

from spade_eval.models.checkpoints.files import load_state
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.inputs import Batch, Inputs, Noise, Style
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.sean import SEAN
from spade_eval.models.systems.settings import changed, difference, resolved, settings_of
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

LAYOUT = SemanticLayout(num_classes=5, unknown="last", edges=True)
SIZE = (64, 64)
WORKER = Path(__file__).parents[1] / "training" / "workers" / "gan_worker.py"
UNUSED = 4  # a class that no label map here has


def trainer(model: str = "sean", which: Any = "release", **changes: Any) -> Trainer:
    preset = GENERATORS[model]
    settings = changed(resolved(preset, which), changes)
    data = Data(num_labels=LAYOUT.num_labels, size=SIZE, edges=True)
    system = accelerate(preset.system.build(preset, data, settings, width=1 / 32))
    return Trainer(system, settings, RateSchedule(constant=9, decay=0))


def batch_at(step: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Blocks of labels, some of them unlabelled, and noise for photos."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, UNUSED, (2, 8, 8), generator=random)
    labels[:, :2] = 255
    labels[0][labels[0] == 3] = 2  # of one image alone
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    photos = torch.rand(2, 3, *SIZE, generator=random) * 2 - 1
    semantics = SemanticMap(labels, LAYOUT, labels).to(dtype=dtype)
    noise = Noise.of_step(7, step, 0, 2).to(torch.device("cpu"), dtype)
    return [Batch(semantics, photos.to(dtype), noise)]


@pytest.mark.parametrize(("model", "strides"), [("sean", (2, 2, 2)), ("decoder_ace", (2, 2, 2, 1))])
def test_free_running_steps_are_those_written_out(model: str, strides: tuple[int, ...]) -> None:
    changes = {
        "optimizers.G.rate": 1e-3, "optimizers.D.rate": 4e-3,
        "initialisation": "glorot",  # larger weights than its own, so that every term counts
    }  # fmt: skip
    training = trainer(model, **changes)
    training.system.double()
    with torch.no_grad():  # where noise and mixing count from the first step on
        for name, weight in training.system.generator.named_parameters():
            if "noise_var" in name or "blending" in name:
                weight.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(len(name)))
    networks = {"G": training.system.generator, "D": training.system.discriminator}
    plain = PlainTraining(
        *(to_published(network) for network in networks.values()), {"G": 1e-3, "D": 4e-3}, strides
    )
    ours = {
        theirs: name for name, theirs in networks["G"].published.names(networks["G"].config).items()
    }
    for step in range(2):
        (batch,) = batch_at(step, torch.float64)
        noise = {
            half: lambda name, height, width, half=half, noise=batch.noise: noise.normal(
                f"{half} {ours[name]}", 1, height, width
            )
            for half in ("generator", "discriminator")
        }
        expected = plain.step(batch.semantics.full, batch.photos, noise)
        told = training.step([batch], step)
        assert sorted(told) == sorted(expected)
        for name, term in expected.items():
            torch.testing.assert_close(told[name], term, rtol=1e-9, atol=1e-11, msg=name)
    for which_network, network in networks.items():
        for name, tensor in to_published(network).items():
            if not name.endswith("num_batches_tracked") and "class_means" not in name:
                # Adam divides gradients that are zero but for rounding by their own size.
                torch.testing.assert_close(
                    tensor, plain.states[which_network][name].detach(), rtol=1e-6, atol=1e-8,
                    msg=name,
                )  # fmt: skip


def test_numbers_of_paper_and_release() -> None:
    paper, release = (settings_of(SEAN, which) for which in ("paper", "release"))
    for settings in (paper, release):
        assert {name: item.rate for name, item in settings.optimizers.items()} == {
            "G": 1e-4, "D": 4e-4
        }  # fmt: skip
        assert (settings.batch_size, settings.constant_epochs) == (32, 50)
        assert (settings.discriminator_layers, settings.discriminator_last_stride) == (3, 2)
        assert settings.objective.kld_weight == 0
        assert (
            settings.objective.feature_matching_weight == settings.objective.perceptual_weight == 10
        )
    rows = {row.setting: (row.paper, row.release) for row in difference(SEAN)}
    assert rows == {
        "betas": ("(0.0, 0.999)", "(0.0, 0.9)"),
        "decay_epochs": ("0", "50"),
        "initialisation": ("as_printed", "as_trained"),
        **{row.setting: (row.paper, row.release) for row in SEAN.printed_architecture},
    }
    images = {name: settings_of(SEAN, "release", name).class_mean_images
              for name in ("scenes", "ade20k", "cocostuff", "cityscapes")}  # fmt: skip
    assert images == {"scenes": 500, "ade20k": 10_000, "cocostuff": 10_000, "cityscapes": 3000}


@pytest.mark.parametrize(
    ("which", "dataset"),
    [("paper", "ade20k"), ("paper", "cocostuff"), ("release", "cityscapes"), ("release", "scenes")],
)
def test_the_row_of_norms_is_trained_as_spade(which: Any, dataset: str) -> None:
    ours = dict(vars(resolved(GENERATORS["decoder_ace"], which, dataset)))
    assert ours.pop("discriminator_last_stride") == 1
    ours.pop("class_mean_images")
    assert ours == vars(resolved(GENERATORS["spade"], which, dataset))


def endless(first: int = 10) -> Iterator[Batch]:
    for step in itertools.count(first):
        yield from batch_at(step)


def test_the_finished_network_has_the_means_of_its_own_codes() -> None:
    training = trainer(class_mean_images=5)
    training.step(batch_at(0), 0)
    before = {k: v.clone() for k, v in training.system.generator.state_dict().items()}
    finished, again = (training.finished(endless()) for _ in range(2))
    state = {k: v.double() for k, v in to_published(finished).items() if "Zencoder" in k}
    of_each = []
    for batch in itertools.islice(endless(), 3):
        one_hot = batch.semantics.full.double()
        of_each += [*zip(encode(state, batch.photos.double(), one_hot), one_hot, strict=True)]
    present = torch.stack([one_hot.any(dim=(1, 2)) for _, one_hot in of_each[:5]])
    mean = (
        torch.stack([codes for codes, _ in of_each[:5]]).sum(0)
        / present.sum(0).clamp(min=1)[:, None]
    )
    torch.testing.assert_close(finished.class_means.codes.double(), mean, atol=1e-6, rtol=1e-5)
    assert torch.equal(finished.class_means.images, present.sum(0))
    assert finished.class_means.absent() == (UNUSED,)
    assert 0 < finished.class_means.images[3] < 5, "a label that some images lack"
    assert not finished.training
    assert all(torch.equal(again.state_dict()[k], v) for k, v in finished.state_dict().items())
    for name, tensor in training.system.generator.state_dict().items():
        assert torch.equal(tensor, before[name]), "the training goes on with the network as it was"


@torch.no_grad()
def test_styles_are_of_a_photo_or_the_class_means() -> None:
    network = trainer(class_mean_images=4, initialisation="glorot").finished(endless())
    (here,), (other,) = batch_at(0), batch_at(1)
    noise = Noise.of_images(0, [0, 1])

    def made(style: Style | None, noise: Noise = noise) -> Tensor:
        return SEAN.synthesized_by(network, Inputs(here.semantics, noise, style))

    means = made(None)
    assert torch.equal(means, made(None))
    codes = network.class_means.codes.expand(2, -1, -1)
    drawn = lambda layer, size: noise.normal(layer, 1, *size)  # noqa: E731
    assert torch.equal(means, network(here.semantics, codes, drawn))
    same, another = (made(Style(batch.photos, batch.semantics)) for batch in (here, other))
    assert not torch.equal(same, means)
    assert not torch.equal(same, another)
    codes = network.styles(other.photos, other.semantics)
    encoded, present = network.encode(other.photos, other.semantics)
    assert not present[0, 3]
    assert torch.equal(codes[0, 3], network.class_means.codes[3]), "a label that the photo lacks"
    assert torch.equal(codes[present], encoded[present])


@torch.no_grad()
def test_images_are_stochastic_through_noise_of_every_layer() -> None:
    network = trainer(initialisation="glorot").system.generator.eval()
    (batch,) = batch_at(0)
    codes = network.styles(batch.photos, batch.semantics)
    names = []

    def noise(layer: str, size: tuple[int, int]) -> Tensor:
        names.append((layer, size))
        return Noise.of_images(0, [0, 1]).normal(layer, 1, *size)

    still = network(batch.semantics, codes)
    assert torch.equal(still, network(batch.semantics, codes, noise)), "its weights begin at zero"
    assert len({name for name, _ in names}) == len(names) == 18
    for layer in network.modules():
        if hasattr(layer, "noise_var"):
            layer.noise_var.fill_(0.1)
    inputs = [Inputs(batch.semantics, Noise.of_images(0, [0, 1], draw)) for draw in (0, 0, 1)]
    one, again, other = (SEAN.synthesized_by(network, given) for given in inputs)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert SEAN.is_stochastic(network, "class means")


def test_photos_and_label_maps_of_different_sizes_are_refused() -> None:
    network = trainer().system.generator
    (batch,) = batch_at(0)
    with pytest.raises(
        ValueError, match=r"style photos are \(2, 3, 32, 64\), their label maps \(2, 64, 64\)"
    ):
        network.styles(batch.photos[:, :, ::2], batch.semantics)
    with pytest.raises(ValueError, match=r"style codes are \(2, 3, 16\), expected \(2, 7\)"):
        network(batch.semantics, torch.zeros(2, 3, 16))


def test_a_network_without_means_says_so() -> None:
    preset = GENERATORS["sean"]
    with torch.device("meta"):
        network = preset.network(
            preset.network.Config(num_labels=5, base_channels=2, class_means=False)
        )
    assert SEAN.style_inputs(network) == ("another photo", "real image (same)")
    with pytest.raises(ValueError, match="keeps no class means"):
        network(
            SemanticMap(torch.zeros(1, 32, 32, dtype=torch.int64), SemanticLayout(num_classes=5))
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"upsampling": "most"}, 'upsampling is "most".*never calls it'),
        ({"z_dim": 8}, "z_dim is 8, expected None"),
        ({"num_labels": 1 << 15}, "num_labels is 32768, expected at most 2048"),
    ],
)
def test_what_there_is_no_network_of_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GENERATORS["sean"].network.Config(**{"num_labels": 5, **changes})


def test_a_training_continues_bitwise(tmp_path: Path) -> None:
    def run(folder: str, steps: int) -> Trainer:
        training = trainer(ema_decay=0.9)
        settings = LoopSettings(steps=steps, batch_size=2, save_every=1)
        Loop(training, batch_at, settings, tmp_path / folder / "state.pt", "sha").run()
        return training

    whole = run("whole", 3)
    run("parts", 2)
    assert same_bits(whole, run("parts", 3))


@pytest.mark.slow
def test_a_killed_process_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    def run(folder: str, *flags: object) -> int:
        (fork,) = world_of(1, WORKER, "sean", tmp_path / folder, "--steps", 5, *flags)
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
