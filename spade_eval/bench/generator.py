# SPDX-License-Identifier: Apache-2.0
"""How long a generator takes: the fast forms against the dense ones, which are the equations.

All variants take turns on the same batch of label maps, so that a busy machine slows them alike;
ratios are of medians. Finding the distinct windows of a batch is part of the fast form's time. A
variant in half precision is reported with its deviation from the dense float32 images; scores never
come from it.
"""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from spade_eval.bench.maps import BenchMaps
from spade_eval.memory import peak_mib, reset_peak, wait_for
from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.fast.accelerate import set_form
from spade_eval.models.generators import build_generator, generator_config
from spade_eval.models.initialisation import initialise
from spade_eval.models.losses.objective import OBJECTIVES, Objective
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.gan import GANTraining, OptimizerSettings, TrainingBatch
from spade_eval.models.training.precision import DTYPES, tf32
from spade_eval.models.training.schedule import LinearDecay

Work = Literal["synthesis", "training"]
PRECISIONS = ("tf32", "bf16", "fp16")
"""Besides float32, for which TensorFloat-32 is switched off."""
_CALIBRATION_PASSES = 2
_CONTRAST = 0.3  # standard deviation of the images, whose range is -1 to 1


@dataclass(frozen=True)
class Variant:
    """One way to compute the same images."""

    fast: bool
    compiled: bool = False
    precision: str = "float32"

    @property
    def name(self) -> str:
        parts = ["fast" if self.fast else "dense"]
        parts += ["compiled"] * self.compiled + [self.precision] * (self.precision != "float32")
        return "+".join(parts)


DENSE = Variant(fast=False)


@dataclass(frozen=True, kw_only=True)
class GeneratorTiming:
    """One row; seconds are of one batch."""

    model: str
    work: Work
    variant: str
    height: int
    width: int
    batch: int
    num_labels: int
    base_channels: int
    parameters: int
    repeats: int
    seconds: float  # median
    fastest: float
    slowest: float
    ratio: float  # of the dense float32 variant's median to this one's
    peak_mib: float | None  # of the process, or of the GPU's tensors
    deviation: float | None  # largest difference from the dense float32 images; None in training
    distinct: float  # of the pixels at full size: windows that two 3x3 convolutions tell apart
    device: str


def variants(compiled: bool, precisions: Sequence[str]) -> list[Variant]:
    """The dense form first, then what it is compared with."""
    chosen = [DENSE, Variant(fast=True)]
    if compiled:
        chosen += [Variant(fast=False, compiled=True), Variant(fast=True, compiled=True)]
    return chosen + [
        Variant(fast=fast, precision=name) for name in precisions for fast in (False, True)
    ]


def time_generator(
    model: str,
    maps: BenchMaps,
    batch_size: int,
    *,
    width: float,
    chosen: Sequence[Variant],
    repeats: int,
    warm_up: int,
    device: torch.device,
    work: Work = "synthesis",
) -> list[GeneratorTiming]:
    """A row for each variant; `chosen[0]` is what ratios and deviations refer to."""
    size = (maps.labels.shape[1], maps.labels.shape[2])
    num_labels = maps.layout.num_labels
    generator = build_generator(model, num_labels, size, width).to(device)
    # Two images at least: one alone has no variance where the network is one pixel wide.
    calibrate(generator, maps.batch(0, max(2, batch_size), device))
    runs = [_run_of(generator, variant, work, num_labels, width) for variant in chosen]
    seconds: list[list[float]] = [[] for _ in chosen]
    peaks: list[float] = []
    images: list[Tensor | None] = [None] * len(chosen)
    for number in range(-warm_up, repeats):
        for index, run in enumerate(runs):
            semantics = maps.batch(max(number, 0), batch_size, device)
            if number == -warm_up:
                reset_peak(device)
            wait_for(device)
            started = time.perf_counter()
            found = run(semantics)
            wait_for(device)
            if number >= 0:
                seconds[index].append(time.perf_counter() - started)
                images[index] = found
            if number == -warm_up:  # the first run of all, which is not timed if there are others
                peaks.append(peak_mib(device))
    common = {
        "model": model,
        "work": work,
        "height": size[0],
        "width": size[1],
        "batch": batch_size,
        "num_labels": num_labels,
        "base_channels": generator_config(model, num_labels, size, width).base_channels,
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "repeats": repeats,
        "distinct": _distinct_fraction(maps.batch(0, batch_size, device)),
        "device": device.type,
    }
    return [
        GeneratorTiming(
            variant=variant.name,
            seconds=statistics.median(taken),
            fastest=min(taken),
            slowest=max(taken),
            ratio=statistics.median(seconds[0]) / statistics.median(taken),
            peak_mib=peak if peak >= 0 else None,
            deviation=_deviation(found, images[0]),
            **common,
        )
        for variant, taken, peak, found in zip(chosen, seconds, peaks, images, strict=True)
    ]


