# SPDX-License-Identifier: Apache-2.0
"""What an image costs a generator: the multiplications of its convolutions and linear layers."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.labels import Size
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import System


def multiplications(system: type[System], network: nn.Module, size: Size) -> int | None:
    """Count those of one image of `size`, as the equations stand and without computing any.

    What is done pixel by pixel (normalising, modulating, activations, look-ups) is left out. None
    for a network that cannot be run without numbers.
    """
    meta = torch.device("meta")
    config, times = system.fewest_passes(network.config)
    try:
        with meta:
            plain = type(network)(config).eval()  # without fast forms, which count otherwise
        semantics = SemanticMap.from_tensor(
            torch.empty(1, config.num_labels, *size, device=meta),
            lambda: torch.empty(1, 2, *size, device=meta),
        )
        noise = Noise.of_images(0, [0], device=meta)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            system.synthesized_by(plain, Inputs(semantics, noise))
    except (RuntimeError, ValueError, NotImplementedError):
        return None
    return int(counter.get_total_flops() * times) // 2  # it counts additions as well
