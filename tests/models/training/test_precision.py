# SPDX-License-Identifier: Apache-2.0
"""Precision, memory format and accumulation: what each changes, and that each continues bitwise."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import batch_at, gan_loop, narrow, same_bits

from spade_eval.models.training.precision import tf32

WAYS: dict[str, dict[str, Any]] = {
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "channels-last": {"channels_last": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", ["spade", "spade_vae"])
def test_every_way_of_computing_continues_bitwise(tmp_path: Path, model: str, way: str) -> None:
    whole, first, second = (narrow(model, **WAYS[way]) for _ in range(3))
    gan_loop(whole, tmp_path / "whole").run()
    gan_loop(first, tmp_path / "parts", steps=2).run()
    gan_loop(second, tmp_path / "parts").run()
    assert same_bits(whole, second)
    assert not same_bits(whole, first)


def test_accumulation_continues_bitwise(tmp_path: Path) -> None:
    whole, first, second = narrow(), narrow(), narrow()
    gan_loop(whole, tmp_path / "whole", num_micro_batches=2).run()
    gan_loop(first, tmp_path / "parts", steps=2, num_micro_batches=2).run()
    gan_loop(second, tmp_path / "parts", num_micro_batches=2).run()
    assert same_bits(whole, second)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close_to_float32_and_not_equal(precision: str) -> None:
    plain, half = narrow(), narrow(precision=precision)
    expected, found = plain.step(batch_at(0), 0), half.step(batch_at(0), 0)
    for name, term in expected.items():
        assert found[name].dtype == torch.float32
        # bf16 has 8 bits: 0.4% a rounding, and some thirty layers of them.
        torch.testing.assert_close(found[name], term, rtol=0.05, atol=0.05)
    assert any(not torch.equal(found[name], term) for name, term in expected.items())
    dtypes = {p.dtype for p in half.system.generator.parameters()}
    assert dtypes == {torch.float32}, "weights stay in float32"


def test_an_overflow_leaves_the_step_out_and_halves_the_factor() -> None:
    training = narrow(precision="fp16", ema_decay=None)
    before = [p.detach().clone() for p in training.system.generator.parameters()]
    optimizer = training.optimizers["G"]
    optimizer.zero_grad()
    scale = optimizer.scaler.get_scale()
    sum(p.sum() for p in training.system.generator.parameters()).backward()
    next(training.system.generator.parameters()).grad.fill_(float("inf"))  # type: ignore[union-attr]
    optimizer.scaler.scale(torch.ones(()))
    optimizer.step()
    after = list(training.system.generator.parameters())
    assert all(torch.equal(p, old) for p, old in zip(after, before, strict=True))
    assert optimizer.scaler.get_scale() == scale / 2


def test_channels_last_gives_the_same_losses() -> None:
    plain, other = narrow(), narrow(channels_last=True)
    weights = [p for p in other.system.generator.parameters() if p.ndim == 4 and p.shape[-1] > 1]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    expected, found = plain.step(batch_at(0), 0), other.step(batch_at(0), 0)
    for name, term in expected.items():  # other kernels add in another order
        torch.testing.assert_close(found[name], term, rtol=1e-4, atol=1e-5)


def test_equal_micro_batches_are_one_batch_without_shared_statistics() -> None:
    """Instance norm and no spectral norm share nothing over a batch: 2 x 1 is 1 x 2."""
    whole, parts = (narrow("pix2pixhd", None, "instance") for _ in range(2))
    for training, count in ((whole, 1), (parts, 2)):
        training.optimizers["G"].zero_grad()
        training._update(training.updates["G"], batch_at(0, count), 0)
    pairs = zip(
        whole.system.generator.named_parameters(), parts.system.generator.parameters(), strict=True
    )
    compared = 0
    for (name, expected), found in pairs:
        assert expected.grad is not None
        if name.endswith("bias"):  # before a norm its gradient is rounding noise
            continue
        # Sums of another order, through some twenty instance norms.
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5)
        compared += 1
    assert compared > 10


def test_tf32_is_switched_inside_and_restored_even_after_an_error() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    for allowed in (True, False):
        with pytest.raises(AssertionError, match="inside"), tf32(allowed):
            assert (matmul.allow_tf32, cudnn.allow_tf32) != (allowed, allowed), "inside"
        assert (matmul.allow_tf32, cudnn.allow_tf32) == before


@pytest.mark.parametrize("way", WAYS)
def test_a_step_leaves_no_global_state_changed(way: str) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.is_autocast_enabled("cpu"),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_rng_state().sum().item(),
        )

    training, before = narrow(**WAYS[way]), state()
    training.step(batch_at(0), 0)
    assert state() == before


@pytest.mark.slow
def test_a_compiled_training_is_saved_uncompiled_and_continues_bitwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiler's last stage needs a C++ compiler and half a minute; the others are tried here.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain = narrow()
    whole, first, second = (narrow(compile=True) for _ in range(3))
    assert whole.system.generator._compiled_call_impl is not None
    gan_loop(whole, tmp_path / "whole").run()
    gan_loop(first, tmp_path / "parts", steps=2).run()
    gan_loop(second, tmp_path / "parts").run()
    assert same_bits(whole, second)
    assert list(whole.system.generator.state_dict()) == list(plain.system.generator.state_dict())
    assert list(whole.system.discriminator.state_dict()) == list(
        plain.system.discriminator.state_dict()
    )
    expected, found = plain.step(batch_at(0), 0), narrow(compile=True).step(batch_at(0), 0)
    for name, term in expected.items():  # the same kernels, partly decomposed
        torch.testing.assert_close(found[name], term, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "fp16"])
def test_measuring_gradients_changes_no_bit_and_gives_their_norm(precision: str) -> None:
    """Also where fp16 holds them times a factor."""
    plain, measured = narrow(precision=precision), narrow(precision=precision)
    measured.measures_gradients = lambda done: done == 2
    before: dict[str, list[torch.Tensor]] = {}

    def noted(name: str) -> Any:
        optimizer = measured.optimizers[name]
        own, factor = optimizer.gradient_norm, optimizer.scaler.get_scale()

        def gradient_norm(parameters: Any) -> torch.Tensor:
            given = list(parameters)
            before[name] = [p.grad.detach() / factor for p in given if p.grad is not None]
            return own(given)

        return gradient_norm

    for step in range(3):
        if step == 1:
            for name, optimizer in measured.optimizers.items():
                optimizer.gradient_norm = noted(name)  # type: ignore[method-assign]
        plain.step(batch_at(step), step)
        measured.step(batch_at(step), step)
        assert bool(measured.gradient_norms) == (step >= 1)
    assert same_bits(plain, measured)
    assert plain.gradient_norms == {}
    for name, norm in measured.gradient_norms.items():
        squares = sum(gradient.double().square().sum() for gradient in before[name])
        # float32 sums of some thousand squares
        assert norm.item() == pytest.approx(float(squares) ** 0.5, rel=1e-5)
