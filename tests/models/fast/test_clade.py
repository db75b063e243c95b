# SPDX-License-Identifier: Apache-2.0
"""CLADE's fast form against the plain layer: values, gradients, and what it leaves alone."""

import copy

import pytest
import torch
from torch import Tensor

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.clade import FastCLADE
from spade_eval.models.fast.modulation import leaky_relu
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.clade import CLADE
from spade_eval.models.layers.norms import ParamFreeNorm
from spade_eval.models.semantics import SemanticMap

LAYOUT = SemanticLayout(num_classes=4, unknown="last", edges=True)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def semantics() -> SemanticMap:
    labels = torch.randint(0, 4, (2, 4, 6), generator=torch.Generator().manual_seed(0))
    labels[:, 0] = 255
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return SemanticMap(labels, LAYOUT, labels)


def pair(
    param_free: ParamFreeNorm, *, edges: bool, positional: bool = False
) -> tuple[CLADE, FastCLADE]:
    plain = CLADE(3, 5, param_free=param_free, edges=edges, positional=positional)
    with torch.no_grad():
        for number, tensor in enumerate(plain.state_dict().values()):
            if tensor.is_floating_point():
                tensor.copy_(numbers(*tensor.shape, seed=number).abs() + 0.1)
    fast = accelerate(copy.deepcopy(plain))
    assert type(fast) is FastCLADE
    return plain, fast


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("param_free", ["syncbatch", "batch", "instance"])
def test_values_and_gradients_are_equal(
    param_free: ParamFreeNorm, training: bool, edges: bool
) -> None:
    plain, fast = (layer.train(training) for layer in pair(param_free, edges=edges))
    results = []
    for layer in (plain, fast):
        x = numbers(2, 3, 8, 12, seed=9).requires_grad_()
        if layer is fast:
            y = fast.activated(x, semantics(), 0.2)
        else:
            y = leaky_relu(plain(x, semantics()), 0.2)
        (y * numbers(*y.shape, seed=10)).sum().backward()
        results.append([y, x.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    x = numbers(2, 3, 8, 12, seed=9)
    with torch.no_grad():
        kept = fast.eval()(x, semantics())
        torch.testing.assert_close(kept, plain.eval()(x, semantics()))
        assert torch.equal(x, numbers(2, 3, 8, 12, seed=9)), "nobody allowed that x is lost"
        torch.testing.assert_close(fast.activated(x, semantics(), overwrite=True), kept)


def test_layers_with_positions_and_soft_maps_stay_as_they_are() -> None:
    x = numbers(2, 3, 8, 12)
    plain, fast = pair("syncbatch", edges=True, positional=True)
    assert torch.equal(plain.eval()(x, semantics()), fast.eval()(x, semantics()))
    plain, fast = pair("syncbatch", edges=True)
    soft = SemanticMap.from_tensor(semantics().full)
    assert torch.equal(plain.eval()(x, soft), fast.eval()(x, soft))


def test_two_passes_give_the_same_bits() -> None:
    gradients = []
    for _ in range(2):
        _, fast = pair("syncbatch", edges=True)
        fast(numbers(2, 3, 8, 12), semantics()).square().sum().backward()
        gradients.append([parameter.grad for parameter in fast.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
