# SPDX-License-Identifier: Apache-2.0
"""Fast forms of networks that never learn: batch norms folded into the convolutions before them.

With running statistics a batch norm is a factor and an offset of each channel, which the
convolution's weight and bias can hold (Jacob et al., CVPR 2018, Sec. 3.2). Images and gradients
are the same but for rounding; the network can no longer be saved under its own keys.

Which norm directly follows which convolution is known of an `nn.Sequential`, and of a module that
says so: its `norms_after` are pairs of attributes, convolution and norm. Nothing is guessed.
"""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)
# Below a module of any other library nothing is changed: what reads its parts is not known here.
_KNOWN = ("spade_eval", "torch", "torchvision", "pytorch_fid")


def folded(network: Network) -> Network:
    """Fold the norms of a frozen network in place, kernels stored channels last.

    Parts that are not known here stay as they are.
    """
    for module in list(known_modules(network)):
        for convolution, norm in _pairs(module):
            _fold(module, convolution, norm)
    for module in known_modules(network):
        if isinstance(module, _ConvNd):
            module.to(memory_format=torch.channels_last)
    return network


def known_modules(network: nn.Module) -> Iterator[nn.Module]:
    """Yield a network and its parts, but for those of libraries whose use of them is not known."""
    if type(network).__module__.partition(".")[0] in _KNOWN:
        yield network
        for child in network.children():
            yield from known_modules(child)


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    if type(module).forward is nn.Sequential.forward:
        return list(pairwise(module._modules))  # all of them: `named_children` names each once
    return list(getattr(module, "norms_after", ()))


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    first, second = getattr(module, convolution, None), getattr(module, norm, None)
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
        # In float64: a factor of a channel that was rounded would move all of its values.
        both = copy.deepcopy(first).double(), copy.deepcopy(second).double()
        fused = fuse_conv_bn_eval(*both).to(first.weight.dtype)
        setattr(module, convolution, fused.requires_grad_(False))
        setattr(module, norm, nn.Identity())
