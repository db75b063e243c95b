# SPDX-License-Identifier: Apache-2.0
"""One pass from label map to scores gives the bits of the three steps that it replaces."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spade_eval.batches import semantic_map
from spade_eval.bench.score import Untrained, untrained
from spade_eval.cli import options
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.models.choices import Precision
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.systems.presets import system_of
from spade_eval.rows import Request
from spade_eval.scoring.scorer import Scorer
from spade_eval.segmenters.in_domain import InDomainFeatures, InDomainSegmenter, logits_and_features
from spade_eval.sources import image_files
from spade_eval.sources.image_files import ImageWriter
from spade_eval.sources.source import SynthesizedFolder
from spade_eval.sources.synthesis import HalfPrecision, SynthesizedByCheckpoint

Make = Callable[..., Benchmark]


@pytest.fixture
def scorer(benchmark_in: Make) -> Scorer:
    """Four scenes in batches of three, so that the last one is smaller."""
    found = benchmark_in().networks.scorer
    protocol = dataclasses.replace(found.protocol, batch_size=3)
    return dataclasses.replace(found, protocol=protocol)


@pytest.fixture
def source(scorer: Scorer) -> Untrained:
    return untrained(scorer, "spade", width=1 / 16)


def test_an_image_on_the_device_is_the_saved_png_bit_for_bit(
    scorer: Scorer, source: Untrained, tmp_path: Path
) -> None:
    images = []
    with ImageWriter(tmp_path, None) as writer:
        for batch in scorer.batches(source):
            images.append(batch.images)
            writer.write(batch.indices, batch.samples, batch.images)
    together = torch.cat(images).permute(0, 2, 3, 1).numpy()
    for image, name in zip(together, scorer.dataset.names, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{name}.png")), image)
    assert together.std() > 5, "flat images would agree in any case"


def test_one_pass_is_the_three_steps(scorer: Scorer, source: Untrained, tmp_path: Path) -> None:
    references = scorer.references()
    with ImageWriter(tmp_path, None) as writer:
        once = scorer.score(source, references, writer)
    read = SynthesizedFolder("read", tmp_path, scorer.dataset, scorer.count, "none")
    segmented = dataclasses.replace(scorer, distances=()).score(read, {})
    (distance,) = scorer.distances
    features = scorer.features_of(read, distance)
    assert segmented.numbers.items() <= once.numbers.items()
    assert once.per_class() == segmented.per_class()
    assert np.array_equal(once.per_image.intersection, segmented.per_image.intersection)
    made = once.features[distance.column]
    assert made.features is not None
    assert features.features is not None
    assert torch.equal(made.features, features.features)
    compared = distance.compare(references[distance.column], features)
    assert {name: once.numbers[name] for name in compared} == compared
    assert set(once.numbers) == {*segmented.numbers, *compared}


def test_segmenter_and_features_share_an_encoder(scorer: Scorer) -> None:
    network = scorer.segmenter.network
    assert isinstance(network, InDomainSegmenter)
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, features = logits_and_features(network, images)
        assert torch.equal(logits, network(images))
        assert torch.equal(features, InDomainFeatures(network)(images))


def test_the_encoder_runs_once_a_batch(
    scorer: Scorer, source: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = scorer.references()
    calls, encode = [], InDomainSegmenter.encode

    def counted(self: InDomainSegmenter, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        calls.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(InDomainSegmenter, "encode", counted)
    scorer.score(source, references)
    assert calls == [3, 1]
    calls.clear()
    # Another network for the features: both have to be run.
    other = InDomainFeatures(InDomainSegmenter(InDomainSegmenter.Config(num_classes=16)).eval())
    distances = (dataclasses.replace(scorer.distances[0], network=other),)
    apart = dataclasses.replace(scorer, distances=distances)
    apart.score(source, apart.references())
    assert calls == [3, 1, 3, 3, 1, 1]


def test_reading_and_writing_have_threads_of_their_own(
    scorer: Scorer, source: Untrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[int]] = {"reads": set(), "computes": set(), "writes": set()}

    def marked(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            threads[what].add(threading.get_ident())
            return function(*given)

        return call

    dataset = type(scorer.dataset)
    monkeypatch.setattr(dataset, "__getitem__", marked("reads", dataset.__getitem__))
    monkeypatch.setattr(source, "floats", marked("computes", source.floats))
    monkeypatch.setattr(image_files, "write_images", marked("writes", image_files.write_images))
    with ImageWriter(tmp_path, None) as writer:
        for batch in scorer.batches(source):
            writer.write(batch.indices, batch.samples, batch.images)
    assert threads["computes"] == {threading.get_ident()}
    assert len(set.union(*threads.values())) == 3


def test_batches_up_to_an_image_keep_their_batch_mates(scorer: Scorer, source: Untrained) -> None:
    assert [batch.indices for batch in scorer.batches(source)] == [range(3), range(3, 4)]
    assert [batch.indices for batch in scorer.batches(source, wanted=range(2))] == [range(3)]
    assert list(scorer.batches(source, wanted=range(0))) == []


def test_a_distance_on_floats_takes_the_images_that_were_made(
    trained_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = trained_in()
    checkpoint = benchmark.train("concat")
    made = SynthesizedByCheckpoint(
        "x", checkpoint, benchmark.dataset, benchmark.protocol, torch.device("cpu")
    )
    calls = []
    forward = made.generator.forward
    monkeypatch.setattr(
        made.generator, "forward", lambda *given: calls.append(1) or forward(*given)
    )
    entered = []
    (distance,) = benchmark.networks.scorer.distances
    network = lambda images: entered.append(images) or images.flatten(1)[:, :4]  # noqa: E731
    network.feature_dim = 4
    on_floats = dataclasses.replace(
        distance,
        metric="fid",
        network=network,
        profile=FID_PROFILES["oasis-train"],
        kind="inception",
    )
    scorer = dataclasses.replace(benchmark.networks.scorer, distances=(on_floats,))
    references = scorer.references()
    entered.clear()
    batches = len(list(scorer.batches(made)))
    assert len(calls) == batches
    scorer.score(made, references)
    assert len(calls) == len(entered) + batches == 2 * batches
    images = torch.cat([batch.images for batch in scorer.batches(made)])
    floats = torch.cat(entered)
    assert torch.equal((floats * 255).clamp(0, 255).to(torch.uint8), images)
    assert not torch.equal(floats, images.float() / 255)
    folder = SynthesizedFolder(
        "x", written(images, benchmark), benchmark.dataset, benchmark.count, "none"
    )
    with pytest.raises(UserError, match="holds 8-bit images, but this FID profile scores a gen"):
        scorer.score(folder, references)


def written(images: Tensor, benchmark: Benchmark) -> Path:
    folder = benchmark.place.run_folder / "written"
    samples = [benchmark.dataset[index] for index in range(len(images))]
    image_files.write_images(folder, samples, images)
    return folder


def files(benchmark: Benchmark, row: str) -> dict[str, bytes]:
    folder = benchmark.place.run_folder / "images" / row
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def keeping(benchmark: Benchmark, count: int | None) -> Benchmark:
    return Benchmark(benchmark.config, dataclasses.replace(benchmark.place, save_images=count))


def test_images_are_kept_as_asked_and_later_ones_are_the_same(benchmark_in: Make) -> None:
    whole = keeping(benchmark_in("whole"), None)
    whole.run(Request(("concat",)))
    assert len(files(whole, "concat")) == 4
    none = keeping(benchmark_in("later"), 0)
    none.run(Request(("concat",)))
    assert not (none.place.run_folder / "images").exists()
    recorded = none.store.path.read_bytes()
    for count in (1, None):
        later = keeping(none, count)
        assert later.run(Request(("concat",))) == []
        for row in ("concat", "real", "oracle", "label map"):
            expected = list(files(whole, row).items())[:count]
            assert list(files(later, row).items()) == expected
    assert none.store.path.read_bytes() == recorded
    assert not files(later, "grey")


def test_half_precision_is_marked_with_its_deviation(trained_in: Make) -> None:
    benchmark = trained_in()
    half = Benchmark(
        dataclasses.replace(benchmark.config, synthesis_precision="bf16"),
        dataclasses.replace(benchmark.place, run_folder=benchmark.place.run_folder / "half"),
    )
    half.run(Request(("spade",)))
    notes = {item.source: item.notes for item in half.store}
    (note,) = [text for text in notes["spade"] if "bf16" in text]
    assert "levels from float32 on average" in note
    assert not any("bf16" in text for text in notes["real"])
    jobs = [
        next(item.job_sha256 for item in run.store if item.source == "spade")
        for run in (benchmark, half)
    ]
    assert jobs[0] != jobs[1]
    assert not any("precision" in text for item in benchmark.store for text in item.notes)


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.2), ("fp16", 0.02)])
def test_the_deviation_of_half_precision_is_measured(
    scorer: Scorer, source: Untrained, precision: Precision, most: float
) -> None:
    """bf16 has 8 significant bits and fp16 has 11; a network of 20 layers loses some of them."""
    half = HalfPrecision(system_of(source.generator), source.generator, precision)
    semantics = [
        semantic_map([scorer.dataset[index]], source.layout, scorer.device) for index in range(2)
    ]
    with torch.inference_mode():
        noise = Noise.of_images(0, [0], 0, scorer.device)
        images = [half(Inputs(item, noise)) for item in semantics]
        exact = source.generator(semantics[0], None)
    difference = (images[0] - exact).abs()
    assert images[0].dtype == torch.float32
    assert 0 < difference.max() < most
    mean, largest = (127.5 * value for value in (difference.mean(), difference.max()))
    assert f"{mean:.2f} of 255 levels" in half.note("x"), "of the first batch, not of the second"
    assert f"{largest:.1f} at most" in half.note("x")
    assert all(weight.dtype == torch.float32 for weight in source.generator.parameters())


@pytest.mark.parametrize(("text", "count"), [("all", None), ("none", 0), ("12", 12)])
def test_how_many_images(text: str, count: int | None) -> None:
    assert options.number_of_images(text) == count


def test_a_wrong_number_of_images() -> None:
    with pytest.raises(UserError, match="expected all, none or a number"):
        options.number_of_images("some")
