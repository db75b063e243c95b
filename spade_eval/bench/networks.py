# SPDX-License-Identifier: Apache-2.0
"""Untrained networks to measure, in the dense form, which is the equations, or in the fast ones."""

import copy

import torch
from torch import Tensor, nn

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import System
from spade_eval.models.systems.presets import system_of
from spade_eval.models.training.precision import as_channels_last

_CALIBRATION_PASSES = 2
_CONTRAST = 0.3  # standard deviation of the images, whose range is -1 to 1


def calibrate(generator: nn.Module, semantics: SemanticMap) -> None:
    """Set running statistics, spectral norms and contrast as of a network in use.

    Otherwise activations of random weights grow from layer to layer, or images are so flat that no
    form deviates.
    """
    for norm in generator.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.momentum = None  # the average of all passes, not mostly the initial values
    with torch.no_grad():
        for _ in range(_CALIBRATION_PASSES):
            synthesized(generator.train(), semantics)
        image = synthesized(generator.eval(), semantics)
        generator.to_rgb.weight.mul_(_CONTRAST / image.std())  # type: ignore[union-attr,operator]


def synthesized(
    network: nn.Module, semantics: SemanticMap, system: type[System] | None = None
) -> Tensor:
    """Synthesize images as the network's method does; `system` where the network is wrapped."""
    noise = Noise.of_images(0, range(semantics.batch_size), device=semantics.device)
    inputs = Inputs(semantics, noise.to(semantics.device, semantics.dtype))
    return (system or system_of(network)).synthesized_by(network, inputs)


def twin(
    generator: nn.Module,
    *,
    fast: bool,
    compiled: bool = False,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    always: bool = False,
) -> nn.Module:
    """Copy a generator or a layer, plain as it is or with fast forms, `always` where they can be.

    In float32 and the usual order in memory they share their weights.
    """
    shares = dtype == torch.float32 and not channels_last
    tensors = [*generator.parameters(), *generator.buffers()] if shares else []
    network = copy.deepcopy(generator, {id(tensor): tensor for tensor in tensors}).to(dtype)
    if channels_last:
        as_channels_last(network)
    return accelerate(network, always=always, compiled=compiled) if fast else network
