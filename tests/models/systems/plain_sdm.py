# SPDX-License-Identifier: Apache-2.0
"""A training step of SDM as its rules read, on a dictionary of tensors with released names.

Nothing of the suite is used: the U-Net, the chain, both terms, AdamW and the average are written
out. The chain is walked in Python numbers, timestep by timestep.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def conv(state: State, name: str, x: Tensor) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def standardised(x: Tensor) -> Tensor:
    """Groups of channels, as many as divide both 32 and the channels."""
    batch, channels = x.shape[:2]
    groups = x.reshape(batch, math.gcd(32, channels), -1)
    centred = groups - groups.mean(dim=2, keepdim=True)
    return (centred / (centred.square().mean(dim=2, keepdim=True) + 1e-5).sqrt()).view(x.shape)


def group_norm(state: State, name: str, x: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (x.ndim - 2))
    return standardised(x) * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(shape)


def spade(state: State, name: str, x: Tensor, one_hot: Tensor) -> Tensor:
    rows = torch.arange(x.shape[2]) * one_hot.shape[2] // x.shape[2]
    columns = torch.arange(x.shape[3]) * one_hot.shape[3] // x.shape[3]
    hidden = conv(state, f"{name}.mlp_shared.0", one_hot[:, :, rows][:, :, :, columns]).clamp(min=0)
    gamma, beta = (conv(state, f"{name}.mlp_{part}", hidden) for part in ("gamma", "beta"))
    return standardised(x) * (1 + gamma) + beta


def block(
    state: State, name: str, x: Tensor, embedding: Tensor, one_hot: Tensor | None, resize: str = ""
) -> Tensor:
    conditional = f"{name}.in_norm.mlp_gamma.weight" in state
    first, second = (
        ("in_layers.1", "out_layers.2") if conditional else ("in_layers.2", "out_layers.3")
    )
    if conditional:
        assert one_hot is not None
        h = spade(state, f"{name}.in_norm", x, one_hot)
    else:
        h = group_norm(state, f"{name}.in_layers.0", x)
    h, x = resized(silu(h), resize), resized(x, resize)
    h = conv(state, f"{name}.{first}", h)
    weight, bias = state[f"{name}.emb_layers.1.weight"], state[f"{name}.emb_layers.1.bias"]
    affine = silu(embedding) @ weight.T + bias
    scale, shift = affine[:, : h.shape[1], None, None], affine[:, h.shape[1] :, None, None]
    if conditional:
        assert one_hot is not None
        h = spade(state, f"{name}.out_norm", h, one_hot)
    else:
        h = group_norm(state, f"{name}.out_layers.0", h)
    h = conv(state, f"{name}.{second}", silu(h * (1 + scale) + shift))
    if f"{name}.skip_connection.weight" in state:
        x = conv(state, f"{name}.skip_connection", x)
    return x + h


def resized(x: Tensor, resize: str) -> Tensor:
    if resize == "down":
        return (
            x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
        ) / 4
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3) if resize == "up" else x


def attention(state: State, name: str, x: Tensor, head_channels: int) -> Tensor:
    """Head by head: each owns 3 * head_channels rows of qkv."""
    batch, channels = x.shape[:2]
    flat = x.reshape(batch, channels, -1)
    normalised = group_norm(state, f"{name}.norm", flat)
    qkv = state[f"{name}.qkv.weight"][:, :, 0] @ normalised + state[f"{name}.qkv.bias"][:, None]
    heads = []
    for start in range(0, 3 * channels, 3 * head_channels):
        q, k, v = (
            qkv[:, start + part * head_channels : start + (part + 1) * head_channels]
            for part in range(3)
        )
        logits = torch.einsum("ncq,nck->nqk", q, k) / head_channels**0.5
        shares = (logits - logits.amax(dim=2, keepdim=True)).exp()
        shares = shares / shares.sum(dim=2, keepdim=True)
        heads.append(torch.einsum("nqk,nck->ncq", shares, v))
    out = state[f"{name}.proj_out.weight"][:, :, 0] @ torch.cat(heads, dim=1)
    out = out + state[f"{name}.proj_out.bias"][:, None]
    return x + out.view(x.shape)


def predict(
    state: State, x: Tensor, t: Tensor, one_hot: Tensor, levels: int, blocks: int, heads: int
) -> tuple[Tensor, Tensor]:
    """The noise in x, and v."""
    half = state["time_embed.0.weight"].shape[1] // 2
    waves = torch.tensor([10_000 ** (-i / half) for i in range(half)], dtype=torch.float64)
    angles = t[:, None] * waves
    embedding = torch.cat([angles.cos(), angles.sin()], dim=1)
    embedding = silu(embedding @ state["time_embed.0.weight"].T + state["time_embed.0.bias"])
    embedding = embedding @ state["time_embed.2.weight"].T + state["time_embed.2.bias"]

    x = conv(state, "input_blocks.0.0", x)
    passed, number = [x], 1
    for level in range(levels):
        for _ in range(blocks):
            x = block(state, f"input_blocks.{number}.0", x, embedding, None)
            if f"input_blocks.{number}.1.qkv.weight" in state:
                x = attention(state, f"input_blocks.{number}.1", x, heads)
            passed.append(x)
            number += 1
        if level < levels - 1:
            x = block(state, f"input_blocks.{number}.0", x, embedding, None, "down")
            passed.append(x)
            number += 1
    x = block(state, "middle_block.0", x, embedding, one_hot)
    x = attention(state, "middle_block.1", x, heads)
    x = block(state, "middle_block.2", x, embedding, one_hot)
    number = 0
    for level in reversed(range(levels)):
        for index in range(blocks + 1):
            name = f"output_blocks.{number}"
            x = block(state, f"{name}.0", torch.cat([x, passed.pop()], dim=1), embedding, one_hot)
            last = 1
            if f"{name}.1.qkv.weight" in state:
                x = attention(state, f"{name}.1", x, heads)
                last = 2
            if level and index == blocks:
                x = block(state, f"{name}.{last}", x, embedding, one_hot, "up")
            number += 1
    out = conv(state, "out.2", silu(group_norm(state, "out.0", x)))
    return out[:, :3], out[:, 3:]


class Chain:
    """alpha bars of 1000 steps, betas from 0.0001 to 0.02."""

    def __init__(self) -> None:
        self.betas = [1e-4 + (0.02 - 1e-4) * t / 999 for t in range(1000)]
        self.kept = [1.0]  # alpha bars, one step late
        for beta in self.betas:
            self.kept.append(self.kept[-1] * (1 - beta))

    def noised(self, x: Tensor, noise: Tensor, t: int) -> Tensor:
        return self.kept[t + 1] ** 0.5 * x + (1 - self.kept[t + 1]) ** 0.5 * noise

    def variance(self, t: int) -> float:
        """Of the posterior; at t = 0, where it is none, that of t = 1."""
        t = max(t, 1)
        return (1 - self.kept[t]) / (1 - self.kept[t + 1]) * self.betas[t]

    def bits(self, x: Tensor, x_t: Tensor, t: int, noise: Tensor, v: Tensor) -> Tensor:
        """One photo's term of the bound, in bits a value."""
        rest = 1 - self.kept[t + 1]
        photo = (x_t - rest**0.5 * noise) / self.kept[t + 1] ** 0.5

        def mean_from(image: Tensor) -> Tensor:
            of_image = self.kept[t] ** 0.5 * self.betas[t] / rest
            of_noised = (1 - self.betas[t]) ** 0.5 * (1 - self.kept[t]) / rest
            return of_image * image + of_noised * x_t

        share = (v + 1) / 2
        variance = (
            share * math.log(self.betas[t]) + (1 - share) * math.log(self.variance(t))
        ).exp()
        mean = mean_from(photo)
        if t == 0:
            return -log_share_of_level(x, mean, variance).mean() / math.log(2)
        true = self.variance(t)
        distance = (mean_from(x) - mean).square()
        nats = 0.5 * (variance / true).log() + (true + distance) / (2 * variance) - 0.5
        return nats.mean() / math.log(2)


