# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spade_eval.models.initialisation import initialise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.layers.norms import (
    AdaptiveInstanceNorm,
    LocalBatchNorm2d,
    ShiftExactInstanceNorm2d,
    unconditional_norm,
)
from spade_eval.models.layers.resblocks import SPADEResBlock
from spade_eval.models.layers.spade import SPADE, norm_maker
from spade_eval.models.layers.spectral import is_spectral
from spade_eval.models.layers.weight_norm import is_weight_normed, weight_norm
from spade_eval.models.semantics import SemanticMap


def test_spade_is_the_equation_at_every_pixel() -> None:
    """Eq. 1 written out: (x - mean_c) / std_c * (1 + gamma) + beta in training mode."""
    layer = SPADE(3, 4, kernel_size=3, hidden_channels=5)
    labels = torch.randint(0, 4, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    semantics = SemanticMap(labels, SemanticLayout(num_classes=4))
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    hidden = F.relu(F.conv2d(semantics.full, *layer.mlp_shared[0].parameters(), padding=1))
    gamma = F.conv2d(hidden, layer.mlp_gamma.weight, layer.mlp_gamma.bias, padding=1)
    beta = F.conv2d(hidden, layer.mlp_beta.weight, layer.mlp_beta.bias, padding=1)
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = x.var((0, 2, 3), keepdim=True, correction=0)
    expected = (x - mean) / (variance + 1e-5).sqrt() * (1 + gamma) + beta
    torch.testing.assert_close(layer(x, semantics), expected)


def test_adaptive_instance_norm_is_the_equation() -> None:
    layer = AdaptiveInstanceNorm(3, style_channels=4)
    style = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(1))
    normalised = (x - x.mean((2, 3), keepdim=True)) / (
        x.var((2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    scale, shift = layer.to_scale(style), layer.to_shift(style)
    expected = normalised * scale[..., None, None] + shift[..., None, None]
    actual = layer(x, SemanticMap.from_tensor(style[..., None, None]))
    torch.testing.assert_close(actual, expected)


def test_exact_instance_norm_keeps_zeros_and_equals_the_plain_one() -> None:
    exact = ShiftExactInstanceNorm2d()
    constant = torch.full((1, 2, 7, 9), 0.1)
    assert not exact(constant).any()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    # Rounding of the two ways to centre the values.
    torch.testing.assert_close(exact(x), F.instance_norm(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 16), (5, 1)])
def test_group_norm_fits_every_width(channels: int, groups: int) -> None:
    norm = unconditional_norm("group", channels)
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == groups


def test_layer_norm_spans_channels_and_pixels() -> None:
    x = 3 + 2 * torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    y = unconditional_norm("layer", 4)(x)
    torch.testing.assert_close(y.mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var((1, 2, 3), correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_local_response_is_the_equation() -> None:
    """Krizhevsky et al., 2012, Sec. 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75."""
    x = 100 * torch.randn(2, 7, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(x)
    for channel in range(7):
        near = x[:, max(0, channel - 2) : channel + 3]
        expected[:, channel] = x[:, channel] / (2 + 1e-4 * near.square().sum(1)) ** 0.75
    torch.testing.assert_close(unconditional_norm("local_response", 7)(x), expected)


@pytest.mark.parametrize(
    "conv", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 3)], ids=["conv", "transposed"]
)
def test_weight_norm_has_a_norm_and_a_direction_for_each_output(conv: nn.Module) -> None:
    """Salimans & Kingma, 2016, Eq. 2."""
    layer = weight_norm(conv)
    initialise(layer, "as_trained", seed=0)
    assert is_weight_normed(layer)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    assert g.numel() == 5
    other = tuple(axis for axis in range(4) if g.shape[axis] == 1)
    expected = g * v / v.square().sum(other, keepdim=True).sqrt()
    torch.testing.assert_close(layer.weight, expected)
    fan_in = 3 * 3 * 3 if isinstance(conv, nn.Conv2d) else 5 * 3 * 3
    deviation = (2 / (1 + 0.2**2) / fan_in) ** 0.5
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.2), "what was drawn"


def test_weight_norm_takes_the_place_of_both_other_norms() -> None:
    block = SPADEResBlock(4, 6, norm_maker("weight", 3), spectral=True)
    assert all(is_weight_normed(conv) for conv in (block.conv_0, block.conv_1, block.conv_s))
    assert not any(is_spectral(module) for module in block.modules())
    assert [type(norm) for norm in (block.norm_0, block.norm_1, block.norm_s)] == [nn.Identity] * 3
    plain = SPADEResBlock(4, 6, norm_maker("batch", 3), spectral=True)
    assert not any(is_weight_normed(module) for module in plain.modules())


def test_local_and_synchronised_batch_norm_are_told_apart() -> None:
    assert type(SPADE(3, 4, param_free="syncbatch").param_free_norm) is nn.BatchNorm2d
    assert type(SPADE(3, 4, param_free="batch").param_free_norm) is LocalBatchNorm2d


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of instance, batch, syncbatch"):
        SPADE(3, 4, param_free="power")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one of spade, batch"):
        unconditional_norm("power", 3)  # type: ignore[arg-type]
