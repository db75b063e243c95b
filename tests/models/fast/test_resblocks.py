# SPDX-License-Identifier: Apache-2.0
"""Norm and activation in one step, and whose memory they may use."""

import copy

import pytest
import torch
import torch.nn.functional as F

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.resblocks import activated_norm
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.norms import unconditional_norm
from spade_eval.models.layers.resblocks import SPADEResBlock
from spade_eval.models.layers.spade import norm_maker
from spade_eval.models.semantics import SemanticMap

SEMANTICS = SemanticMap(torch.zeros(2, 6, 7, dtype=torch.int64), SemanticLayout(num_classes=2))


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("kind", ["batch", "syncbatch"])
@torch.no_grad()
def test_fixed_batch_norm_and_activation_are_one_pass(kind: str, slope: float) -> None:
    """In place, and equal to torch's layers; nothing is written that the caller still needs."""
    torch.manual_seed(0)
    norm = unconditional_norm(kind, 5).eval()
    for values in (norm.weight, norm.bias, norm.running_mean):
        values.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 5, 6, 7).contiguous(memory_format=torch.channels_last)
    kept = x.clone()
    expected = F.leaky_relu(norm(x), slope)
    assert torch.equal(activated_norm(norm, x, SEMANTICS, slope, overwrite=False), expected)
    assert torch.equal(x, kept)
    actual = activated_norm(norm, x, SEMANTICS, slope, overwrite=True)
    assert actual.data_ptr() == x.data_ptr()
    # Two roundings of values of order one instead of three.
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0.0)


@torch.no_grad()
def test_batch_norm_in_training_is_never_folded() -> None:
    torch.manual_seed(0)
    norm = unconditional_norm("batch", 5).train()
    x = torch.randn(2, 5, 6, 7).contiguous(memory_format=torch.channels_last)
    expected = F.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
    assert torch.equal(activated_norm(norm, x, SEMANTICS, 1.0, overwrite=True), expected)


@torch.no_grad()
def test_a_block_leaves_its_input_alone_unless_told() -> None:
    torch.manual_seed(0)
    plain = SPADEResBlock(4, 3, norm_maker("spade", 2, hidden_channels=5), spectral=False).eval()
    block = accelerate(copy.deepcopy(plain), always=True)
    x = torch.randn(2, 4, 6, 7).contiguous(memory_format=torch.channels_last)
    kept, expected = x.clone(), plain(x, SEMANTICS)
    torch.testing.assert_close(block(x, SEMANTICS), expected, atol=2e-5, rtol=0.0)
    assert torch.equal(x, kept)
    block.overwrite = True
    torch.testing.assert_close(block(x, SEMANTICS), expected, atol=2e-5, rtol=0.0)
    assert not torch.equal(x, kept)
