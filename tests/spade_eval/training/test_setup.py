# SPDX-License-Identifier: Apache-2.0
"""Budgets become schedules, settings become objectives and optimizers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spade_eval.config import RunConfig, TrainConfig, budget_for
from spade_eval.datasets import DATASETS
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.systems.settings import changed
from spade_eval.models.systems.spade import SPADE
from spade_eval.rows import Request
from spade_eval.training.setup import (
    Schedule,
    build_training,
    data_of,
    lacks_perceptual_loss,
    method_of,
    schedule_of,
    train_config,
)

Make = Callable[..., Benchmark]
TINY = RunConfig(
    dataset="scenes", profile="in-domain", budget_name="smoke", seed=0,
    budget=budget_for("scenes", "smoke", steps=2, batch_size=2, width=4 / 64, val_limit=4),
)  # fmt: skip

# Park et al., section 4.1 and Appendix A: images of the training set, epochs, of which decaying.
PAPER = {
    "cocostuff": (118_287, 100, 0),
    "ade20k": (20_210, 200, 100),
    "cityscapes": (2_975, 200, 100),
    "flickr_landscapes": (40_000, 50, 0),
}


@pytest.mark.parametrize("dataset", PAPER)
def test_the_paper_s_schedule_follows_from_the_number_of_images(dataset: str) -> None:
    images, epochs, decaying = PAPER[dataset]
    schedule = schedule_of("spade", dataset, budget_for(dataset, "paper"), images)
    per_epoch = images // 32
    assert schedule == Schedule(
        batch_size=32,
        steps=per_epoch * epochs,
        constant_steps=per_epoch * (epochs - decaying),
        decay_every=per_epoch,
    )


def test_the_release_s_schedule_is_its_code_s_default() -> None:
    budget = budget_for("ade20k", "paper", settings="release")
    schedule = schedule_of("spade", "ade20k", budget, 20_210)
    assert (schedule.batch_size, schedule.steps) == (1, 50 * 20_210)
    assert schedule.constant_steps == schedule.steps, "no decay"


def test_pix2pixhd_keeps_its_own_epochs_and_batch() -> None:
    schedule = schedule_of("pix2pixhd", "cityscapes", budget_for("cityscapes", "paper"), 2_975)
    assert (schedule.batch_size, schedule.steps) == (1, 200 * 2_975)
    assert schedule.constant_steps == 100 * 2_975


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("settings", ["paper", "release"])
def test_miniatures_keep_their_steps_under_both_settings(dataset: str, settings: str) -> None:
    budget = budget_for(dataset, "smoke", settings=settings)
    schedule = schedule_of("spade", dataset, budget, 1000)
    assert (schedule.steps, schedule.batch_size) == (budget.steps, budget.batch_size)
    assert (schedule.constant_steps, schedule.decay_every) == ((budget.steps or 0) // 2, 1)


def test_steps_and_batch_of_the_user_win() -> None:
    budget = budget_for("cocostuff", "paper", steps=500, batch_size=8)
    schedule = schedule_of("spade", "cocostuff", budget, 118_287)
    assert (schedule.steps, schedule.constant_steps, schedule.batch_size) == (500, 250, 8)


@pytest.mark.parametrize("model", ["munit", "unit"])
def test_methods_that_count_steps_train_as_long_on_all_data(model: str) -> None:
    for images in (1_000, 118_287):
        schedule = schedule_of(model, "cocostuff", budget_for("cocostuff", "paper"), images)
        assert (schedule.batch_size, schedule.steps) == (1, 1_000_000)
        assert schedule.constant_steps == 1_000_000
    budget = budget_for("cocostuff", "paper", steps=300)
    assert schedule_of(model, "cocostuff", budget, 1_000).steps == 300


def test_images_below_the_smallest_are_refused(benchmark_in: Make) -> None:
    budget = dataclasses.replace(TINY.budget, size=(32, 64))
    run = dataclasses.replace(TINY, budget=budget)
    split = Scenes("train", (32, 64), length=4)
    with pytest.raises(UserError, match="munit is trained on images of at least 64 pixels a side"):
        train_config("munit", run, split, Path("none"))


def test_a_batch_that_cannot_be_split_is_refused() -> None:
    budget = budget_for("scenes", "default", accumulate=3)
    with pytest.raises(UserError, match="--accumulate 3: expected a divisor of the batch size"):
        schedule_of("spade", "scenes", budget, 4000)


def config_of(benchmark: Benchmark, model: str = "spade", **changes: Any) -> TrainConfig:
    return dataclasses.replace(benchmark.train_config(model), **changes)


def test_every_option_that_changes_numbers_changes_the_hash(benchmark_in: Make) -> None:
    config = config_of(benchmark_in())
    hashes = {config.sha256}
    for field in dataclasses.fields(config):
        hashes.add(dataclasses.replace(config, **{field.name: "other"}).sha256)
    assert len(hashes) == 1 + len(dataclasses.fields(config))


@pytest.mark.parametrize(
    "edited",
    [
        {"objective.perceptual_weight": 9.0},
        {"optimizers.D.rate": 1e-3},
        {"optimizers.G.betas": (0.5, 0.9)},
        {"initialisation": "as_printed"},
        {"discriminator_layers": 3},
    ],
)
def test_an_edited_number_of_the_method_changes_the_hash(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch, edited: dict[str, Any]
) -> None:
    """Else old states would resume and old rows count as recorded, with other losses."""
    benchmark = benchmark_in()
    before = benchmark.train_config("spade")
    table = {key: changed(item, edited) for key, item in SPADE.settings.items()}
    monkeypatch.setattr(SPADE, "settings", table)
    after = benchmark.train_config("spade")
    assert after.settings == before.settings
    assert after.sha256 != before.sha256


def test_records_hold_the_settings_as_they_were_used(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    benchmark.run(Request(("spade",)))
    rows = [item for item in benchmark.store if item.source == "spade"]
    assert rows
    for row in rows:
        assert row.train_settings is not None
        assert row.train_settings["objective"]["feature_matching_weight"] == 10.0
        # Times the budget's factor, as the optimizer has it.
        assert row.train_settings["optimizers"]["D"]["rate"] == 4e-4 * 4.0
    assert all(item.train_settings is None for item in benchmark.store if item.source == "real")


def test_paper_and_release_differ_in_what_is_trained(benchmark_in: Make, tmp_path: Path) -> None:
    place = benchmark_in().place
    dataset = Scenes("train", (64, 64), length=4)
    trained = []
    for which in ("paper", "release"):
        run = dataclasses.replace(TINY, budget=dataclasses.replace(TINY.budget, settings=which))
        config = train_config("spade_vae", run, dataset, tmp_path)
        trained.append(build_training(config, data_of(config, dataset), place.device, tmp_path))
    paper, release = trained
    assert paper.settings.optimizers["G"].betas == (0.0, 0.999)
    assert release.settings.optimizers["G"].betas == (0.0, 0.9)
    # As printed, Glorot with gain 0.02 also where spectral norm is.
    largest = [
        next(p for name, p in item.system.generator.named_parameters() if "weight_orig" in name)
        .abs()
        .max()
        for item in trained
    ]
    assert largest[0] < largest[1] / 3
    images = [item.system.objective.config.kld_images for item in trained]
    assert images == [4, 2]


def test_settings_of_a_preset_include_its_changes(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    assert config_of(benchmark, "spade_deeper_discriminator").method.discriminator_layers == 5
    assert config_of(benchmark, "spade").method.discriminator_layers == 4


def test_the_budget_decides_on_the_average_and_the_method_where_it_does_not(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = benchmark_in()
    assert config_of(benchmark).ema_decay is None
    table = {key: changed(item, {"ema_decay": 0.5}) for key, item in SPADE.settings.items()}
    monkeypatch.setattr(SPADE, "settings", table)
    assert config_of(benchmark).ema_decay == 0.5


@pytest.mark.parametrize(
    ("steps", "decay"), [(4, 0.5), (100, 0.9), (600, 0.9833), (200_000, 0.9999), (None, 0.9999)]
)
def test_an_average_has_a_memory_of_a_tenth_of_a_short_run(steps: int | None, decay: float) -> None:
    budget = budget_for("ade20k", "paper" if steps is None else "smoke", steps=steps)
    assert method_of("oasis", "ade20k", budget, 4).ema_decay == pytest.approx(decay)
    given = budget_for("ade20k", "smoke", steps=steps, ema_decay=0.99)
    assert method_of("oasis", "ade20k", given, 4).ema_decay == 0.99
    assert method_of("spade", "ade20k", budget, 4).ema_decay is None


def test_a_size_that_a_method_cannot_train_on_is_refused_before_anything_is_measured(
    benchmark_in: Make,
) -> None:
    benchmark = benchmark_in()
    budget = dataclasses.replace(benchmark.config.budget, size=(64, 96))
    benchmark.config = dataclasses.replace(benchmark.config, budget=budget)
    with pytest.raises(UserError, match=r"--size 64x96: oasis is trained .* multiples of 64"):
        benchmark.run(Request(("oasis",)))
    assert not list(benchmark.store)
    assert benchmark.train_config("spade").size == (64, 96)


def test_who_lacks_a_perceptual_loss_without_weights(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    assert lacks_perceptual_loss(config_of(benchmark, "spade"))
    assert lacks_perceptual_loss(config_of(benchmark, "pix2pixhd"))
    assert not lacks_perceptual_loss(config_of(benchmark, "spade_without_perceptual"))


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (
            "cyclegan",
            (16, 32),
            r"--size 16x32: cyclegan .* of at least 24 pixels",
        ),
        ("cyclegan", (26, 32), r"--size 26x32: cyclegan is trained .* multiples of 4"),
        ("pix2pix", (48, 64), r"--size 48x64: pix2pix is trained .* multiples of 32"),
    ],
)
def test_sizes_are_refused_before_anything_is_trained(
    model: str, size: tuple[int, int], message: str, tmp_path: Path
) -> None:
    run = dataclasses.replace(TINY, budget=dataclasses.replace(TINY.budget, size=size))
    with pytest.raises(UserError, match=message):
        train_config(model, run, Scenes("train", size, length=4), tmp_path)


def test_how_label_maps_are_read_is_chosen_where_there_is_a_choice(tmp_path: Path) -> None:
    def config(model: str, label_input: Any) -> TrainConfig:
        budget = dataclasses.replace(TINY.budget, size=(64, 64), label_input=label_input)
        run = dataclasses.replace(TINY, budget=budget)
        return train_config(model, run, Scenes("train", (64, 64), length=4), tmp_path)

    usual, colours = config("pix2pix", None), config("pix2pix", "colours")
    assert (usual.method.label_input, colours.method.label_input) == ("one-hot", "colours")
    assert usual.sha256 == config("pix2pix", "one-hot").sha256 != colours.sha256
    with pytest.raises(UserError, match=r"--label-input colours: spade reads label maps in one"):
        config("spade", "colours")
    run = dataclasses.replace(TINY, budget=dataclasses.replace(TINY.budget, label_input="colours"))
    assert "label_input" not in TINY.as_json()["budget"], "runs of before keep their folders"
    assert run.as_json()["budget"]["label_input"] == "colours"


def test_rates_fall_as_asked_where_they_fall_linearly(tmp_path: Path) -> None:
    def config(model: str, rate_decay: Any) -> TrainConfig:
        budget = dataclasses.replace(TINY.budget, size=(64, 64), rate_decay=rate_decay)
        run = dataclasses.replace(TINY, budget=budget)
        return train_config(model, run, Scenes("train", (64, 64), length=4), tmp_path)

    usual, cosine = config("spade", None), config("spade", "cosine")
    assert {optimizer.decay for optimizer in usual.method.optimizers.values()} == {"linear"}
    assert {optimizer.decay for optimizer in cosine.method.optimizers.values()} == {"cosine"}
    assert usual.sha256 == config("spade", "linear").sha256 != cosine.sha256
    with pytest.raises(UserError, match=r"--rate-decay cosine: the rates of oasis are constant"):
        config("oasis", "cosine")
