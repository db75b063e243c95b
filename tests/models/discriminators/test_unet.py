# SPDX-License-Identifier: Apache-2.0
"""OASIS's discriminator: sizes, counts, released names; its numbers are in tests/reference."""

import pytest
import torch

from spade_eval.models.checkpoints.published import load_published_network, to_published
from spade_eval.models.discriminators.unet import UNetDiscriminator

SMALL = UNetDiscriminator.Config(num_labels=4, base_channels=2)


@pytest.mark.parametrize(
    ("num_labels", "parameters"), [(151, 22_258_904), (183, 22_260_984), (35, 22_251_364)]
)
def test_parameters_are_those_of_the_release(num_labels: int, parameters: int) -> None:
    with torch.device("meta"):
        network = UNetDiscriminator(UNetDiscriminator.Config(num_labels=num_labels))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == 130


def test_every_pixel_gets_logits_of_fake_and_all_labels() -> None:
    network = UNetDiscriminator(SMALL)
    logits = network(torch.rand(2, 3, 64, 128))
    assert logits.shape == (2, 5, 64, 128)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("size", [(32, 64), (64, 96)])
def test_sides_that_cannot_be_halved_six_times_are_refused(size: tuple[int, int]) -> None:
    height, width = size
    with pytest.raises(ValueError, match=f"size is {height} x {width}, expected multiples of 64"):
        UNetDiscriminator(SMALL)(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("spectral", [True, False])
def test_a_released_file_is_recognised_and_comes_back(spectral: bool) -> None:
    config = UNetDiscriminator.Config(num_labels=4, base_channels=2, spectral=spectral)
    network = UNetDiscriminator(config).eval()
    tensors = to_published(network)
    first = "weight_orig" if spectral else "weight"
    assert {f"body_down.0.conv1.0.{first}", f"body_down.3.conv1.1.{first}",
            f"body_up.5.conv1.2.{first}", f"body_up.0.conv2.1.{first}",
            f"body_down.2.conv_s.{first}", "layer_up_last.bias"} <= set(tensors)  # fmt: skip
    again = load_published_network(tensors)
    assert again.config == config
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(image), network(image))
