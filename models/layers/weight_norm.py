# SPDX-License-Identifier: Apache-2.0
"""Weight normalisation: the convolutions are normalised in place of what they compute.

Salimans & Kingma, "Weight Normalization", NeurIPS 2016, Eq. 2: w = g v / |v|, with one norm g for
each output channel. A network with this "norm" has none between its convolutions, and its
convolutions have no spectral norm, which would fix g.
"""

from collections.abc import Callable

from torch import nn
from torch.nn.utils import parametrizations, parametrize

from spade_eval.models.layers.spectral import spectral_norm


def convolution_norm(norm: nn.Module, *, spectral: bool) -> Callable[[nn.Module], nn.Module]:
    """Return what wraps the convolutions that stand beside a layer of `norm_maker`."""
    if isinstance(norm, nn.Identity):  # what the kind "weight" makes
        return weight_norm
    return spectral_norm if spectral else lambda conv: conv


def weight_norm(layer: nn.Module) -> nn.Module:
    """Normalise the weight of a convolution or linear layer by output channel."""
    outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    return parametrizations.weight_norm(layer, dim=outputs)


def is_weight_normed(layer: nn.Module) -> bool:
    """Return whether the layer's weight is made of a norm and a direction."""
    return parametrize.is_parametrized(layer, "weight")
