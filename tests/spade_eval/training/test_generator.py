# SPDX-License-Identifier: Apache-2.0
"""Every preset trains: two steps on the CPU, its checkpoint written, opened and complete."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval.cli.lists.model_list import listed_models
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.models.checkpoints.files import load_description, load_weights
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.training.distributed import World
from spade_eval.records import sha256_of_json
from spade_eval.rows import Request
from spade_eval.sources.synthesis import SynthesizedByCheckpoint
from spade_eval.training.generator import batches_at

Make = Callable[..., Benchmark]


@pytest.mark.slow
@pytest.mark.parametrize("model", GENERATORS)
def test_every_row_is_listed_trained_exported_described_opened_and_synthesizes(
    benchmark_in: Make, model: str
) -> None:
    """By its name alone, whichever it is: nothing here knows one preset from another."""
    (listed,) = listed_models([model])
    assert listed.paper_row == GENERATORS[model].source
    benchmark, preset = benchmark_in(), GENERATORS[model]
    file = benchmark.train(model)
    weights = load_weights(file)
    assert weights
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    description = load_description(file)
    assert (description["model"], description["train"]["steps"]) == (model, 2)
    assert description["network"] == preset.network.__name__
    encoder = file.with_name("encoder.safetensors")
    assert encoder.is_file() == (preset.changes.get("latent") == "encoder")
    dataset = benchmark.dataset
    source = SynthesizedByCheckpoint(
        model, file, dataset, benchmark.protocol, benchmark.place.device
    )
    images = source.floats([0, 1], [dataset[0], dataset[1]])
    assert images.shape == (2, 3, *dataset.size)
    assert 0 <= images.min() <= images.max() <= 1
    config = benchmark.train_config(model)
    assert source.provenance["train_config_sha256"] == config.sha256
    assert source.provenance["train_perceptual"] == config.perceptual
    unseeded = {name: value for name, value in description["train"].items() if name != "seed"}
    assert source.provenance["train_way_sha256"] == sha256_of_json(unseeded)


def test_unpaired_systems_see_photos_of_other_scenes(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, cpu = Scenes("train", (64, 64), length=40), torch.device("cpu")
    config = dataclasses.replace(benchmark_in().train_config("spade"), batch_size=4)
    paired = batches_at(config, dataset, cpu, 1)
    monkeypatch.setattr(GENERATORS["spade"].system, "paired", False)
    (unpaired,), (again,) = (batches_at(config, dataset, cpu, 1) for _ in range(2))
    assert torch.equal(unpaired.semantics.full, paired[0].semantics.full)
    assert torch.equal(unpaired.photos, again.photos)
    same = [
        torch.equal(one, other)
        for one, other in zip(unpaired.photos, paired[0].photos, strict=True)
    ]
    assert not all(same)


def test_photos_of_unpaired_batches_have_an_order_of_their_own(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over an epoch every label map and every photo is seen once, in two orders; processes and
    parts of a batch change neither."""
    dataset, cpu = Scenes("train", (64, 64), length=12), torch.device("cpu")
    config = dataclasses.replace(benchmark_in().train_config("spade"), batch_size=4)
    monkeypatch.setattr(GENERATORS["spade"].system, "paired", False)
    whole = [batches_at(config, dataset, cpu, step)[0] for step in range(3)]
    parts = dataclasses.replace(config, accumulate=2)
    for step, batch in enumerate(whole):
        shared = [
            batches_at(config, dataset, cpu, step, World(rank=rank, size=2))[0] for rank in (0, 1)
        ]
        for pieces in (shared, batches_at(parts, dataset, cpu, step)):
            assert torch.equal(torch.cat([piece.photos for piece in pieces]), batch.photos)
            labels = torch.cat([piece.semantics.full for piece in pieces])
            assert torch.equal(labels, batch.semantics.full)
    photos = torch.cat([batch.photos for batch in whole])
    labels = torch.cat([batch.semantics.full for batch in whole])
    assert len(torch.unique(photos, dim=0)) == 12
    assert len(torch.unique(labels, dim=0)) == 12
    monkeypatch.undo()
    paired = torch.cat([batches_at(config, dataset, cpu, s)[0].photos for s in range(3)])
    assert torch.equal(torch.unique(paired, dim=0), torch.unique(photos, dim=0))
    together = (paired == photos).flatten(1).all(dim=1)
    assert together.sum() < 6


def test_a_latent_model_is_scored_with_its_noise_recorded(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    benchmark.run(Request(("spade_random",)))
    item = next(item for item in benchmark.store if item.source == "spade_random")
    assert any("latent z drawn from N(0, 1)" in note for note in item.notes)


def test_a_variational_training_continues_bitwise(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spade_eval.models.training.trainer import Trainer

    whole = benchmark_in("whole").train("spade_vae")
    original = Trainer.step

    def dies(self: Trainer, batch: object, step: int) -> dict[str, torch.Tensor]:
        if step == 1:
            raise KeyboardInterrupt
        return original(self, batch, step)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", dies)
        with pytest.raises(KeyboardInterrupt):
            benchmark_in("killed").train("spade_vae")
    killed = benchmark_in("killed").train("spade_vae")
    for name in ("generator.safetensors", "encoder.safetensors"):
        expected, found = (load_weights(Path(path).with_name(name)) for path in (whole, killed))
        assert all(torch.equal(expected[key], found[key]) for key in expected)