def calibrate(generator: nn.Module, semantics: SemanticMap) -> None:
    """Running statistics, spectral norms and contrast as of a network in use: otherwise activations
    of random weights grow from layer to layer, or images are so flat that no form deviates."""
    for norm in generator.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.momentum = None  # the average of all passes, not mostly the initial values
    with torch.no_grad():
        for _ in range(_CALIBRATION_PASSES):
            generator.train()(semantics, *latent(generator, semantics))
        image = generator.eval()(semantics, *latent(generator, semantics))
        generator.to_rgb.weight.mul_(_CONTRAST / image.std())  # type: ignore[union-attr,operator]


def latent(generator: nn.Module, semantics: SemanticMap) -> tuple[Tensor, ...]:
    """What a generator takes besides the map: nothing, or zeros."""
    z_dim = getattr(generator.config, "z_dim", None)
    if z_dim is None:
        return ()
    return (torch.zeros(semantics.batch_size, z_dim, device=semantics.device),)


Run = Callable[[SemanticMap], Tensor | None]


def _run_of(
    generator: nn.Module, variant: Variant, work: Work, num_labels: int, width: float
) -> Run:
    form: Literal["chosen", "dense"] = "chosen" if variant.fast else "dense"
    if work == "training":
        return _training_run(generator, form, num_labels, width)
    dtype = DTYPES.get(variant.precision, torch.float32)
    if dtype != torch.float32:
        generator = copy.deepcopy(generator).to(dtype)
    # Of the dense form the whole network is compiled; of the fast one what torch.compile adds to.
    network = generator
    if variant.compiled and not variant.fast:
        network = torch.compile(generator)  # type: ignore[assignment]

    def run(semantics: SemanticMap) -> Tensor:
        generator.eval()
        set_form(generator, form, compiled=variant.compiled and variant.fast)
        with torch.no_grad(), tf32(variant.precision == "tf32"):
            drawn = (z.to(dtype) for z in latent(generator, semantics))
            image: Tensor = network(semantics.to(dtype=dtype), *drawn)
        return image

    return run


def _training_run(
    generator: nn.Module, form: Literal["chosen", "dense"], num_labels: int, width: float
) -> Run:
    """Whole steps of both networks, without the perceptual loss, whose weights are a download."""
    config = MultiscaleDiscriminator.Config(
        num_labels=num_labels, base_channels=max(8, round(64 * width))
    )
    device = next(generator.parameters()).device
    discriminator = MultiscaleDiscriminator(config)
    initialise(discriminator, "as_trained", seed=1)
    training = GANTraining(
        generator,
        discriminator.to(device),
        Objective(OBJECTIVES["spade"], None),
        OptimizerSettings(generator_rate=0.0, discriminator_rate=0.0, betas=(0.0, 0.9)),
        LinearDecay(constant=1, decay=1),
    )

    def run(semantics: SemanticMap) -> None:
        set_form(generator, form)
        photos = torch.zeros(semantics.batch_size, 3, *semantics.size, device=device)
        training.step([TrainingBatch(semantics, photos)], 0)

    return run


def _deviation(found: Tensor | None, reference: Tensor | None) -> float | None:
    if found is None or reference is None:
        return None
    return (found.float() - reference.float()).abs().max().item()


def _distinct_fraction(semantics: SemanticMap) -> float:
    windows = semantics.windows_at(semantics.size, 3, layer=2)
    return windows.count / windows.pixels.numel()
