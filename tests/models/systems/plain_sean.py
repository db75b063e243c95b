# SPDX-License-Identifier: Apache-2.0
"""A training step of SEAN as its rules read, on dictionaries of tensors with released names.

Nothing of the suite is used but the convolution of `plain_clade`, itself written out: encoder,
averages over regions, ACE layers, discriminators, losses and Adam, in training mode.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from plain_clade import BLOCKS, ENLARGED, State, conv, lrelu, smaller
from torch import Tensor

Noise = Callable[[str, int, int], Tensor]
_BUFFERS = ("running_mean", "running_var", "weight_u", "weight_v", "num_batches_tracked")
_BY_IMAGE, _BY_BATCH = (2, 3), (0, 2, 3)


def standardised(x: Tensor, over: tuple[int, ...]) -> Tensor:
    mean = x.mean(dim=over, keepdim=True)
    variance = (x - mean).square().mean(dim=over, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def encode(state: State, photos: Tensor, semantics: Tensor) -> Tensor:
    """(N, labels, S): means of features over the pixels of each label, zero where it has none."""
    name, edge = "Zencoder.model", (1, 1, 1, 1)
    x = lrelu(
        standardised(conv(state, f"{name}.1", F.pad(photos, edge, "reflect"), 1, 0), _BY_IMAGE)
    )
    for place in (4, 7):
        x = lrelu(standardised(conv(state, f"{name}.{place}", x, 2, 1), _BY_IMAGE))
    weight, bias = state[f"{name}.10.weight"], state[f"{name}.10.bias"]
    x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
    x = F.pad(lrelu(standardised(x, _BY_IMAGE)), edge, "reflect")
    features = torch.tanh(conv(state, f"{name}.14", x, 1, 0))
    here = smaller(semantics, *features.shape[2:])
    codes = []
    for image, masks in zip(features, here, strict=True):
        for mask in masks:
            area = mask.sum()
            codes.append((image * mask).sum(dim=(1, 2)) / area if area > 0 else image[:, 0, 0] * 0)
    return torch.stack(codes).view(len(photos), semantics.shape[1], -1)


def ace(
    state: State, name: str, x: Tensor, semantics: Tensor, codes: Tensor, noise: Tensor
) -> Tensor:
    x = x + noise * state[f"{name}.noise_var"].view(1, -1, 1, 1)
    count = x.numel() // x.shape[1]
    moments = x.mean(dim=_BY_BATCH), x.var(dim=_BY_BATCH, correction=0) * count / (count - 1)
    for leaf, value in zip(("mean", "var"), moments, strict=True):
        key = f"{name}.param_free_norm.running_{leaf}"
        state[key] = 0.9 * state[key] + 0.1 * value.detach()
    here = smaller(semantics, *x.shape[2:])
    hidden = conv(state, f"{name}.Spade.mlp_shared.0", here).clamp(min=0)
    gamma, beta = (conv(state, f"{name}.Spade.mlp_{leaf}", hidden) for leaf in ("gamma", "beta"))
    if f"{name}.conv_gamma.weight" in state:
        style = torch.zeros_like(codes[:, :1].transpose(1, 2)[:, :, :, None] * here[:, :1])
        for label in range(here.shape[1]):  # a later one overwrites, as edges do
            linear = (state[f"{name}.fc_mu{label}.{leaf}"] for leaf in ("weight", "bias"))
            mu = F.linear(codes[:, label], *linear).clamp(min=0)
            style = torch.where(here[:, label, None] > 0, mu[:, :, None, None], style)
        mixed = []
        for leaf, plain in (("gamma", gamma), ("beta", beta)):
            share = 1 / (1 + (-state[f"{name}.blending_{leaf}"]).exp())
            mixed.append(share * conv(state, f"{name}.conv_{leaf}", style) + (1 - share) * plain)
        gamma, beta = mixed
    return standardised(x, _BY_BATCH) * (1 + gamma) + beta


def generate(state: State, semantics: Tensor, codes: Tensor, noise: Noise) -> Tensor:
    def norm(name: str, x: Tensor) -> Tensor:
        return ace(state, name, x, semantics, codes, noise(name, *x.shape[2:]))

    x = conv(state, "fc", smaller(semantics, *(side // 32 for side in semantics.shape[2:])))
    for name in BLOCKS:
        if name in ENLARGED:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        shortcut = x
        if f"{name}.conv_s.weight_orig" in state:
            shortcut = conv(state, f"{name}.conv_s", norm(f"{name}.ace_s", x))
        x = conv(state, f"{name}.conv_0", lrelu(norm(f"{name}.ace_0", x)))
        x = conv(state, f"{name}.conv_1", lrelu(norm(f"{name}.ace_1", x)))
        x = x + shortcut
    return torch.tanh(conv(state, "conv_img", lrelu(x)))


def discriminate(state: State, x: Tensor, strides: tuple[int, ...]) -> list[list[Tensor]]:
    """Two scales of layers of those strides and a prediction; kernels of 4, 2 pixels of padding."""
    scales, last = [], len(strides)
    for scale in ("discriminator_0", "discriminator_1"):
        layers, y = [], x
        for layer, stride in enumerate((*strides, 1)):
            inner = ".0" if 0 < layer < last else ""
            y = conv(state, f"{scale}.model{layer}.0{inner}", y, stride, 2)
            if 0 < layer < last:
                y = standardised(y, _BY_IMAGE)
            if layer < last:
                y = lrelu(y)
            layers.append(y)
        scales.append(layers)
        x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    return scales


class PlainTraining:
    """Both states, and Adam's second moments (the first have beta 0)."""

    def __init__(
        self, generator: State, discriminator: State, rates: dict[str, float],
        strides: tuple[int, ...],
    ) -> None:  # fmt: skip
        generator = {name: it for name, it in generator.items() if "class_means" not in name}
        self.states = {"G": generator, "D": dict(discriminator)}
        self.rates, self.strides = rates, strides
        self.squares: dict[str, State] = {"G": {}, "D": {}}
        self.steps = 0

    def step(self, semantics: Tensor, photos: Tensor, noise: dict[str, Noise]) -> dict[str, Tensor]:
        self.steps += 1
        learned = self._learning("G")
        image = self._image(semantics, photos, noise["generator"])
        fake, real = self._judged(semantics, image, photos)
        gan = -sum(scale[-1].mean() for scale in fake) / 2
        matching = sum(
            (one - other.detach()).abs().mean()
            for of_fake, of_real in zip(fake, real, strict=True)
            for one, other in zip(of_fake[:-1], of_real[:-1], strict=True)
        )
        told = {"G/gan": gan, "G/feature_matching": 10 / 2 * matching}
        self._move("G", learned, told["G/gan"] + told["G/feature_matching"])
        image = self._image(semantics, photos, noise["discriminator"]).detach()
        learned = self._learning("D")
        fake, real = self._judged(semantics, image, photos)
        told["D/fake"] = sum((1 + scale[-1]).clamp(min=0).mean() for scale in fake) / 2
        told["D/real"] = sum((1 - scale[-1]).clamp(min=0).mean() for scale in real) / 2
        self._move("D", learned, told["D/fake"] + told["D/real"])
        return {name: term.detach() for name, term in told.items()}

    def _image(self, semantics: Tensor, photos: Tensor, noise: Noise) -> Tensor:
        state = self.states["G"]
        return generate(state, semantics, encode(state, photos, semantics), noise)

    def _judged(
        self, semantics: Tensor, image: Tensor, photos: Tensor
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Features of fake and of real, which pass together."""
        both = torch.cat([torch.cat([semantics, one], dim=1) for one in (image, photos)])
        scales = discriminate(self.states["D"], both, self.strides)
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
        """Adam with betas (0, 0.9); the last block's mixing weights have no gradient."""
        gradients = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
        for (name, weight), gradient in zip(learned.items(), gradients, strict=True):
            if gradient is None:
                self.states[which][name] = weight.detach()
                continue
            before = self.squares[which].get(name, torch.zeros_like(gradient))
            square = 0.9 * before + 0.1 * gradient.square()
            self.squares[which][name] = square
            corrected = (square / (1 - 0.9**self.steps)).sqrt() + 1e-8
            self.states[which][name] = weight.detach() - self.rates[which] * gradient / corrected
