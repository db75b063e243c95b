# SPDX-License-Identifier: Apache-2.0
"""The door to the fast forms: layers become their fast twins, which compute the same."""

from typing import TypeVar

from torch import nn
from torch.nn.utils.spectral_norm import SpectralNorm

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.fast.attention import FastAttention
from spade_eval.models.fast.clade import FastCLADE
from spade_eval.models.fast.discriminators import FastMultiscaleDiscriminator
from spade_eval.models.fast.frozen import folded, known_modules
from spade_eval.models.fast.frozen_convolution import FrozenConv2d
from spade_eval.models.fast.onednn import DirectConv2d
from spade_eval.models.fast.resblocks import FastConvNorm, FastSPADEResBlock
from spade_eval.models.fast.semantic_convolution import FastSemanticConv2d
from spade_eval.models.fast.spade import FastSPADE
from spade_eval.models.fast.spectral import FoldedSpectralNorm
from spade_eval.models.fast.winograd import FastConv2d
from spade_eval.models.generators.spade import SPADEGenerator
from spade_eval.models.layers.clade import CLADE
from spade_eval.models.layers.diffusion import Attention
from spade_eval.models.layers.resblocks import ConvNorm, SPADEResBlock
from spade_eval.models.layers.semantic_convolution import SemanticConv2d
from spade_eval.models.layers.spade import SPADE

Network = TypeVar("Network", bound=nn.Module)

_TWINS: dict[type[nn.Module], type[nn.Module]] = {
    SPADE: FastSPADE,
    CLADE: FastCLADE,
    Attention: FastAttention,
    SPADEResBlock: FastSPADEResBlock,
    ConvNorm: FastConvNorm,
    SemanticConv2d: FastSemanticConv2d,
    MultiscaleDiscriminator: FastMultiscaleDiscriminator,
}


def accelerate(network: Network, *, always: bool = False, compiled: bool = False) -> Network:
    """Give the layers of a network their fast forms, in place; parameters, buffers and keys stay.

    Which form a layer then takes is a function of the batch; with `always` it is the fast one
    wherever that exists. `compiled` lets torch.compile fuse the last step of SPADE layers, where
    gradients are off. A whole network is compiled after this call. Layers without a fast twin stay
    as they are, subclasses of those above too.
    """
    for module in list(network.modules()):
        _give_twin(module)
    for module in network.modules():
        if isinstance(module, (FastSPADE, FastConv2d, FastMultiscaleDiscriminator)):
            module.always = always
        if isinstance(module, FastSPADE):
            module.compiled = compiled
        if type(module) is SPADEGenerator:  # a chain: nobody else reads what goes into a block
            for block in module.blocks:
                if isinstance(block, FastSPADEResBlock):
                    block.overwrite = True
    return network


def accelerate_frozen(network: Network, *, gradients: bool = False) -> Network:
    """Give a network that never learns its fast form, in place: it loses its own keys.

    With `gradients`, which somebody wants through it, norms are folded and convolutions are direct
    ones: what is computed with and without a gradient has the same bits. Parts of other libraries
    stay as they are.
    """
    for module in known_modules(folded(network)):
        if type(module) is nn.Conv2d:
            module.__class__ = DirectConv2d if gradients else FrozenConv2d
    return network


def _give_twin(module: nn.Module) -> None:
    module.__class__ = _TWINS.get(type(module), type(module))
    for hook in module._forward_pre_hooks.values():
        if type(hook) is SpectralNorm:
            hook.__class__ = FoldedSpectralNorm
    # A network's own convolutions, before and after its blocks, stay torch's: few, and unmeasured.
    if isinstance(module, (FastSPADE, FastSPADEResBlock, FastConvNorm)):
        for layer in module.modules():
            if type(layer) is nn.Conv2d:
                layer.__class__ = FastConv2d
