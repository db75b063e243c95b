# SPDX-License-Identifier: Apache-2.0
"""Networks as plain values: every class comes back from JSON, and damaged values are refused."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from spade_eval.models.checkpoints.description import describe, rebuild
from spade_eval.models.discriminators import MultiscaleDiscriminator
from spade_eval.models.discriminators.images import ImageDiscriminator
from spade_eval.models.discriminators.patch import PatchGANDiscriminator
from spade_eval.models.discriminators.unet import UNetDiscriminator
from spade_eval.models.encoders import ImageEncoder, InstanceFeatureEncoder
from spade_eval.models.systems.presets import GENERATORS, build_generator
from spade_eval.models.systems.presets import networks as known_networks


def networks() -> list[nn.Module]:
    return [
        *(build_generator(name, 7, (64, 64), width=1 / 32) for name in GENERATORS),
        MultiscaleDiscriminator(MultiscaleDiscriminator.Config(num_labels=7, base_channels=4)),
        PatchGANDiscriminator(PatchGANDiscriminator.Config(num_channels=6, base_channels=4)),
        ImageDiscriminator(ImageDiscriminator.Config(base_channels=2)),
        UNetDiscriminator(UNetDiscriminator.Config(num_labels=7, base_channels=2)),
        ImageEncoder(ImageEncoder.Config(base_channels=2, z_dim=4, input_size=64)),
        InstanceFeatureEncoder(InstanceFeatureEncoder.Config(base_channels=2)),
    ]


def test_every_network_comes_back_from_json() -> None:
    found = networks()
    assert {type(network) for network in found} == set(known_networks().values())
    for network in found:
        state = network.state_dict()
        again = rebuild(json.loads(json.dumps(describe(network))), state)
        assert again.config == network.config
        assert not again.training
        for name, tensor in again.state_dict().items():
            assert torch.equal(tensor, state[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_labels": "seven"}, "num_labels is 'seven', expected int"),
        ({"num_labels": -1}, "num_labels is -1"),
        ({"base_channels": 1 << 40}, "base_channels is 1099511627776"),
        ({"image_size": [64, 1e9]}, "image_size is"),
        ({"norm": "surprise"}, "surprise"),
        ({"upsampling": "few"}, "upsampling is 'few', expected one of normal, more, most"),
        ({"surprise": 1}, "lacks or adds surprise"),
        ({"base_channels": 3}, "does not fit the network"),
        ({"z_dim": 8}, "does not fit the network"),
    ],
)
def test_a_damaged_configuration_is_refused(change: dict[str, Any], message: str) -> None:
    network = build_generator("spade", 7, width=1 / 32)
    described = describe(network)
    described["config"] |= change
    with pytest.raises(ValueError, match=message):
        rebuild(described, network.state_dict())


@pytest.mark.parametrize("described", [{}, {"network": "os.system"}, {"network": ["a"]}])
def test_another_class_is_refused(described: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="known: SPADEGenerator"):
        rebuild(described, {})