def log_share_of_level(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    def below(edge: Tensor) -> Tensor:
        return 0.5 * (1 + torch.erf((edge - mean) / (2 * variance).sqrt()))

    upper = torch.where(x >= 254.5 / 127.5 - 1, torch.ones_like(x), below(x + 1 / 255))
    lower = torch.where(x <= 0.5 / 127.5 - 1, torch.zeros_like(x), below(x - 1 / 255))
    return (upper - lower).clamp(min=1e-12).log()


class PlainTraining:
    """AdamW without decay at betas (0.9, 0.999), and the average of all weights."""

    def __init__(self, state: State, levels: int, blocks: int, heads: int, decay: float) -> None:
        self.state, self.sizes, self.decay = dict(state), (levels, blocks, heads), decay
        self.average = dict(state)
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}
        self.steps, self.chain = 0, Chain()

    def step(
        self, one_hot: Tensor, photos: Tensor, noise: Tensor, steps: list[int],
        dropped: list[bool], rate: float,
    ) -> dict[str, float]:  # fmt: skip
        self.steps += 1
        kept = torch.tensor([0.0 if gone else 1.0 for gone in dropped]).double()
        x_t = torch.stack(
            [self.chain.noised(*of_one) for of_one in zip(photos, noise, steps, strict=True)]
        )
        learned = {name: weight.clone().requires_grad_() for name, weight in self.state.items()}
        predicted, v = predict(
            learned, x_t, torch.tensor(steps), one_hot * kept[:, None, None, None], *self.sizes
        )
        bits = [
            self.chain.bits(x, noisy, t, of_noise.detach(), of_variance)
            for x, noisy, t, of_noise, of_variance in zip(
                photos, x_t, steps, predicted, v, strict=True
            )
        ]
        terms = {
            "G/noise": (predicted - noise).square().mean(),
            "G/variance": sum(bits) / len(bits),  # 0.001 times 1000 steps
        }
        self._move(learned, terms["G/noise"] + terms["G/variance"], rate)
        for name, before in self.average.items():
            self.average[name] = self.decay * before + (1 - self.decay) * self.state[name]
        return {name: float(term.detach()) for name, term in terms.items()}

    def _move(self, learned: State, loss: Tensor, rate: float) -> None:
        gradients = torch.autograd.grad(loss, list(learned.values()))
        for (name, weight), gradient in zip(learned.items(), gradients, strict=True):
            zeros = torch.zeros_like(gradient)
            first, second = self.moments.get(name, (zeros, zeros))
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient.square()
            self.moments[name] = first, second
            corrected = (second / (1 - 0.999**self.steps)).sqrt() + 1e-8
            moved = first / (1 - 0.9**self.steps) / corrected
            self.state[name] = weight.detach() - rate * moved
