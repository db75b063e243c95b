# SPDX-License-Identifier: Apache-2.0
"""A training step of CLADE as its rules read, on dictionaries of tensors with released names.

Nothing of the suite is used: convolutions, spectral norm, batch and instance norm, the losses and
Adam are written out, in training mode.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]

BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
ENLARGED = ("G_middle_0", "up_0", "up_1", "up_2", "up_3")
_BUFFERS = ("running_mean", "running_var", "weight_u", "weight_v", "num_batches_tracked")


def conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
    """A convolution, spectrally normalised by one more iteration where it has vectors."""
    weight = state.get(f"{name}.weight")
    if weight is None:
        weight = state[f"{name}.weight_orig"]
        matrix = weight.detach().flatten(1)
        v = matrix.T @ state[f"{name}.weight_u"]
        u = matrix @ (v / v.norm())
        state[f"{name}.weight_v"], state[f"{name}.weight_u"] = v / v.norm(), u / u.norm()
        weight = weight / (u / u.norm() @ weight.flatten(1) @ (v / v.norm()))
    padding = weight.shape[-1] // 2 if padding is None else padding
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride=stride, padding=padding)


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def smaller(x: Tensor, height: int, width: int) -> Tensor:
    """Every so many rows and columns."""
    return x[:, :, :: x.shape[2] // height, :: x.shape[3] // width]


def norm(state: State, name: str, x: Tensor, semantics: Tensor, positions: Tensor) -> Tensor:
    """Batch norm by the batch's own statistics, times a scale, plus a shift of each pixel's class;
    behind it the instance edges, which are the last channel of the map."""
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    count = x.numel() // x.shape[1]
    for leaf, value in (("mean", mean), ("var", variance * count / (count - 1))):
        key = f"{name}.param_free_norm.running_{leaf}"
        state[key] = 0.9 * state[key] + 0.1 * value.detach().flatten()
    here = smaller(semantics, *x.shape[2:])
    tables = (state[f"{name}.class_specified_affine.{leaf}"] for leaf in ("weight", "bias"))
    scale, shift = (torch.einsum("nkhw,kc->nchw", here[:, :-1], table) for table in tables)
    if f"{name}.class_specified_affine.dist_conv_w.weight" in state:
        place = smaller(positions, *x.shape[2:])
        scale = scale * (1 + conv(state, f"{name}.class_specified_affine.dist_conv_w", place))
        shift = shift * (1 + conv(state, f"{name}.class_specified_affine.dist_conv_b", place))
    y = (x - mean) / (variance + 1e-5).sqrt() * scale + shift
    return torch.cat([y, conv(state, f"{name}.inst_conv", here[:, -1:])], dim=1)


def generate(state: State, semantics: Tensor, positions: Tensor) -> Tensor:
    x = conv(state, "fc", smaller(semantics, *(side // 32 for side in semantics.shape[2:])))
    for name in BLOCKS:
        if name in ENLARGED:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        maps = semantics, positions
        shortcut = x
        if f"{name}.conv_s.weight_orig" in state:
            shortcut = conv(state, f"{name}.conv_s", norm(state, f"{name}.norm_s", x, *maps))
        x = conv(state, f"{name}.conv_0", lrelu(norm(state, f"{name}.norm_0", x, *maps)))
        x = conv(state, f"{name}.conv_1", lrelu(norm(state, f"{name}.norm_1", x, *maps)))
        x = x + shortcut
    return torch.tanh(conv(state, "conv_img", lrelu(x)))


def discriminate(state: State, x: Tensor) -> list[list[Tensor]]:
    """Two scales of four layers and a prediction; kernels of 4, two pixels of padding."""
    scales = []
    for scale in ("discriminator_0", "discriminator_1"):
        layers, y = [], x
        for layer in range(5):
            stride = 2 if layer < 3 else 1
            inner = ".0" if 0 < layer < 4 else ""
            y = conv(state, f"{scale}.model{layer}.0{inner}", y, stride, 2)
            if 0 < layer < 4:
                mean = y.mean(dim=(2, 3), keepdim=True)
                variance = (y - mean).square().mean(dim=(2, 3), keepdim=True)
                y = (y - mean) / (variance + 1e-5).sqrt()
            if layer < 4:
                y = lrelu(y)
            layers.append(y)
        scales.append(layers)
        x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    return scales


class PlainTraining:
    """Both states, and Adam's second moments (the first have beta 0)."""

    def __init__(self, generator: State, discriminator: State, rates: dict[str, float]) -> None:
        self.states = {"G": dict(generator), "D": dict(discriminator)}
        self.rates = rates
        self.squares: dict[str, State] = {"G": {}, "D": {}}
        self.steps = 0

    def step(self, semantics: Tensor, positions: Tensor, photos: Tensor) -> dict[str, Tensor]:
        self.steps += 1
        learned = self._learning("G")
        fake, real = self._judged(semantics, generate(self.states["G"], semantics, positions),
                                  photos)  # fmt: skip
        gan = -sum(scale[-1].mean() for scale in fake) / 2
        matching = sum(
            (one - other.detach()).abs().mean()
            for of_fake, of_real in zip(fake, real, strict=True)
            for one, other in zip(of_fake[:-1], of_real[:-1], strict=True)
        )
        told = {"G/gan": gan, "G/feature_matching": 10 / 2 * matching}
        self._move("G", learned, told["G/gan"] + told["G/feature_matching"])
        image = generate(self.states["G"], semantics, positions).detach()
        learned = self._learning("D")
        fake, real = self._judged(semantics, image, photos)
        told["D/fake"] = sum((1 + scale[-1]).clamp(min=0).mean() for scale in fake) / 2
        told["D/real"] = sum((1 - scale[-1]).clamp(min=0).mean() for scale in real) / 2
        self._move("D", learned, told["D/fake"] + told["D/real"])
        return {name: term.detach() for name, term in told.items()}

    def _judged(
        self, semantics: Tensor, image: Tensor, photos: Tensor
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Features of fake and of real, which pass together."""
        both = torch.cat([torch.cat([semantics, one], dim=1) for one in (image, photos)])
        scales = discriminate(self.states["D"], both)
        count = len(image)
        return (
            [[layer[:count] for layer in scale] for scale in scales],
            [[layer[count:] for layer in scale] for scale in scales],
        )

    def _learning(self, which: str) -> State:
        state = self.states[which]
        learned = {name: state[name] for name in state if not name.endswith(_BUFFERS)}
        for name, weight in learned.items():
            state[name] = learned[name] = weight.detach().clone().requires_grad_()
        return learned

    def _move(self, which: str, learned: State, loss: Tensor) -> None:
        """Adam with betas (0, 0.9)."""
        gradients = torch.autograd.grad(loss, list(learned.values()))
        for (name, weight), gradient in zip(learned.items(), gradients, strict=True):
            before = self.squares[which].get(name, torch.zeros_like(gradient))
            square = 0.9 * before + 0.1 * gradient.square()
            self.squares[which][name] = square
            corrected = (square / (1 - 0.9**self.steps)).sqrt() + 1e-8
            self.states[which][name] = weight.detach() - self.rates[which] * gradient / corrected
