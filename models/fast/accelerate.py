# SPDX-License-Identifier: Apache-2.0
"""Which form the layers of a network take: as the rules choose, or always one, for comparisons."""

from torch import nn

from spade_eval.models.fast.convolution import Conv2d, Form
from spade_eval.models.layers.resblocks import ConvNorm, SPADEResBlock
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.layers.spectral import FoldedSpectralNorm


def set_form(network: nn.Module, form: Form, *, compiled: bool = False) -> None:
    """Dense is the equations as written, with spectral norm divided out in every forward.

    Chosen is what a new network does; fast takes the fast forms at every size. `compiled` lets
    torch.compile fuse the last step of fast SPADE layers, where gradients are off.
    """
    for layer in network.modules():
        if isinstance(layer, (SPADE, Conv2d, ConvNorm, SPADEResBlock)):
            layer.form = form
        if isinstance(layer, SPADE):
            layer.compiled = compiled
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, FoldedSpectralNorm):
                hook.fold = form != "dense"
