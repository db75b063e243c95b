# SPDX-License-Identifier: Apache-2.0
"""Untrained networks to measure, in the dense form, which is the equations, or in the fast ones."""

import copy

import torch
from torch import Tensor, nn

from spade_eval.models.fast.accelerate import set_form
from spade_eval.models.semantics import SemanticMap

_CALIBRATION_PASSES = 2
_CONTRAST = 0.3  # standard deviation of the images, whose range is -1 to 1


def calibrate(generator: nn.Module, semantics: SemanticMap) -> None:
    """Running statistics, spectral norms and contrast as of a network in use: otherwise activations
    of random weights grow from layer to layer, or images are so flat that no form deviates."""
    for norm in generator.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.momentum = None  # the average of all passes, not mostly the initial values
    with torch.no_grad():
        for _ in range(_CALIBRATION_PASSES):
            generator.train()(semantics, *latent(generator, semantics))
        image = generator.eval()(semantics, *latent(generator, semantics))
        generator.to_rgb.weight.mul_(_CONTRAST / image.std())  # type: ignore[union-attr,operator]


def latent(generator: nn.Module, semantics: SemanticMap) -> tuple[Tensor, ...]:
    """What a generator takes besides the map: nothing, or zeros."""
    z_dim = getattr(generator.config, "z_dim", None)
    if z_dim is None:
        return ()
    return (torch.zeros(semantics.batch_size, z_dim, device=semantics.device),)


def take_form(network: nn.Module, *, fast: bool, compiled: bool = False) -> None:
    """Dense layers, or the fast ones that the rules choose; `compiled` fuses their last step."""
    set_form(network, "chosen" if fast else "dense", compiled=compiled)


def twin(
    generator: nn.Module, *, fast: bool, compiled: bool = False, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """A copy in one form; in float32 both have the same weights in memory."""
    tensors = [*generator.parameters(), *generator.buffers()] if dtype == torch.float32 else []
    network = copy.deepcopy(generator, {id(tensor): tensor for tensor in tensors}).to(dtype)
    take_form(network, fast=fast, compiled=compiled)
    return network
