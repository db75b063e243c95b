# SPDX-License-Identifier: Apache-2.0
"""Every preset trains: one step on the CPU, its checkpoint written, opened and complete."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval.engine import Benchmark
from spade_eval.models.checkpoints.files import load_description, load_weights
from spade_eval.models.generators import GENERATORS
from spade_eval.models.inputs import LatentSource, noise
from spade_eval.rows import Request

Make = Callable[..., Benchmark]


@pytest.mark.slow
@pytest.mark.parametrize("model", GENERATORS)
def test_every_preset_takes_its_steps(benchmark_in: Make, model: str) -> None:
    checkpoint = benchmark_in().train(model)
    weights = load_weights(checkpoint)
    assert weights
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    description = load_description(checkpoint)
    assert description["model"] == model
    assert description["train"]["steps"] == 2
    encoder = checkpoint.with_name("encoder.safetensors")
    assert encoder.is_file() == (GENERATORS[model].latent == "encoder")


def test_a_latent_model_is_scored_with_its_noise_recorded(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    benchmark.run(Request(("spade_random",)))
    item = next(item for item in benchmark.store if item.source == "spade_random")
    assert any("latent z drawn from N(0, 1)" in note for note in item.notes)


def test_noise_is_a_function_of_seed_step_and_phase() -> None:
    first = noise(1, 2, 0, "generator", (4, 8))
    assert torch.equal(first, noise(1, 2, 0, "generator", (4, 8)))
    others = [noise(2, 2, 0, "generator", (4, 8)), noise(1, 3, 0, "generator", (4, 8)),
              noise(1, 2, 1, "generator", (4, 8)),
              noise(1, 2, 0, "discriminator", (4, 8))]  # fmt: skip
    assert not any(torch.equal(first, other) for other in others)
    # 10,000 draws: mean within 5 standard errors of 0.01, deviation likewise.
    many = noise(0, 0, 0, "generator", (100, 100))
    assert abs(many.mean()) < 0.05
    assert abs(many.std() - 1) < 0.05


def test_the_encoder_s_latents_carry_gradients_and_their_posterior() -> None:
    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return image.mean(dim=(2, 3)) * self.weight, torch.zeros(image.shape[0], 3)

    encoder = Encoder()
    photos = torch.ones(2, 3, 4, 4)
    latent = LatentSource(3, 5, encoder)(photos, 7, 0, "generator")
    assert latent.mu is not None
    # Log-variance 0: z is the mean plus the noise itself.
    torch.testing.assert_close(latent.z, latent.mu + noise(5, 7, 0, "generator", (2, 3)))
    latent.z.sum().backward()
    assert encoder.weight.grad is not None


def test_processes_share_out_the_noise_of_one() -> None:
    photos = torch.zeros(4, 3, 2, 2)
    whole = LatentSource(3, 5)(photos, 7, 1, "generator").z
    parts = [
        LatentSource(3, 5, rank=rank, world_size=2)(photos[:2], 7, 1, "generator").z
        for rank in range(2)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_a_variational_training_continues_bitwise(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spade_eval.models.training.gan import GANTraining

    whole = benchmark_in("whole").train("spade_vae")
    original = GANTraining.step

    def dies(self: GANTraining, batch: object, step: int) -> dict[str, torch.Tensor]:
        if step == 1:
            raise KeyboardInterrupt
        return original(self, batch, step)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(GANTraining, "step", dies)
        with pytest.raises(KeyboardInterrupt):
            benchmark_in("killed").train("spade_vae")
    killed = benchmark_in("killed").train("spade_vae")
    for name in ("generator.safetensors", "encoder.safetensors"):
        expected, found = (load_weights(Path(path).with_name(name)) for path in (whole, killed))
        assert all(torch.equal(expected[key], found[key]) for key in expected)
