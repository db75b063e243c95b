# SPDX-License-Identifier: Apache-2.0
"""Fast forms of networks that never learn: batch norms folded into the convolutions before them.

With running statistics a batch norm is a factor and an offset of each channel, which the
convolution's weight and bias can hold (Jacob et al., CVPR 2018, Sec. 3.2). Images and gradients
are the same but for rounding; the network can no longer be saved under its own keys.
"""

from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spade_eval.models.losses.efficientnet_lite0 import Block, EfficientNetLite0

Network = TypeVar("Network", bound=nn.Module)

# Who holds which convolutions and the norms behind them, by attribute.
_PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    EfficientNetLite0: (("_conv_stem", "_bn0"), ("_conv_head", "_bn1")),
    Block: (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")),
}


def folded(network: Network) -> Network:
    """Fold the norms of a frozen network in place, kernels stored channels last.

    Parts that are not known here stay as they are.
    """
    for module in list(network.modules()):
        for kind, pairs in _PAIRS.items():
            if isinstance(module, kind):
                _fold(module, pairs)
    return network.to(memory_format=torch.channels_last)


def _fold(module: nn.Module, pairs: tuple[tuple[str, str], ...]) -> None:
    for convolution, norm in pairs:
        if hasattr(module, convolution):  # the first block does not widen
            both = getattr(module, convolution), getattr(module, norm)
            setattr(module, convolution, fuse_conv_bn_eval(*both).requires_grad_(False))
            setattr(module, norm, nn.Identity())
