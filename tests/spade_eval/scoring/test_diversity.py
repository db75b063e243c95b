# SPDX-License-Identifier: Apache-2.0
"""Diversity through the whole engine: several latents, what is left out, what is recorded."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_description, load_weights, save_network
from spade_eval.rows import Request
from spade_eval.scoring import diversity as module
from spade_eval.scoring.diversity import Comparison, open_comparisons
from spade_eval.weights import ALEXNET, LPIPS_LINEAR

CPU = torch.device("cpu")


def mean_difference(samples: torch.Tensor) -> torch.Tensor:
    first, second = torch.triu_indices(len(samples), len(samples), offset=1)
    return (samples[first] - samples[second]).abs().mean(dim=(1, 2, 3))


def with_samples(benchmark: Benchmark, samples: int) -> Benchmark:
    return Benchmark(dataclasses.replace(benchmark.config, samples=samples), benchmark.place)


def test_latent_models_vary_and_others_do_not(
    benchmark_in: Callable[..., Benchmark], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = Comparison("lpips_diversity", mean_difference, "mean difference", "0" * 64)
    monkeypatch.setattr("spade_eval.scoring.recording.open_comparisons", lambda *_: [comparison])
    benchmark = with_samples(benchmark_in(), 3)
    request = Request(("spade",), {"varied": loud(benchmark.train("spade_random"))})
    benchmark.run(request)
    found = {item.source: item for item in benchmark.store if item.metric == "lpips_diversity"}
    assert set(found) == {"spade", "varied"}, "real photos and the oracle are no generators"
    assert found["spade"].value == 0
    assert found["varied"].value is not None
    assert found["varied"].value > 0
    assert found["varied"].num_samples == 3
    assert found["varied"].features == "mean difference"
    assert benchmark.run(request) == []


def loud(checkpoint: Path) -> Path:
    """Its first layer enlarged: after two steps 8 bit would not show a latent's effect."""
    weights = load_weights(checkpoint)
    weights["stem.weight"] = 1e4 * weights["stem.weight"]
    weights["to_rgb.weight"] = 1e3 * weights["to_rgb.weight"]
    target = checkpoint.with_name("loud.safetensors")
    save_network(target, weights, load_description(checkpoint))
    return target


def test_damaged_lpips_weights_are_refused_before_a_segmenter_is_there(
    benchmark_in: Callable[..., Benchmark], tmp_path: Path
) -> None:
    for file in (ALEXNET, LPIPS_LINEAR):
        path = tmp_path / file.file_name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"damaged")
    benchmark = with_samples(benchmark_in(), 2)
    place = dataclasses.replace(benchmark.place, weights_dir=tmp_path)
    benchmark = Benchmark(benchmark.config, place)
    with pytest.raises(UserError, match=ALEXNET.file_name):
        benchmark.run(Request())
    assert "segmenter" not in vars(benchmark.networks), "refused after work"


def test_what_cannot_be_computed_is_said(benchmark_in: Callable[..., Benchmark]) -> None:
    benchmark = with_samples(benchmark_in(), 2)
    benchmark.run(Request())
    notes = {note for item in benchmark.store for note in item.notes}
    assert any("LPIPS diversity is left out" in note for note in notes)
    assert any("MS-SSIM diversity is left out: images of 64x64" in note for note in notes)


def test_one_sample_has_no_pairs(
    benchmark_in: Callable[..., Benchmark], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = Comparison("lpips_diversity", mean_difference)
    monkeypatch.setattr("spade_eval.scoring.recording.open_comparisons", lambda *_: [comparison])
    with pytest.raises(UserError, match="expected at least 2"):
        with_samples(benchmark_in(), 1).run(Request(("spade",)))


@pytest.mark.parametrize(("size", "expected"), [((160, 300), []), ((161, 300), ["ms_ssim"])])
def test_ms_ssim_needs_its_five_scales(
    tmp_path: Path, size: tuple[int, int], expected: list[str]
) -> None:
    found = [comparison.metric for comparison in open_comparisons(size, tmp_path, CPU)]
    found = [name for name in found if name != "st_lpips_diversity"]  # where its extra is there
    assert found == [f"{name}_diversity" for name in expected]


def test_the_draws_of_an_image_differ_and_the_first_is_the_scored_one(
    benchmark_in: Callable[..., Benchmark],
) -> None:
    from spade_eval.models.inputs import Noise

    first, second = (Noise.of_images(1, [5], draw).normal("z", 8) for draw in (0, 1))
    assert torch.equal(first, Noise.of_images(1, [5]).normal("z", 8))
    assert not torch.equal(first, second)
    assert module.LEAST_SIDE == 161
