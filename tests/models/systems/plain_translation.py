# SPDX-License-Identifier: Apache-2.0
"""Steps of pix2pix and CycleGAN as their rules read, on dictionaries with released names.

Nothing of the suite is used: norms, dropout, losses, Adam and the pools are written out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def batch_norm(state: State, name: str, x: Tensor, track: bool = True) -> Tensor:
    """By the statistics of the batch; `track` moves the running ones."""
    mean = x.mean(dim=(0, 2, 3))
    variance = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))
    count = x.numel() // x.shape[1]
    for leaf, value in (("mean", mean), ("var", variance * count / (count - 1))):
        if track:
            running = state[f"{name}.running_{leaf}"]
            state[f"{name}.running_{leaf}"] = 0.9 * running + 0.1 * value.detach()
    normalised = (x - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]
    return (
        normalised * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]
    )


def instance_norm(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def level(state: State, x: Tensor, place: str, depth: int, last: int, kept: dict[int, Tensor],
          track: bool) -> Tensor:  # fmt: skip
    """A level of the U-Net and all within it; an outer level gets its own input back beside it."""
    down, down_norm, inner, up, up_norm = 1, 2, 3, 5, 6
    if depth == 0:
        down, inner, up = 0, 1, 3
    elif depth == last:
        up, up_norm = 3, 4
    y = x if depth == 0 else lrelu(x)
    y = F.conv2d(y, state[f"{place}.{down}.weight"], stride=2, padding=1)
    if 0 < depth < last:
        y = batch_norm(state, f"{place}.{down_norm}", y, track)
    if depth < last:
        y = level(state, y, f"{place}.{inner}.model", depth + 1, last, kept, track)
    y = F.conv_transpose2d(
        y.clamp(min=0), state[f"{place}.{up}.weight"], state.get(f"{place}.{up}.bias"),
        stride=2, padding=1,
    )  # fmt: skip
    if depth == 0:
        return torch.tanh(y)
    y = batch_norm(state, f"{place}.{up_norm}", y, track)
    if depth in kept:
        y = torch.where(kept[depth] >= 0.5, 2 * y, torch.zeros_like(y))
    return torch.cat([x, y], dim=1)


def unet(state: State, x: Tensor, last: int, kept: dict[int, Tensor], track: bool) -> Tensor:
    return level(state, x, "model.model", 0, last, kept, track)


def patches(state: State, x: Tensor) -> Tensor:
    """Logits; batch norm where the state has any, else instance norm."""
    x = lrelu(F.conv2d(x, state["model.0.weight"], state["model.0.bias"], stride=2, padding=1))
    for index, stride in ((2, 2), (5, 2), (8, 1)):
        name = f"model.{index}"
        x = F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding=1)
        norm = f"model.{index + 1}"
        batch = f"{norm}.weight" in state
        x = lrelu(batch_norm(state, norm, x) if batch else instance_norm(x))
    return F.conv2d(x, state["model.11.weight"], state["model.11.bias"], padding=1)


def resnet(state: State, x: Tensor) -> Tensor:
    """Nine blocks."""

    def conv(x: Tensor, name: str, stride: int = 1, reflected: int = 0) -> Tensor:
        x = F.pad(x, (reflected,) * 4, mode="reflect")
        padding = 1 if stride == 2 else 0
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)

    x = instance_norm(conv(x, "model.1", reflected=3)).clamp(min=0)
    for index in (4, 7):
        x = instance_norm(conv(x, f"model.{index}", stride=2)).clamp(min=0)
    for index in range(10, 19):
        y = instance_norm(conv(x, f"model.{index}.conv_block.1", reflected=1)).clamp(min=0)
        x = x + instance_norm(conv(y, f"model.{index}.conv_block.5", reflected=1))
    for index in (19, 22):
        x = F.conv_transpose2d(
            x, state[f"model.{index}.weight"], state[f"model.{index}.bias"],
            stride=2, padding=1, output_padding=1,
        )  # fmt: skip
        x = instance_norm(x).clamp(min=0)
    return torch.tanh(conv(x, "model.26", reflected=3))


class Adam:
    """Betas (0.5, 0.999), over the parameters of several states."""

    def __init__(self, states: list[State], rate: float) -> None:
        self.states, self.rate, self.steps = states, rate, 0
        self.moments: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}

    def learning(self) -> None:
        for state in self.states:
            for name in state:
                if not name.endswith(BUFFERS):
                    state[name] = state[name].detach().clone().requires_grad_()

    def move(self, loss: Tensor) -> None:
        self.steps += 1
        names = [
            (number, name) for number, state in enumerate(self.states)
            for name, tensor in state.items() if tensor.requires_grad
        ]  # fmt: skip
        weights = [self.states[number][name] for number, name in names]
        gradients = torch.autograd.grad(loss, weights)
        for (number, name), weight, gradient in zip(names, weights, gradients, strict=True):
            zero = torch.zeros_like(gradient)
            first, second = self.moments.get((number, name), (zero, zero))
            first = 0.5 * first + 0.5 * gradient
            second = 0.999 * second + 0.001 * gradient.square()
            self.moments[number, name] = first, second
            root = (second / (1 - 0.999**self.steps)).sqrt() + 1e-8
            moved = weight.detach() - self.rate * first / (1 - 0.5**self.steps) / root
            self.states[number][name] = moved


def bce(logits: Tensor, target: float) -> Tensor:
    """Of a sigmoid."""
    probability = torch.sigmoid(logits)
    return -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()


class PlainPix2Pix:
    def __init__(self, generator: State, discriminator: State, rate: float, last: int) -> None:
        self.generator, self.discriminator, self.last = generator, discriminator, last
        self.of_generator = Adam([generator], rate)
        self.of_discriminator = Adam([discriminator], rate)

    def step(self, shown: Tensor, photos: Tensor, kept: dict[int, Tensor]) -> dict[str, Tensor]:
        self.of_generator.learning()
        fake = unet(self.generator, shown, self.last, kept, track=True)
        self.of_discriminator.learning()
        on_fake = patches(self.discriminator, torch.cat([shown, fake.detach()], dim=1))
        on_real = patches(self.discriminator, torch.cat([shown, photos], dim=1))
        told = {"D/fake": bce(on_fake, 0.0) / 2, "D/real": bce(on_real, 1.0) / 2}
        self.of_discriminator.move(told["D/fake"] + told["D/real"])
        judged = patches(self.discriminator, torch.cat([shown, fake], dim=1))
        told["G/gan"] = bce(judged, 1.0)
        told["G/l1"] = 100 * (fake - photos).abs().mean()
        self.of_generator.move(told["G/gan"] + told["G/l1"])
        return {name: term.detach() for name, term in told.items()}


class PlainPool:
    def __init__(self, capacity: int) -> None:
        self.capacity, self.kept, self.swapped = capacity, [], 0

    def query(self, images: Tensor, numbers: list[list[float]]) -> Tensor:
        shown = []
        for image, (chance, place) in zip(images, numbers, strict=True):
            if len(self.kept) < self.capacity:
                self.kept.append(image)
                shown.append(image)
            elif chance > 0.5:
                index = int(place * self.capacity)
                shown.append(self.kept[index])
                self.kept[index] = image
                self.swapped += 1
            else:
                shown.append(image)
        return torch.stack(shown)


class PlainCycleGAN:
    """States by the names of the networks."""

    def __init__(self, states: dict[str, State], rate: float, pool: int, identity: float) -> None:
        self.states, self.identity = states, identity
        self.of_generators = Adam([states["generator"], states["to_labels"]], rate)
        judges = [states["discriminator"], states["label_discriminator"]]
        self.of_discriminators = Adam(judges, rate)
        self.pools = PlainPool(pool), PlainPool(pool)

    def step(
        self, labels: Tensor, photos: Tensor, numbers: tuple[list[list[float]], list[list[float]]]
    ) -> dict[str, Tensor]:
        to_photo, to_labels, of_photos, of_labels = (
            self.states[name]
            for name in ("generator", "to_labels", "discriminator", "label_discriminator")
        )
        self.of_generators.learning()
        fake_photos, fake_labels = resnet(to_photo, labels), resnet(to_labels, photos)
        told = {
            "G/gan_photos": (patches(of_photos, fake_photos) - 1).square().mean(),
            "G/gan_labels": (patches(of_labels, fake_labels) - 1).square().mean(),
            "G/cycle_labels": 10 * (resnet(to_labels, fake_photos) - labels).abs().mean(),
            "G/cycle_photos": 10 * (resnet(to_photo, fake_labels) - photos).abs().mean(),
        }
        if self.identity:
            weight = 10 * self.identity
            told["G/identity_photos"] = weight * (resnet(to_photo, photos) - photos).abs().mean()
            told["G/identity_labels"] = weight * (resnet(to_labels, labels) - labels).abs().mean()
        self.of_generators.move(torch.stack(list(told.values())).sum())
        fake_photos = self.pools[0].query(fake_photos.detach(), numbers[0])
        fake_labels = self.pools[1].query(fake_labels.detach(), numbers[1])
        self.of_discriminators.learning()
        judged = {
            "D/real_photos": (patches(of_photos, photos) - 1).square().mean() / 2,
            "D/fake_photos": patches(of_photos, fake_photos).square().mean() / 2,
            "D/real_labels": (patches(of_labels, labels) - 1).square().mean() / 2,
            "D/fake_labels": patches(of_labels, fake_labels).square().mean() / 2,
        }
        self.of_discriminators.move(torch.stack(list(judged.values())).sum())
        return {name: term.detach() for name, term in (told | judged).items()}
