# SPDX-License-Identifier: Apache-2.0
import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.spectral import is_spectral, spectral_norm


def _conv() -> nn.Conv2d:
    torch.manual_seed(0)
    return spectral_norm(nn.Conv2d(3, 4, 3))


def _power_iteration(weight: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    matrix = weight.flatten(1)
    v = F.normalize(matrix.T @ u, dim=0, eps=1e-12)
    return F.normalize(matrix @ v, dim=0, eps=1e-12), v


def test_training_iterates_once_v_before_u_and_eval_never() -> None:
    conv = _conv()
    x = torch.ones(1, 3, 5, 5)
    weight = conv.weight_orig.detach()
    u, v = _power_iteration(weight, conv.weight_u.clone())
    y = conv(x)
    torch.testing.assert_close(conv.weight_u, u)
    torch.testing.assert_close(conv.weight_v, v)
    torch.testing.assert_close(y, F.conv2d(x, weight / (u @ weight.flatten(1) @ v), conv.bias))
    conv.eval()
    before = conv.weight_u.clone(), conv.weight_v.clone()
    conv(x)
    assert torch.equal(before[0], conv.weight_u)
    assert torch.equal(before[1], conv.weight_v)


def test_keys_are_the_published_ones() -> None:
    assert set(_conv().state_dict()) == {"bias", "weight_orig", "weight_u", "weight_v"}
    assert is_spectral(_conv())
    assert not is_spectral(nn.Conv2d(1, 1, 1))


def test_copies_while_a_graph_is_alive() -> None:
    conv = _conv()
    loss = conv(torch.ones(1, 3, 5, 5)).sum()
    twin = copy.deepcopy(conv)
    loss.backward()
    assert conv.weight_orig.grad is not None
    assert twin.weight_orig.grad is None
