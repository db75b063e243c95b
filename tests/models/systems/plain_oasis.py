# SPDX-License-Identifier: Apache-2.0
"""A training step of OASIS as its rules read, on two dictionaries of tensors with released names.

Nothing of the suite is used: convolutions, spectral norm, batch norm, Adam and the average are
written out, in training mode.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]

BLOCKS_UP = 6


def conv(state: State, name: str, x: Tensor) -> Tensor:
    """A convolution that keeps the size, spectrally normalised where it has vectors."""
    weight = state.get(f"{name}.weight")
    if weight is None:
        weight = state[f"{name}.weight_orig"]
        matrix = weight.detach().flatten(1)
        v = matrix.T @ state[f"{name}.weight_u"]
        v = v / v.norm()
        u = matrix @ v
        u = u / u.norm()
        state[f"{name}.weight_u"], state[f"{name}.weight_v"] = u, v
        weight = weight / (u @ weight.flatten(1) @ v)
    return F.conv2d(x, weight, state.get(f"{name}.bias"), padding=weight.shape[-1] // 2)


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def nearest(x: Tensor, height: int, width: int) -> Tensor:
    rows = torch.arange(height) * x.shape[2] // height
    columns = torch.arange(width) * x.shape[3] // width
    return x[:, :, rows][:, :, :, columns]


def norm(state: State, name: str, x: Tensor, condition: Tensor) -> Tensor:
    """Batch norm by the batch's own statistics, modulated by the map."""
    mean = x.mean(dim=(0, 2, 3))
    variance = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))
    count = x.numel() // x.shape[1]
    for leaf, value in (("mean", mean), ("var", variance * count / (count - 1))):
        running = state[f"{name}.first_norm.running_{leaf}"]
        state[f"{name}.first_norm.running_{leaf}"] = 0.9 * running + 0.1 * value.detach()
    normalised = (x - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]
    hidden = conv(state, f"{name}.mlp_shared.0", nearest(condition, *x.shape[2:])).clamp(min=0)
    gamma, beta = (conv(state, f"{name}.mlp_{part}", hidden) for part in ("gamma", "beta"))
    return normalised * (1 + gamma) + beta


