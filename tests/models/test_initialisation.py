# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from torch import nn

from spade_eval.models.initialisation import Scheme, initialise
from spade_eval.models.layers.diffusion import ZeroConv1d, ZeroConv2d
from spade_eval.models.layers.spectral import spectral_norm
from spade_eval.models.systems.presets import build_generator


def _network() -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(64, 64, 3)), nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64)
    )


@pytest.mark.parametrize("scheme", ["as_printed", "as_trained", "pix2pixhd", "normal"])
def test_spreads_of_the_schemes(scheme: Scheme) -> None:
    network = _network()
    initialise(network, scheme, seed=0)
    fan = 64 * 9
    glorot, default = 0.02 * math.sqrt(2 / (fan + fan)), 1 / math.sqrt(3 * fan)
    plain = {"as_printed": glorot, "as_trained": glorot}.get(scheme, 0.02)
    spectral = {"as_printed": glorot, "as_trained": default}.get(scheme, 0.02)
    # 36,864 draws: the deviation is known to half a percent.
    assert network[0].weight_orig.std().item() == pytest.approx(spectral, rel=0.03)
    assert network[1].weight.std().item() == pytest.approx(plain, rel=0.03)
    assert network[1].bias.any() == (scheme == "pix2pixhd")
    assert network[2].weight.mean().item() == pytest.approx(1.0, abs=0.02)
    assert not network[2].bias.any()
    assert network[0].weight_u.norm().item() == pytest.approx(1.0)


def test_pytorch_s_defaults_with_zeros_where_a_network_ends() -> None:
    generator = build_generator("sdm", 7, width=0.25, seed=0)
    fan, default = 64 * 9, 1 / math.sqrt(3 * 64 * 9)
    first = generator.unet.encoder[1][0]
    assert first.conv_in.weight.std().item() == pytest.approx(default, rel=0.03)
    assert first.conv_in.bias.abs().max().item() <= 1 / math.sqrt(fan)
    assert first.conv_in.bias.any()
    assert (first.norm_in.weight == 1).all()
    zeros = [m for m in generator.modules() if isinstance(m, ZeroConv1d | ZeroConv2d)]
    assert len(zeros) == 1 + 42 + 16, "the last one, one of each block, one of each attention"
    assert not any(weight.any() for layer in zeros for weight in layer.parameters())


def test_head_of_the_released_network_keeps_pytorchs_default() -> None:
    """The deviations that were measured on the published code: 0.0120 against 0.00042 at f 64."""
    generator = build_generator("spade", 7, width=0.25, seed=0)
    fan = 256 * 9
    assert generator.blocks[0].conv_0.weight_orig.std().item() == pytest.approx(
        1 / math.sqrt(3 * fan), rel=0.01
    )


def test_earlier_values_do_not_matter() -> None:
    first, second = _network(), _network()
    initialise(first, "as_trained", seed=5)
    initialise(second, "as_trained", seed=5)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


def test_meta_modules_are_refused() -> None:
    with torch.device("meta"):
        network = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match="meta device"):
        initialise(network, "as_trained", seed=0)
