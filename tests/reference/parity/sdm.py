# SPDX-License-Identifier: Apache-2.0
"""SDM's U-Net and its chain of a few steps, run by the authors' code."""

import itertools
import re
from typing import Any

import torch
from parity.case import DEVICE, TOLERANCE, Case, on_device
from parity.fill import draw
from torch import Tensor

from spade_eval.models.generators.sdm import SDMGenerator, without_labels
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

# What the notes on the reference data suggest of the chain: each of its steps divides a difference
# by the root of the share of the photo that is left, which is 1/150 at the first.
_CHAIN_TOLERANCE = 2e-4


def _config(case: Case) -> SDMGenerator.Config:
    options = case.options
    always = ("learn_sigma", "use_scale_shift_norm", "resblock_updown", "no_instance")
    assert all(options[name] for name in always), "what is published"
    assert options["noise_schedule"] == "linear"
    pixels = map(int, options["attention_resolutions"].split(","))
    return SDMGenerator.Config(
        num_labels=options["num_classes"],
        base_channels=options["num_channels"],
        multipliers=tuple(map(int, options["channel_mult"].split(","))),
        num_blocks=options["num_res_blocks"],
        attention_at=tuple(options["image_size"] // side for side in pixels),
        head_channels=options["num_head_channels"],
        training_steps=options["diffusion_steps"],
        sampling_steps=int(options["timestep_respacing"]),
        guidance=case.meta["guidance_s"],
    )


def _strided(image: Tensor, stored: Any) -> Tensor:
    stride = image.shape[-1] // stored.shape[-1]
    return image[:, :, ::stride, ::stride]


def check_network_and_chain(case: Case) -> None:
    network = SDMGenerator(_config(case))
    case.prepare(network)
    layout = SemanticLayout(num_classes=case.options["num_classes"])
    semantics = SemanticMap(case.tensor("label").long(), layout)
    x, t = case.normal_input(), torch.tensor([case.meta["timestep"]], device=DEVICE)
    chain = network.diffusion.respaced(network.config.sampling_steps)
    assert chain.timesteps.tolist() == case.meta["timestep_map"]
    with torch.no_grad():
        runs = {
            "output": network.unet(x, t, semantics),
            "output_zero_condition": network.unet(x, t, without_labels(semantics)),
        }
        for name, output in runs.items():
            stored = case.arrays[name]
            case.close(name, _strided(output, stored), stored, TOLERANCE)
        final, seen = _sampled(network, semantics, case)
    for name, image in (("sample_first", seen[1]), ("sample_final", final)):
        stored = case.arrays[name]
        case.close(name, _strided(image, stored), stored, _CHAIN_TOLERANCE)


def _sampled(
    network: SDMGenerator, semantics: SemanticMap, case: Case
) -> tuple[Tensor, list[Tensor]]:
    """The image, and the noisy ones that the network saw on the way."""
    (tag,) = re.findall(r"'normal:(\w+)_n'", case.meta["input_rule"])
    x, numbers, seen = case.normal_input(), itertools.count(), []

    def noise(name: str) -> Tensor:
        if name == "x_T":
            return x
        return on_device(draw(f"normal:{tag}_{next(numbers)}", tuple(x.shape)))

    first = network.unet.encoder[0][0]  # type: ignore[index]
    hook = first.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    image = network(semantics, noise)
    hook.remove()
    return image, seen
