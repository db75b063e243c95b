# SPDX-License-Identifier: Apache-2.0
"""Multiplications, against counts by hand."""

import pytest
import torch
from torch import nn

from spade_eval.models.cost import multiplications
from spade_eval.models.systems.presets import GENERATORS, build_generator, preset_of
from spade_eval.models.systems.scaling import network_config


def billions(name: str) -> float:
    """Of ADE20K's generator at full width, for 256x256."""
    preset = preset_of(name)
    with torch.device("meta"):
        network = preset.network(network_config(preset, 151))
    counted = multiplications(preset.system, network, (256, 256))
    assert counted is not None
    return counted / 1e9


def test_a_look_up_multiplies_nothing() -> None:
    assert billions("clade") == billions("decoder_batch")
    assert billions("clade") < billions("clade_icpe") < 1.0001 * billions("clade")
    assert billions("spade") > 4 * billions("clade")


def by_hand(network: nn.Module) -> int:
    """Every weight of a convolution once a pixel: 2x2 at the start, five times doubled."""
    counted = 0
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            place, _, rest = name.partition(".")
            block = int(rest.partition(".")[0]) if place == "blocks" else 6 * (place == "to_rgb")
            size = 2 * 2 ** sum(number <= block for number in (1, 3, 4, 5, 6))
            weight = getattr(module, "weight_orig", module.weight)
            counted += weight.numel() * size**2
    return counted


@pytest.mark.parametrize("name", ["spade", "clade", "clade_icpe", "decoder_weight"])
def test_they_are_counted_as_the_equations_stand(name: str) -> None:
    """Fast forms, batches seen before and training mode change nothing; nothing is computed."""
    edges = name.startswith("clade")
    fast = build_generator(name, 7, (64, 64), width=1 / 16, edges=edges).train()
    before = {key: tensor.clone() for key, tensor in fast.state_dict().items()}
    preset = preset_of(name)
    assert multiplications(preset.system, fast, (64, 64)) == by_hand(preset.network(fast.config))
    assert fast.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in fast.state_dict().items())


@pytest.mark.parametrize("name", GENERATORS)
def test_every_row_is_counted(name: str) -> None:
    preset = GENERATORS[name]
    network = build_generator(name, 7, (64, 64), width=1 / 16)
    counted = multiplications(preset.system, network, (64, 64))
    assert counted is not None
    assert counted > 0


def test_every_step_of_a_sampling_is_counted() -> None:
    def counted(**settings: float) -> int:
        network = build_generator("sdm", 7, (64, 64), width=1 / 64, **settings)
        found = multiplications(GENERATORS["sdm"].system, network, (64, 64))
        assert found is not None
        return found

    once = counted(sampling_steps=2, guidance=1.0) // 2
    assert counted(sampling_steps=1000, guidance=1.0) == 1000 * once
    guided = counted(sampling_steps=1000, guidance=1.5) / 1000 / once
    assert 1.3 < guided < 2, "the decoder goes twice, the encoder once"


def test_a_network_that_needs_numbers_is_not_counted() -> None:
    preset = GENERATORS["spade"]
    network = build_generator("spade", 7, (64, 64), width=1 / 16)
    assert multiplications(preset.system, network, (40, 64)) is None
