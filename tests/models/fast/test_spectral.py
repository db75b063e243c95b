# SPDX-License-Identifier: Apache-2.0
"""The divided weight is kept, and never when it is out of date."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.spectral import FoldedSpectralNorm
from spade_eval.models.layers.spectral import spectral_norm


def test_folded_weight_follows_every_change() -> None:
    torch.manual_seed(0)
    conv = accelerate(spectral_norm(nn.Conv2d(3, 4, 3))).eval()
    x = torch.ones(1, 3, 5, 5)

    def expected() -> Tensor:
        matrix = conv.weight_orig.detach().flatten(1)
        weight = conv.weight_orig.detach() / (conv.weight_u @ matrix @ conv.weight_v)
        return F.conv2d(x, weight, conv.bias)

    with torch.no_grad():
        torch.testing.assert_close(conv(x), expected())
        kept = conv.weight
        conv(x)
        assert conv.weight.data_ptr() == kept.data_ptr()  # not divided again
        conv.weight_orig.mul_(torch.linspace(1, 2, 4).view(4, 1, 1, 1))  # as an optimizer writes
        torch.testing.assert_close(conv(x), expected())
        state = {name: tensor.clone() * 2 for name, tensor in conv.state_dict().items()}
        conv.load_state_dict(state)
        torch.testing.assert_close(conv(x), expected())
        conv.train()(x)
        conv.eval()
        torch.testing.assert_close(conv(x), expected())
    twin = copy.deepcopy(conv)
    with torch.no_grad():
        twin.weight_orig.zero_().add_(1)
        torch.testing.assert_close(conv(x), expected())
        assert not torch.allclose(twin(x), conv(x))
    conv(x).sum().backward()  # a gradient is never cut off by the kept weight
    assert conv.weight_orig.grad is not None


def test_the_gradient_is_torch_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FoldedSpectralNorm, "smallest", 1)
    torch.manual_seed(0)
    plain = spectral_norm(nn.Conv2d(3, 4, 3)).double()
    fast = accelerate(copy.deepcopy(plain))
    x = torch.rand(2, 3, 5, 5, dtype=torch.float64)
    for conv in (plain, fast):
        # Two forwards before the backward: the vectors of the first are another's by then.
        sum(conv(x).square().sum() for _ in range(2)).backward()
        assert conv.weight.grad_fn is None
    assert torch.equal(fast.weight, plain.weight)
    for name, buffer in plain.named_buffers():
        assert torch.equal(fast.get_buffer(name), buffer)
    # Float64, but for the order of additions.
    torch.testing.assert_close(
        fast.weight_orig.grad, plain.weight_orig.grad, rtol=1e-12, atol=1e-12
    )
