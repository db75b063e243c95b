# SPDX-License-Identifier: Apache-2.0
"""Multiplications, against counts by hand and those that CLADE's paper prints."""

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


def test_clade_and_spade_cost_what_is_printed() -> None:
    """Tan et al. print 42.2 and 181.3 billion."""
    assert billions("clade") == pytest.approx(42.2, abs=0.05)
    assert billions("spade") == pytest.approx(181.3, abs=0.2)
    assert billions("clade") == billions("decoder_batch"), "a look-up multiplies nothing"
    assert billions("clade") < billions("clade_icpe") < 1.0001 * billions("clade")


def test_they_are_counted_as_the_equations_stand() -> None:
    """Fast forms, batches seen before and training mode change nothing; nothing is computed."""
    fast = build_generator("spade", 7, (64, 64), width=1 / 16).train()
    before = {name: tensor.clone() for name, tensor in fast.state_dict().items()}
    counted = multiplications(GENERATORS["spade"].system, fast, (64, 64))
    convolutions, size = 0, 2
    preset = preset_of("spade")
    plain = preset.network(fast.config)
    sizes: dict[nn.Module, int] = {}
    for name, module in plain.named_modules():
        if isinstance(module, nn.Conv2d):
            parts = name.split(".")
            doubled = (1, 3, 4, 5, 6)
            block = int(parts[1]) if parts[0] == "blocks" else 6 if parts[0] == "to_rgb" else -1
            sizes[module] = size * 2 ** sum(number <= block for number in doubled)
            convolutions += module.weight_orig.numel() * sizes[module] ** 2 if hasattr(
                module, "weight_orig"
            ) else module.weight.numel() * sizes[module] ** 2  # fmt: skip
    assert counted == convolutions
    assert fast.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in fast.state_dict().items())


@pytest.mark.parametrize("name", GENERATORS)
def test_every_row_is_counted(name: str) -> None:
    preset = GENERATORS[name]
    network = build_generator(name, 7, (64, 64), width=1 / 16)
    counted = multiplications(preset.system, network, (64, 64))
    assert counted is not None
    assert counted > 0


def test_a_network_that_needs_numbers_is_not_counted() -> None:
    preset = GENERATORS["spade"]
    network = build_generator("spade", 7, (64, 64), width=1 / 16)
    assert multiplications(preset.system, network, (40, 64)) is None
