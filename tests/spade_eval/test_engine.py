# SPDX-License-Identifier: Apache-2.0
"""The whole engine on four images: rows, records, resumption, foreign images, checkpoints."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from spade_eval import engine
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_description, load_weights, save_network
from spade_eval.records import Measurement, RecordStore
from spade_eval.rows import Request
from spade_eval.sources.image_files import LABEL_MAP_FOLDER
from spade_eval.sources.synthesis import SynthesizedByCheckpoint
from spade_eval.workplace import at_work

Make = Callable[..., Benchmark]
MODELS = ("spade", "concat", "pix2pixhdpp")
REFERENCES = ("real", "oracle", "grey", "label colours")
# What may differ between two runs of one configuration.
VOLATILE = {"started", "seconds", "images_per_second"}


def numbers(benchmark: Benchmark, source: str) -> dict[tuple[str, str | None], float | None]:
    return {
        (item.metric, item.class_name): item.value
        for item in benchmark.store
        if item.source == source
    }


def lasting(benchmark: Benchmark) -> list[dict[str, object]]:
    kept = [vars(item) for item in benchmark.store]
    return [{key: value for key, value in item.items() if key not in VOLATILE} for item in kept]


def checkpoint_of(benchmark: Benchmark, model: str) -> Path:
    (path,) = benchmark.place.run_folder.glob(f"checkpoints/{model}-*/generator.safetensors")
    return path


def test_every_row_is_measured_once(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    assert benchmark.run(Request(MODELS)) == [*REFERENCES, *MODELS]
    before = benchmark.store.path.read_bytes()
    assert benchmark_in().run(Request(MODELS)) == []
    assert benchmark.store.path.read_bytes() == before


@pytest.mark.parametrize("lost", [("fd_in_domain", None), ("iou", "sky")])
def test_a_row_that_lacks_numbers_is_measured_again(
    trained_in: Make, lost: tuple[str, str | None]
) -> None:
    """Whatever size its records state: the configuration says what belongs to a row."""
    benchmark = trained_in()
    path, before = benchmark.store.path, numbers(benchmark, "oracle")
    items = list(benchmark.store)
    path.unlink()
    for item in items:
        if item.source != "oracle":
            benchmark.store.append([item])
        elif (item.metric, item.class_name) != lost:
            benchmark.store.append([dataclasses.replace(item, job_size=item.job_size - 1)])
    assert lost not in numbers(benchmark, "oracle")
    assert benchmark.run(Request(MODELS)) == ["oracle"]
    assert numbers(benchmark, "oracle") == before
    assert benchmark.run(Request(MODELS)) == []


def test_named_images_are_kept_as_they_were_scored(trained_in: Make) -> None:
    benchmark = trained_in()
    name, request = benchmark.dataset.names[3], Request(MODELS)
    folder = benchmark.place.run_folder / "images"
    paths = [folder / row / f"{name}.png" for row in ("real", "oracle", "spade", LABEL_MAP_FOLDER)]
    scored = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    none_kept = dataclasses.replace(benchmark.place, save_images=0)
    Benchmark(benchmark.config, none_kept).keep_images(request, [name])
    assert not any(path.exists() for path in paths), "--save-images none keeps none"
    benchmark.keep_images(request, [name])
    assert [path.read_bytes() for path in paths] == scored


def test_a_record_tells_all_that_is_needed(trained_in: Make) -> None:
    benchmark = trained_in()
    items = [item for item in benchmark.store if item.source == "spade"]
    names = benchmark.dataset.label_space.class_names
    assert {item.metric for item in items} == {
        "miou", "acc_valid", "acc_all", "mean_accuracy", "fwiou", "iou", "fd_in_domain",
        "precision", "recall", "memorised", "leaked",
    }  # fmt: skip
    assert [item.class_name for item in items if item.metric == "iou"] == list(names)
    item: Measurement = next(item for item in items if item.metric == "fd_in_domain")
    assert (item.source_kind, item.train_steps, item.seed) == ("generator", 2, 0)
    assert (item.num_images, item.num_reference_images) == (4, 4)
    assert (item.dataset, item.split, item.height, item.width) == ("scenes", "val", 64, 64)
    for digest in (
        item.source_sha256, item.dataset_sha256, item.protocol_sha256, item.segmenter_sha256,
        item.features_sha256, item.train_config_sha256, item.job_sha256, item.reference_sha256,
    ):  # fmt: skip
        assert digest is not None
        assert len(digest) == 64
    assert item.parameters
    assert "torch" in item.versions
    assert any("in-domain" in note for note in item.notes)
    assert any("far too few" in note for note in item.notes)
    assert any("perceptual loss" in note for note in item.notes)


def test_the_written_images_score_bitwise_the_same(benchmark_in: Make, trained_in: Make) -> None:
    benchmark = trained_in()
    folder = benchmark.place.run_folder / "images" / "spade"
    again = benchmark_in()
    assert again.run(Request(("spade",), images={"mine": folder})) == ["mine"]
    assert numbers(again, "mine") == numbers(again, "spade")
    assert numbers(again, "mine") != numbers(again, "oracle")


def test_the_written_checkpoint_scores_bitwise_the_same(trained_in: Make) -> None:
    benchmark = trained_in()
    file = checkpoint_of(benchmark, "pix2pixhdpp")
    benchmark.run(Request((), checkpoints={"mine": file}))
    assert numbers(benchmark, "mine") == numbers(benchmark, "pix2pixhdpp")
    mine = next(item for item in benchmark.store if item.source == "mine")
    assert (mine.source_kind, mine.checkpoint_rule) == ("checkpoint", "last")


def test_real_photos_are_at_distance_zero_and_the_oracle_is_not(trained_in: Make) -> None:
    benchmark = trained_in()
    # Rounding of float64 sums of squares of order 1.
    assert numbers(benchmark, "real")["fd_in_domain", None] == pytest.approx(0, abs=1e-9)
    assert numbers(benchmark, "oracle")["fd_in_domain", None] > 1e-6


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("moment", ["training", "scoring", "between images and records"])
def test_a_killed_run_ends_with_the_same_records(
    benchmark_in: Make, trained_in: Make, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = lasting(trained_in("whole"))
    with monkeypatch.context() as patch:
        _kill(patch, moment)
        with pytest.raises(Killed):
            benchmark_in("killed").run(Request(("spade",)))
    killed = benchmark_in("killed")
    assert [item.source for item in killed.store][:1] == ["real"], "what was recorded is kept"
    assert "spade" not in {item.source for item in killed.store}
    assert killed.run(Request(("spade",))) == ["spade"]
    assert lasting(killed) == [item for item in whole if item["source"] not in MODELS[1:]]


def _kill(patch: pytest.MonkeyPatch, moment: str) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    if moment == "training":
        original = engine.train_generator

        def train(config: object, *arguments: object) -> Path:
            from spade_eval.models.training.trainer import Trainer

            step = Trainer.step

            def second_dies(self: Trainer, batch: object, number: int) -> dict[str, Tensor]:
                return step(self, batch, number) if number == 0 else die()  # type: ignore[arg-type,return-value]

            patch.setattr(Trainer, "step", second_dies)
            return original(config, *arguments)  # type: ignore[arg-type]

        patch.setattr(engine, "train_generator", train)
    elif moment == "scoring":
        patch.setattr(SynthesizedByCheckpoint, "floats", die)
    else:
        append = RecordStore.append

        def only_others(self: RecordStore, items: list[Measurement]) -> None:
            append(self, items) if items[0].source != "spade" else die()

        patch.setattr(RecordStore, "append", only_others)


def test_another_configuration_does_not_mix_into_a_run(
    benchmark_in: Make, trained_in: Make
) -> None:
    trained_in("run")
    with pytest.raises(UserError, match=r"another configuration.*--out"):
        benchmark_in("run", seed=1).run(Request())


def test_a_name_is_one_row(trained_in: Make, tmp_path: Path) -> None:
    benchmark = trained_in()
    folder = benchmark.place.run_folder / "images" / "spade"
    with pytest.raises(UserError, match="'spade' is taken"):
        benchmark.run(Request(("spade",), images={"spade": folder}))
    with pytest.raises(UserError, match="'real' is taken"):
        benchmark.run(Request((), images={"real": folder}))


def test_changed_images_are_scored_again(trained_in: Make, tmp_path: Path) -> None:
    benchmark = trained_in()
    folder = tmp_path / "mine"
    shutil.copytree(benchmark.place.run_folder / "images" / "oracle", folder)
    assert benchmark.run(Request(images={"mine": folder})) == ["mine"]
    assert benchmark.run(Request(images={"mine": folder})) == []
    Image.new("RGB", (64, 64)).save(next(folder.iterdir()))
    assert benchmark.run(Request(images={"mine": folder})) == ["mine"]


def test_a_generator_that_gives_nan_is_named(trained_in: Make) -> None:
    benchmark = trained_in()
    file = checkpoint_of(benchmark, "concat")
    # Every weight is finite, so the file opens; the root of such a variance is not.
    weights = {
        name: -tensor.abs() - 1 if name.endswith("running_var") else tensor
        for name, tensor in load_weights(file).items()
    }
    broken = file.with_name("broken.safetensors")
    save_network(broken, weights, load_description(file))
    recorded = benchmark.store.path.read_bytes()
    with pytest.raises(UserError, match=r"mine: the image synthesized for \S+ holds NaN"):
        benchmark.run(Request((), checkpoints={"mine": broken}))
    assert benchmark.store.path.read_bytes() == recorded


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["train"].update(dataset="cocostuff"), "choose the matching --dataset"),
        (lambda d: d["layout"].update(edges=False), "has 16 channels, its network 17"),
        (lambda d: d["config"].update(concat=True), "does not fit the network"),
        (lambda d: d["config"].update(base_channels=9**9), "base_channels is 387420489, expected"),
        (lambda d: d["config"].pop("spectral"), "lacks or adds spectral"),
        (lambda d: d.update(network="unheard of"), "names the network 'unheard of'"),
        (lambda d: d.update(format=0), "format 0"),
        (lambda d: d.pop("notes"), "expected format 1 with"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    trained_in: Make, change: Callable[[dict], object], message: str
) -> None:
    benchmark = trained_in()
    file = checkpoint_of(benchmark, "spade")
    description = load_description(file)
    change(description)
    other = file.with_name("other.safetensors")
    save_network(other, load_weights(file), description)
    with pytest.raises(UserError, match=message):
        benchmark.run(Request((), checkpoints={"mine": other}))


def test_missing_files_are_named_before_anything_is_computed(
    benchmark_in: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.Benchmark, "_measure", lambda *_: pytest.fail("computed"))
    for request in (
        Request((), checkpoints={"mine": tmp_path / "no.safetensors"}),
        Request((), images={"mine": tmp_path / "none"}),
        Request(("spad",)),
    ):
        with pytest.raises(UserError):
            benchmark_in().run(request)
    assert not benchmark_in().place.run_folder.exists()


def test_synthesized_images_are_truncated_to_8_bit_like_the_release(benchmark_in: Make) -> None:
    from spade_eval.batches import to_8_bit, to_unit_range

    protocol = benchmark_in().protocol
    values = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, -2.0]).view(1, 1, 1, 7)
    expected = [np.clip((v + 1) / 2 * 255, 0, 255) for v in values.flatten().tolist()]
    assert to_8_bit(to_unit_range(values), protocol).flatten().tolist() == [
        int(value) for value in expected
    ]


def test_the_generator_is_scored_in_evaluation_mode(trained_in: Make) -> None:
    benchmark = trained_in()
    source = SynthesizedByCheckpoint(
        "x", checkpoint_of(benchmark, "spade"), benchmark.dataset, benchmark.protocol,
        torch.device("cpu"),
    )  # fmt: skip
    assert isinstance(source.generator, nn.Module)
    assert not source.generator.training
    samples = [benchmark.dataset[index] for index in range(4)]
    together = source.floats(range(4), samples)
    alone = torch.cat([source.floats([i], samples[i : i + 1]) for i in range(4)])
    # Kernels of another batch size may round differently.
    assert (together - alone).abs().max() <= 1 / 255


def test_one_image_has_no_distance_and_is_refused_before_any_is_made(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    benchmark.count = 1
    with pytest.raises(UserError, match="at least 2 images, but 1 is scored; give --limit 2"):
        benchmark.run(Request())
    assert not (benchmark.place.run_folder / "images").exists()
    assert not list(benchmark.store)
    benchmark.dataset = Scenes("val", (64, 64), length=1)
    del benchmark.panel
    with pytest.raises(UserError, match=r"the split holds no more: .* --fid-profile none"):
        benchmark.run(Request())


def test_label_maps_photos_and_class_names_are_there_for_a_gallery(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    benchmark.run(Request())
    run = benchmark.place.run_folder
    for row in (LABEL_MAP_FOLDER, "real", "oracle"):
        assert len(list((run / "images" / row).glob("*.png"))) == benchmark.count
    names = [item["name"] for item in json.loads((run / "classes.json").read_text())]
    assert tuple(names) == benchmark.dataset.label_space.class_names


def test_the_speed_of_a_generator_is_recorded(trained_in: Make) -> None:
    benchmark = trained_in()
    speeds = {item.source: item.images_per_second for item in benchmark.store}
    assert speeds["real"] is None
    assert speeds["concat"] is not None
    assert speeds["concat"] > 0


def test_who_is_at_work_on_a_row_is_named(trained_in: Make) -> None:
    benchmark = trained_in()
    folder, world = benchmark.place.run_folder, benchmark.place.world
    before = benchmark.store.path.read_bytes()
    with at_work(folder, ["spade_batch"], world):
        for make in (lambda: benchmark.run(Request(("spade_batch",))),
                     lambda: benchmark.train("spade_batch")):  # fmt: skip
            with pytest.raises(
                UserError, match=rf"process {os.getpid()} on .*since .*--out"
            ) as told:
                make()
            assert f"at work on spade_batch in {folder}" in str(told.value)
        # Recorded rows, and other rows, as of the jobs of a table, are in nobody's way.
        assert benchmark.run(Request(MODELS)) == []
        assert benchmark.store.path.read_bytes() == before
        with at_work(folder, ["spade"], world):
            pass
    assert benchmark.run(Request(("spade_batch",))) == ["spade_batch"]


def test_a_row_that_another_run_recorded_meanwhile_is_not_measured_again(
    trained_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = trained_in()
    records = benchmark.store.path.read_bytes()
    benchmark.store.path.unlink()

    def late(*arguments: object) -> AbstractContextManager[None]:
        benchmark.store.path.write_bytes(records)  # by who was at work when this run looked
        return at_work(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "at_work", late)
    assert benchmark.run(Request(MODELS)) == []
    assert benchmark.store.path.read_bytes() == records


def test_a_recorded_run_needs_no_place_for_locks(trained_in: Make) -> None:
    benchmark = trained_in()
    shutil.rmtree(benchmark.place.run_folder / "locks")
    assert benchmark.run(Request(MODELS)) == []
    assert not (benchmark.place.run_folder / "locks").exists()


def test_a_folder_that_cannot_be_written_needs_no_lock(
    trained_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = trained_in().place
    monkeypatch.setattr(os, "access", lambda *_: False)
    with at_work(place.run_folder, ["new"], place.world):
        assert not (place.run_folder / "locks" / "new.lock").exists()
