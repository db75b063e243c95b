# SPDX-License-Identifier: Apache-2.0
"""Weight initialisation of the methods, a pure function of the architecture and a seed.

"as_printed": Glorot normal with gain 0.02 on every convolution and linear layer, biases 0 (Park et
al., Appendix A; Glorot & Bengio 2010). "as_trained": what the published code does on a GPU, where
that initialisation misses spectrally normalised weights, which keep PyTorch's default; their scale
does not change the output but does change the effective step size. "pix2pixhd": N(0, 0.02).
"normal": the same with biases 0 (Isola et al., CVPR 2017, Appendix; Zhu et al., ICCV 2017).
"glorot": Glorot uniform, norms at one and zero, as TensorFlow's layers begin.
"kaiming": Kaiming normal of the inputs, biases 0 (He et al., ICCV 2015; MUNIT, UNIT).
"pytorch": PyTorch's defaults, norms at one and zero, and zeros where a convolution is to begin so
(Dhariwal & Nichol, NeurIPS 2021, published code; SDM).
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.clade import ClassAffine
from spade_eval.models.layers.diffusion import ZeroConv1d, ZeroConv2d
from spade_eval.models.layers.domains import ImageNorm
from spade_eval.models.layers.norms import AdaptiveInstanceNorm
from spade_eval.models.layers.spectral import is_spectral
from spade_eval.models.layers.weight_norm import is_weight_normed

Scheme = Literal["as_printed", "as_trained", "pix2pixhd", "normal", "glorot", "kaiming", "pytorch"]

_GAIN = 0.02


def build(network: type[nn.Module], config: Any, scheme: Scheme, seed: int) -> nn.Module:
    """Build `network(config)` with weights drawn from `seed`; no global random state changes."""
    # Constructors of torch draw default weights from the global generator; leave it as it was.
    with torch.random.fork_rng(devices=[]):
        module = network(config)
    initialise(module, scheme, seed)
    return module


def initialise(module: nn.Module, scheme: Scheme, seed: int) -> None:
    """Draw every parameter and spectral vector anew; global random state stays untouched."""
    if any(parameter.is_meta for parameter in module.parameters()):
        raise ValueError("a module on the meta device has no weights; move it with to_empty first")
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if scheme == "pytorch" and isinstance(layer, (ZeroConv1d, ZeroConv2d)):
                nn.init.zeros_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                _initialise_weight(layer, scheme, random)
                _initialise_bias(layer, scheme, random)
            elif isinstance(layer, (nn.BatchNorm2d, nn.GroupNorm)) and layer.affine:
                if scheme in ("glorot", "pytorch"):
                    nn.init.ones_(layer.weight)
                else:
                    _draw(layer.weight, lambda w: w.normal_(1.0, 0.02, generator=random))
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Embedding):
                _draw(layer.weight, lambda w: w.normal_(0.0, 0.02, generator=random))
            elif isinstance(layer, ImageNorm):
                _draw(layer.gamma, lambda w: w.uniform_(generator=random))
                nn.init.zeros_(layer.beta)
            elif isinstance(layer, ClassAffine):  # scales themselves: no "1 +"
                _draw(layer.weight, lambda w: w.uniform_(generator=random))
                nn.init.zeros_(layer.bias)
        for layer in module.modules():
            if isinstance(layer, ClassAffine):
                layer.forget_positions()
            if isinstance(layer, AdaptiveInstanceNorm):  # no "1 +": start near plain instance norm
                nn.init.ones_(layer.to_scale.bias)


def _initialise_weight(layer: nn.Module, scheme: Scheme, random: torch.Generator) -> None:
    weight = layer.weight_orig if is_spectral(layer) else layer.weight
    assert isinstance(weight, Tensor)
    if is_weight_normed(layer):  # no norm follows that would make up for small weights
        _draw(weight, lambda w: nn.init.kaiming_normal_(w, a=0.2, generator=random))
        layer.weight = weight
    elif scheme in ("pix2pixhd", "normal"):
        _draw(weight, lambda w: w.normal_(0.0, 0.02, generator=random))
    elif scheme == "glorot":
        _draw(weight, lambda w: nn.init.xavier_uniform_(w, generator=random))
    elif scheme == "kaiming":
        _draw(weight, lambda w: nn.init.kaiming_normal_(w, generator=random))
    elif scheme == "pytorch" or (scheme == "as_trained" and is_spectral(layer)):
        _draw(weight, lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5), generator=random))
    else:
        _draw(weight, lambda w: nn.init.xavier_normal_(w, gain=_GAIN, generator=random))
    if is_spectral(layer):
        for name in ("weight_u", "weight_v"):
            vector = getattr(layer, name)
            drawn = torch.empty(vector.shape).normal_(generator=random)
            vector.copy_(F.normalize(drawn, dim=0, eps=1e-12))
        layer.weight = weight.detach()


def _initialise_bias(layer: nn.Module, scheme: Scheme, random: torch.Generator) -> None:
    bias = layer.bias
    if bias is None:
        return
    assert isinstance(bias, Tensor)
    if scheme not in ("pix2pixhd", "pytorch"):
        nn.init.zeros_(bias)
        return
    # PyTorch's default: uniform in +-1/sqrt(fan_in), fan_in counted on the stored weight.
    weight = layer.weight_orig if is_spectral(layer) else layer.weight
    assert isinstance(weight, Tensor)
    bound = 1 / math.sqrt(weight[0].numel())
    _draw(bias, lambda b: b.uniform_(-bound, bound, generator=random))


def _draw(tensor: Tensor, fill: Callable[[Tensor], Tensor]) -> None:
    """Fill on the CPU, so that a seed means the same weights on every device."""
    tensor.copy_(fill(torch.empty(tensor.shape, dtype=torch.float32)))
