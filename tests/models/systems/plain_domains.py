# SPDX-License-Identifier: Apache-2.0
"""Training steps of MUNIT and UNIT as their rules read, on dictionaries with released names.

`a` and `b` are whole domains, each with both of its encoders and its decoder. Nothing of the suite
is used: padding, norms, losses and Adam with weight decay are written out.
"""

from collections.abc import Callable, Mapping
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Noise = Mapping[str, Tensor]


def padded(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution after reflection: of 7x7 by 3, of 5x5 by 2, of 4x4 and 3x3 by 1."""
    weight = state[f"{name}.weight"]
    side = (weight.shape[-1] - 1) // 2
    x = torch.cat([x[:, :, 1 : side + 1].flip(2), x, x[:, :, -side - 1 : -1].flip(2)], 2)
    x = torch.cat([x[..., 1 : side + 1].flip(3), x, x[..., -side - 1 : -1].flip(3)], 3)
    return F.conv2d(x, weight, state[f"{name}.bias"], stride)


def normalised(x: Tensor) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(2, 3), keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def encode(state: State, encoder: str, image: Tensor) -> Tensor:
    """The content of an image."""
    x = image
    for index in count():
        if f"{encoder}.model.{index}.conv.weight" not in state:
            break
        stride = 2 if index else 1
        x = relu(normalised(padded(state, f"{encoder}.model.{index}.conv", x, stride)))
    for block in count():
        first = f"{encoder}.model.{index}.model.{block}.model"
        if f"{first}.0.conv.weight" not in state:
            return x
        y = relu(normalised(padded(state, f"{first}.0.conv", x)))
        x = x + normalised(padded(state, f"{first}.1.conv", y))
    raise AssertionError


def style_of(state: State, image: Tensor) -> Tensor:
    x = image
    for index in range(5):
        x = relu(padded(state, f"enc_style.model.{index}.conv", x, 2 if index else 1))
    x = x.sum(dim=(2, 3)) / (x.shape[2] * x.shape[3])
    return x @ state["enc_style.model.6.weight"][:, :, 0, 0].T + state["enc_style.model.6.bias"]


def decode(state: State, content: Tensor, style: Tensor | None = None) -> Tensor:
    """An image of content and, where there are adaptive norms, of a style."""
    x, channels, taken = content, content.shape[1], 0
    if style is not None:
        for layer in range(3):
            name = f"mlp.model.{layer}.fc"
            style = style @ state[f"{name}.weight"].T + state[f"{name}.bias"]
            style = relu(style) if layer < 2 else style

    def norm(y: Tensor) -> Tensor:
        nonlocal taken
        if style is None:
            return normalised(y)
        bias = style[:, taken : taken + channels, None, None]
        weight = style[:, taken + channels : taken + 2 * channels, None, None]
        taken += 2 * channels
        return normalised(y) * weight + bias

    for block in count():
        first = f"dec.model.0.model.{block}.model"
        if f"{first}.0.conv.weight" not in state:
            break
        y = relu(norm(padded(state, f"{first}.0.conv", x)))
        x = x + norm(padded(state, f"{first}.1.conv", y))
    assert style is None or taken == style.shape[1], "every number is used once"
    for up in (2, 4):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = padded(state, f"dec.model.{up}.conv", x)
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        squares = (x - mean).square().sum(dim=(1, 2, 3), keepdim=True)
        x = (x - mean) / ((squares / (x[0].numel() - 1)).sqrt() + 1e-5)
        gamma, beta = (state[f"dec.model.{up}.norm.{part}"] for part in ("gamma", "beta"))
        x = relu(x * gamma[:, None, None] + beta[:, None, None])
    return torch.tanh(padded(state, "dec.model.5.conv", x))


def judge(state: State, image: Tensor) -> list[Tensor]:
    """The logits of three scales."""
    found = []
    for scale in range(3):
        x = image
        for layer in range(4):
            x = padded(state, f"cnns.{scale}.{layer}.conv", x, 2)
            x = torch.where(x > 0, x, 0.2 * x)
        last = state[f"cnns.{scale}.4.weight"]
        found.append(F.conv2d(x, last, state[f"cnns.{scale}.4.bias"]))
        ones = F.avg_pool2d(F.pad(torch.ones_like(image), [1] * 4), 3, 2)
        image = F.avg_pool2d(F.pad(image, [1] * 4), 3, 2) / ones  # the padding does not count
    return found


def least_squares(logits: list[Tensor], target: float) -> Tensor:
    return torch.stack([(scale - target).square().mean() for scale in logits]).sum()


def cross_entropy(logits: list[Tensor], target: float) -> Tensor:
    losses = [torch.log1p((scale if target == 0 else -scale).exp()).mean() for scale in logits]
    return torch.stack(losses).sum()


def vgg_features(weights: State, image: Tensor) -> Tensor:
    """relu5_3 of VGG-16 after an instance norm."""
    blue_green_red = torch.tensor([103.939, 116.779, 123.680], dtype=image.dtype)
    x = (image[:, [2, 1, 0]] + 1) / 2 * 255 - blue_green_red[:, None, None]
    position = 0
    for stage, layers in enumerate((2, 2, 3, 3, 3)):
        if stage:
            x, position = F.max_pool2d(x, 2), position + 1
        for _ in range(layers):
            name = f"features.{position}"
            x = relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
            position += 2
    return normalised(x)


def l1(found: Tensor, wanted: Tensor) -> Tensor:
    return (found - wanted).abs().mean()


Terms = dict[str, Tensor]


class PlainTraining:
    """Generators and discriminators of both domains with Adam's moments; betas (0.5, 0.999)."""

    def __init__(self, states: dict[str, State], rate: float, weight_decay: float) -> None:
        self.states = {name: dict(state) for name, state in states.items()}
        self.rate, self.weight_decay = rate, weight_decay
        self.means: State = {}
        self.squares: State = {}
        self.steps = 0

    def step(
        self, update: str, networks: tuple[str, ...], terms: Callable[[], Terms]
    ) -> dict[str, float]:
        learned = {}
        for network in networks:
            for name, tensor in self.states[network].items():
                if "running_" not in name:
                    learned[network, name] = tensor.clone().requires_grad_()
                    self.states[network][name] = learned[network, name]
        found = terms()
        total = torch.stack(list(found.values())).sum()
        gradients = torch.autograd.grad(total, list(learned.values()), allow_unused=True)
        for ((network, name), weight), gradient in zip(learned.items(), gradients, strict=True):
            value = weight.detach()
            if gradient is not None:
                value = self._moved(f"{network}/{name}", value, gradient)
            self.states[network][name] = value
        return {f"{update}/{name}": float(term.detach()) for name, term in found.items()}

    def _moved(self, key: str, value: Tensor, gradient: Tensor) -> Tensor:
        gradient = gradient + self.weight_decay * value
        self.means[key] = 0.5 * self.means.get(key, 0.0) + 0.5 * gradient
        self.squares[key] = 0.999 * self.squares.get(key, 0.0) + 0.001 * gradient.square()
        mean = self.means[key] / (1 - 0.5**self.steps)
        square = self.squares[key] / (1 - 0.999**self.steps)
        return value - self.rate * mean / (square.sqrt() + 1e-8)


def discriminator_terms(
    training: PlainTraining, made: dict[str, Tensor], real: dict[str, Tensor],
    adversarial: Callable[[list[Tensor], float], Tensor], weight: float,
) -> Terms:  # fmt: skip
    terms = {}
    for domain, title in (("a", "labels"), ("b", "photos")):
        state = training.states[f"d_{domain}"]
        terms[f"{title}_fake"] = weight * adversarial(judge(state, made[domain]), 0.0)
        terms[f"{title}_real"] = weight * adversarial(judge(state, real[domain]), 1.0)
    return terms


def adversarial_terms(
    training: PlainTraining, made: dict[str, Tensor], real: dict[str, Tensor],
    adversarial: Callable[[list[Tensor], float], Tensor], weight: float,
    vgg: State | None, vgg_weight: float,
) -> Terms:  # fmt: skip
    terms = {}
    for domain, other, title in (("a", "b", "labels"), ("b", "a", "photos")):
        judged = judge(training.states[f"d_{domain}"], made[domain])
        terms[f"gan_{title}"] = weight * adversarial(judged, 1.0)
        if vgg is not None:
            differing = vgg_features(vgg, made[domain]) - vgg_features(vgg, real[other])
            terms[f"perceptual_{title}"] = vgg_weight * differing.square().mean()
    return terms


def munit_step(
    training: PlainTraining, real: dict[str, Tensor], noise: Noise,
    *, cycle: float = 0.0, vgg: State | None = None,
) -> dict[str, float]:  # fmt: skip
    """Weights of the release: GAN 1, images 10, codes 1."""
    training.steps += 1
    a, b = training.states["a"], training.states["b"]

    def contents() -> tuple[Tensor, Tensor]:
        return encode(a, "enc_content", real["a"]), encode(b, "enc_content", real["b"])

    def of_d() -> Terms:
        c_a, c_b = contents()
        made = {
            "a": decode(a, c_b, noise["discriminator labels"]).detach(),
            "b": decode(b, c_a, noise["discriminator photos"]).detach(),
        }
        return discriminator_terms(training, made, real, least_squares, 1.0)

    def of_g() -> Terms:
        c_a, c_b = contents()
        s_a, s_b = noise["generator labels"], noise["generator photos"]
        own_a, own_b = style_of(a, real["a"]), style_of(b, real["b"])
        x_ba, x_ab = decode(a, c_b, s_a), decode(b, c_a, s_b)
        again_a, again_b = encode(b, "enc_content", x_ab), encode(a, "enc_content", x_ba)
        made = {"a": x_ba, "b": x_ab}
        terms = {
            "image_labels": 10 * l1(decode(a, c_a, own_a), real["a"]),
            "image_photos": 10 * l1(decode(b, c_b, own_b), real["b"]),
            "content_labels": l1(again_a, c_a),
            "content_photos": l1(again_b, c_b),
            "style_labels": l1(style_of(a, x_ba), s_a),
            "style_photos": l1(style_of(b, x_ab), s_b),
            **adversarial_terms(training, made, real, least_squares, 1.0, vgg, 1.0),
        }
        if cycle:
            terms["cycle_labels"] = cycle * l1(decode(a, again_a, own_a), real["a"])
            terms["cycle_photos"] = cycle * l1(decode(b, again_b, own_b), real["b"])
        return terms

    told = training.step("D", ("d_a", "d_b"), of_d)
    return told | training.step("G", ("a", "b"), of_g)


def unit_step(
    training: PlainTraining, real: dict[str, Tensor], noise: Noise,
    *, released: bool, vgg: State | None = None,
) -> dict[str, float]:  # fmt: skip
    """Weights of the release, GAN 1, images 10, codes 0.01, or the paper's, ten times as large."""
    training.steps += 1
    a, b = training.states["a"], training.states["b"]
    gan, image, code = (1.0, 10.0, 0.01) if released else (10.0, 100.0, 0.1)
    adversarial = least_squares if released else cross_entropy

    def codes() -> tuple[Tensor, Tensor]:
        return encode(a, "enc", real["a"]), encode(b, "enc", real["b"])

    def of_d() -> Terms:
        h_a, h_b = codes()
        made = {
            "a": decode(a, h_b + noise["discriminator photos"]).detach(),
            "b": decode(b, h_a + noise["discriminator labels"]).detach(),
        }
        return discriminator_terms(training, made, real, adversarial, gan)

    def of_g() -> Terms:
        h_a, h_b = codes()
        z_a, z_b = h_a + noise["generator labels"], h_b + noise["generator photos"]
        x_ba, x_ab = decode(a, z_b), decode(b, z_a)
        again_a, again_b = encode(b, "enc", x_ab), encode(a, "enc", x_ba)
        back_a = decode(a, again_a + noise["cycle labels"])
        back_b = decode(b, again_b + noise["cycle photos"])
        made = {"a": x_ba, "b": x_ab}
        return {
            "image_labels": image * l1(decode(a, z_a), real["a"]),
            "image_photos": image * l1(decode(b, z_b), real["b"]),
            "code_labels": code * h_a.square().mean(),
            "code_photos": code * h_b.square().mean(),
            **adversarial_terms(training, made, real, adversarial, gan, vgg, 1.0),
            "cycle_labels": image * l1(back_a, real["a"]),
            "cycle_photos": image * l1(back_b, real["b"]),
            "cycle_code_labels": code * again_a.square().mean(),
            "cycle_code_photos": code * again_b.square().mean(),
        }

    told = training.step("D", ("d_a", "d_b"), of_d)
    return told | training.step("G", ("a", "b"), of_g)