def generate(state: State, one_hot: Tensor, z: Tensor) -> Tensor:
    height, width = one_hot.shape[2:]
    condition = torch.cat([z[:, :, None, None].expand(-1, -1, height, width), one_hot], dim=1)
    x = conv(state, "fc", nearest(condition, height // 32, width // 32))
    for index in range(BLOCKS_UP):
        name, shortcut = f"body.{index}", x
        if f"{name}.conv_s.weight_orig" in state:
            shortcut = conv(state, f"{name}.conv_s", norm(state, f"{name}.norm_s", x, condition))
        x = conv(state, f"{name}.conv_0", lrelu(norm(state, f"{name}.norm_0", x, condition)))
        x = conv(state, f"{name}.conv_1", lrelu(norm(state, f"{name}.norm_1", x, condition)))
        x = shortcut + x
        if index < BLOCKS_UP - 1:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return torch.tanh(conv(state, "conv_img", lrelu(x)))


def halved(x: Tensor) -> Tensor:
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def discriminate(state: State, image: Tensor) -> Tensor:
    x, passed = image, []
    for index in range(BLOCKS_UP):
        name = f"body_down.{index}"
        first = f"{name}.conv1.{min(index, 1)}"
        y = conv(state, first, x if index == 0 else lrelu(x))
        y = halved(conv(state, f"{name}.conv2.1", lrelu(y)))
        if index == 0:
            x = y + conv(state, f"{name}.conv_s", halved(x))
        elif f"{name}.conv_s.weight_orig" in state:
            x = y + halved(conv(state, f"{name}.conv_s", x))
        else:
            x = y + halved(x)
        passed.append(x)
    for index in range(BLOCKS_UP):
        name = f"body_up.{index}"
        if index:
            x = torch.cat([passed[5 - index], x], dim=1)
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        y = conv(state, f"{name}.conv2.1", lrelu(conv(state, f"{name}.conv1.2", lrelu(x))))
        if f"{name}.conv_s.weight_orig" in state:
            x = conv(state, f"{name}.conv_s", x)
        x = x + y
    return conv(state, "layer_up_last", x)


def as_class(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted negative log-likelihood, mean over all pixels."""
    shifted = logits - logits.logsumexp(dim=1, keepdim=True)
    return -(weights * shifted.gather(1, target[:, None])[:, 0]).mean()


def pixel_weights(labels: Tensor, num_labels: int, *, dont_care: bool) -> Tensor:
    counted = [label for label in range(int(dont_care), num_labels) if (labels == label).any()]
    weights = torch.zeros(labels.shape, dtype=torch.float64)
    for label in counted:
        there = labels == label
        weights[there] = labels.numel() / (len(counted) * int(there.sum()))
    return weights


class PlainTraining:
    """Both states, Adam's second moments (the first have beta 0) and the average."""

    def __init__(
        self, generator: State, discriminator: State, rates: dict[str, float], decay: float
    ) -> None:
        self.states = {"G": dict(generator), "D": dict(discriminator)}
        self.average, self.rates, self.decay = dict(generator), rates, decay
        self.squares: dict[str, State] = {"G": {}, "D": {}}
        self.steps = 0

    def step(
        self, labels: Tensor, photos: Tensor, num_labels: int, noise: dict[str, Tensor],
        bits: Tensor, *, dont_care: bool, in_place: bool, labelmix: float,
    ) -> dict[str, float]:  # fmt: skip
        self.steps += 1
        one_hot = F.one_hot(labels, num_labels).permute(0, 3, 1, 2).double()
        weights = pixel_weights(labels, num_labels, dont_care=dont_care)

        learned = self._learning("G")
        fake = generate(self.states["G"], one_hot, noise["generator"])
        gan = as_class(discriminate(self.states["D"], fake), labels + 1, weights)
        self._move("G", learned, gan)

        fake = generate(self.states["G"], one_hot, noise["discriminator"]).detach()
        learned = self._learning("D")
        on_fake = discriminate(self.states["D"], fake)
        on_real = discriminate(self.states["D"], photos)
        taken = labels.clone()
        for label in torch.unique(labels).tolist():
            taken[(taken if in_place else labels) == label] = int(bits[label])
        mask = taken[:, None].double()
        on_mixed = discriminate(self.states["D"], mask * photos + (1 - mask) * fake)
        terms = {
            "fake": as_class(on_fake, torch.zeros_like(labels), torch.ones(labels.shape)),
            "real": as_class(on_real, labels + 1, weights),
            "labelmix": labelmix
            * (on_mixed - mask * on_real - (1 - mask) * on_fake).square().mean(),
        }
        self._move("D", learned, terms["fake"] + terms["real"] + terms["labelmix"])
        self.average = {
            name: self.decay * before + (1 - self.decay) * self.states["G"][name]
            for name, before in self.average.items()
        }
        told = {"G/gan": gan, **{f"D/{name}": term for name, term in terms.items()}}
        return {name: float(term.detach()) for name, term in told.items()}

    def _learning(self, which: str) -> State:
        buffers = ("running_mean", "running_var", "weight_u", "weight_v", "num_batches_tracked")
        state = self.states[which]
        learned = {name: state[name] for name in state if not name.endswith(buffers)}
        for name, weight in learned.items():
            state[name] = learned[name] = weight.clone().requires_grad_()
        return learned

    def _move(self, which: str, learned: State, loss: Tensor) -> None:
        """Adam with betas (0, 0.999)."""
        gradients = torch.autograd.grad(loss, list(learned.values()))
        for (name, weight), gradient in zip(learned.items(), gradients, strict=True):
            square = 0.999 * self.squares[which].get(name, 0.0) + 0.001 * gradient.square()
            self.squares[which][name] = square
            corrected = (square / (1 - 0.999**self.steps)).sqrt() + 1e-8
            moved = weight.detach() - self.rates[which] * gradient / corrected
            self.states[which][name] = moved
