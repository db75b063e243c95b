# SPDX-License-Identifier: Apache-2.0
"""Strict loading: what is forgiven, and that everything else is named in one message."""

import pytest
import torch
from torch import Tensor, nn

from spade_eval.segmenters.loading import load_strict, state_dict_in


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def weights() -> dict[str, Tensor]:
    """A state dict of `network` without step counters."""
    generator = torch.Generator().manual_seed(0)
    shapes = {name: t.shape for name, t in network().state_dict().items() if t.ndim}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def assert_loaded(module: nn.Module) -> None:
    state = module.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights().items())
    assert state["1.num_batches_tracked"] == 0


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_counters_may_be_missing(device: str) -> None:
    module = network().to(device)
    load_strict(module, weights())
    assert_loaded(module)
    assert not any(tensor.is_meta for tensor in module.state_dict().values())


def test_leftovers_of_training_are_dropped() -> None:
    leftovers = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")
    module = network()
    load_strict(module, {**weights(), **{f"1.{name}": torch.ones(1) for name in leftovers}})
    assert_loaded(module)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_wrapped_and_prefixed(key: str) -> None:
    module = network()
    prefixed = {f"_orig_mod.module.{name}": tensor for name, tensor in weights().items()}
    load_strict(module, {key: prefixed, "epoch": 3})
    assert_loaded(module)


def test_renamed() -> None:
    module = network()
    old = {f"old.{name}": tensor for name, tensor in weights().items()}
    load_strict(module, old, lambda state: {name[4:]: tensor for name, tensor in state.items()})
    assert_loaded(module)


def test_half_precision_files_become_float32() -> None:
    module = network()
    load_strict(module, {name: tensor.half() for name, tensor in weights().items()})
    assert module[0].weight.dtype == torch.float32


def test_all_problems_in_one_message() -> None:
    state = weights()
    del state["0.bias"]
    state |= {"2.weight": torch.ones(1), "1.bias": torch.ones(5)}
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ValueError, match="do not fit") as caught:
        load_strict(module, state)
    message = str(caught.value)
    assert "1 missing: 0.bias" in message
    assert "1 unexpected: 2.weight" in message
    assert "1 of wrong shape: 1.bias (5,) instead of (4,)" in message
    assert "\n" not in message
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


@pytest.mark.parametrize("checkpoint", [{}, {"epoch": 3}, {"state_dict": {}}])
def test_no_state_dict(checkpoint: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a state dict"):
        state_dict_in(checkpoint)
