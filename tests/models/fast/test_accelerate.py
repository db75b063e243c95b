# SPDX-License-Identifier: Apache-2.0
"""The door: what `accelerate` changes in a network, and what it leaves."""

import copy

import pytest
import torch
from torch import Tensor, nn

from spade_eval.models.checkpoints.description import describe
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.resblocks import FastConvNorm, FastSPADEResBlock
from spade_eval.models.fast.semantic_convolution import FastSemanticConv2d
from spade_eval.models.fast.spade import FastSPADE
from spade_eval.models.fast.spectral import FoldedSpectralNorm
from spade_eval.models.fast.winograd import FastConv2d
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator
from spade_eval.models.generators.spade import SPADEGenerator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.norms import ConditionalNorm
from spade_eval.models.layers.resblocks import SPADEResBlock
from spade_eval.models.layers.spade import SPADE, norm_maker
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator
from spade_eval.models.training.sync_batch_norm import AllReduceBatchNorm2d, synchronise_batch_norm

LAYOUT = SemanticLayout(num_classes=3)
CPU = torch.device("cpu")
NETWORKS = {
    "spade": lambda: SPADEGenerator(SPADEGenerator.Config(num_labels=3, base_channels=2)),
    "pix2pixhdpp_spade": lambda: Pix2PixHDGenerator(
        Pix2PixHDGenerator.Config(num_labels=3, base_channels=2, norm="spade", spectral=True)
    ),
    "pix2pixhdpp_concat": lambda: Pix2PixHDGenerator(
        Pix2PixHDGenerator.Config(num_labels=3, base_channels=2, norm="syncbatch", concat=True)
    ),
}


def _network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]()


def _semantics() -> SemanticMap:
    labels = torch.arange(2)[:, None, None].expand(2, 32, 64).clone()
    labels[:, 8:, 20:] = 2
    return SemanticMap(labels, LAYOUT)


def _kinds(network: nn.Module) -> set[type]:
    hooks = {type(h) for layer in network.modules() for h in layer._forward_pre_hooks.values()}
    return {type(layer) for layer in network.modules()} | hooks


def test_every_layer_gets_its_twin() -> None:
    assert _kinds(accelerate(_network("spade"))) >= {
        FastSPADE, FastSPADEResBlock, FastSemanticConv2d, FastConv2d, FoldedSpectralNorm,
    }  # fmt: skip
    assert _kinds(accelerate(_network("pix2pixhdpp_spade"))) >= {
        FastSPADE, FastConvNorm, FastSemanticConv2d, FastConv2d, FoldedSpectralNorm,
    }  # fmt: skip
    network = accelerate(_network("spade"))
    assert type(network.stem) is type(network.to_rgb) is nn.Conv2d


@pytest.mark.parametrize("name", NETWORKS)
def test_tensors_keys_and_descriptions_stay(name: str) -> None:
    network = _network(name)
    described, before = describe(network), network.state_dict(keep_vars=True)
    after = accelerate(network).state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[key] is before[key] for key in before)
    assert describe(network) == described


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_copies_states_and_synchronised_norms(name: str) -> None:
    """An accelerated network is copied, saved into a plain one, and synchronised as any other."""
    network = accelerate(_network(name), always=True)
    network.train()(_semantics())
    plain, twin = _network(name), copy.deepcopy(network).eval()
    plain.load_state_dict(network.state_dict())
    expected = plain.eval()(_semantics())
    assert torch.equal(twin(_semantics()), network.eval()(_semantics()))
    torch.testing.assert_close(twin(_semantics()), expected, atol=2e-5, rtol=0.0)
    twin.load_state_dict({key: 2 * value for key, value in network.state_dict().items()})
    assert not torch.equal(twin(_semantics()), network(_semantics()))
    synchronise_batch_norm(network, CPU)
    assert AllReduceBatchNorm2d in _kinds(network)
    torch.testing.assert_close(network(_semantics()), expected, atol=2e-5, rtol=0.0)


def test_a_second_call_sets_the_options_anew() -> None:
    layer = accelerate(accelerate(_network("spade"), always=True, compiled=True))
    for module in layer.modules():
        if isinstance(module, (FastSPADE, FastConv2d)):
            assert not module.always
        if isinstance(module, FastSPADE):
            assert not module.compiled


class _OwnNorm(ConditionalNorm):
    """What somebody adds: no fast form knows of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_scale = nn.Conv2d(3, channels, 3, padding=1)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        return x * self.to_scale(semantics.at((x.shape[-2], x.shape[-1])))


class _OwnSPADE(SPADE):
    """A layer that inherits from one with a twin, and computes something else."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 3, hidden_channels=4)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        return 1 - super().forward(x, semantics)


@pytest.mark.parametrize("norm", [_OwnNorm, _OwnSPADE])
@torch.no_grad()
def test_a_norm_without_a_twin_is_what_it_was(norm: type[nn.Module]) -> None:
    torch.manual_seed(0)
    block = SPADEResBlock(4, 6, norm, spectral=False).eval()
    x = torch.randn(2, 4, 32, 64)
    expected = block(x, _semantics())
    actual = accelerate(block, always=True)(x, _semantics())
    assert type(block.norm_0) is norm
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=0.0)


@torch.no_grad()
def test_what_is_compiled_is_dense() -> None:
    """Otherwise every batch would be compiled anew, for its number of windows; the same bits."""
    torch.manual_seed(0)
    block = SPADEResBlock(4, 6, norm_maker("spade", 3, hidden_channels=5), spectral=False).eval()
    x = torch.randn(2, 4, 32, 64)
    expected = block(x, _semantics())
    accelerate(block, always=True)
    assert not torch.equal(block(x, _semantics()), expected)
    assert torch.equal(torch.compile(block, backend="eager")(x, _semantics()), expected)


def test_new_generators_are_accelerated() -> None:
    assert FastSPADE in _kinds(build_generator("spade", 3, width=1 / 16))
