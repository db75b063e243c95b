# SPDX-License-Identifier: Apache-2.0
"""How long a generator takes: the fast forms against the dense ones, which are the equations.

All variants take turns on the same batch of label maps; ratios are of medians. Finding the distinct
windows of a batch is part of the fast form's time. A variant in half precision is reported with its
deviation from the dense float32 images; scores never come from it.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spade_eval.bench.maps import BenchMaps
from spade_eval.bench.networks import calibrate, synthesized, twin
from spade_eval.bench.timing import Clock, Row, Run, alternating
from spade_eval.bench.train import training_run
from spade_eval.bench.variants import Variant, replayed
from spade_eval.models.fast.neighbourhoods import windows_at
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import plain_generator, system_of
from spade_eval.models.training.precision import tf32

Work = Literal["synthesis", "training"]


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
    ceiling: float,
    work: Work = "synthesis",
) -> list[Row]:
    """Time each variant -> a row each; seconds are of one batch.

    The first of `chosen` is what ratios, deviations (the largest of all pixels; None in training)
    and operations refer to. `ceiling` is what `matrix_product_rate` gives; `share` the operations
    of the first variant over what the machine could do in the time of this one.
    """
    size = (maps.labels.shape[1], maps.labels.shape[2])
    num_labels = maps.layout.num_labels
    generator = plain_generator(model, num_labels, size, width, edges=maps.layout.edges).to(device)
    # Of a diffusion model two steps: all are alike, and a thousand would be for nobody.
    generator.config, _ = system_of(generator).fewest_passes(generator.config)
    runs: list[Run[Tensor | None]]
    if work == "training":
        runs = [training_run(model, maps, batch_size, width, v, device) for v in chosen]
    else:
        # Two images at least: one alone has no variance where the network is one pixel wide.
        calibrate(generator, maps.batch(0, max(2, batch_size), device))
        runs = [_synthesis_run(generator, variant, maps, batch_size, device) for variant in chosen]
    operations = counted_operations(runs[0], device)
    timings = alternating(runs, repeats=repeats, warm_up=warm_up, device=device)
    common = {
        "model": model,
        "work": work,
        "height": size[0],
        "width": size[1],
        "batch": batch_size,
        "num_labels": num_labels,
        "base_channels": getattr(generator.config, "base_channels", None),
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "distinct": _distinct_fraction(maps.batch(0, batch_size, device)),
        "device": device.type,
        "operations": operations,
        "operations_per_second": ceiling,
    }
    return [
        {
            **common,
            **timing.row,
            "variant": variant.name,
            "precision": variant.precision,
            "ratio": timings[0].median / timing.median,
            "peak_mib": timing.peak_mib,
            "deviation": _deviation(timing.value, timings[0].value),
            "share": operations / timing.median / ceiling,
        }
        for variant, timing in zip(chosen, timings, strict=True)
    ]


def _synthesis_run(
    generator: nn.Module, variant: Variant, maps: BenchMaps, batch_size: int, device: torch.device
) -> Run[Tensor | None]:
    # Of the dense form the whole network is compiled; of the fast one what torch.compile adds to.
    fused = variant.compiled and variant.fast
    network = twin(
        generator, fast=variant.fast, compiled=fused, dtype=variant.dtype,
        channels_last=variant.channels_last,
    )  # fmt: skip
    if variant.compiled and not variant.fast:
        network = torch.compile(network)  # type: ignore[assignment]
    system = system_of(generator)

    def synthesize(semantics: SemanticMap) -> Tensor:
        return synthesized(network, semantics, system)

    images: Callable[[SemanticMap], Tensor] = synthesize
    if variant.graph:
        images = _recorded(synthesize, maps.batch(0, batch_size, device), device)

    def run(number: int, clock: Clock) -> Tensor:
        semantics = maps.batch(max(number, 0), batch_size, device)
        with clock(), torch.no_grad(), tf32(variant.precision == "tf32"):
            return images(semantics.to(dtype=variant.dtype))

    return run


def _recorded(
    images: Callable[[SemanticMap], Tensor], held: SemanticMap, device: torch.device
) -> Callable[[SemanticMap], Tensor]:
    """Record images of the map `held`, into which those of others are written."""
    # There and back: the same labels in a map that has made nothing yet, as a new batch is.
    replay = replayed(lambda: images(held.to(dtype=torch.float64).to(dtype=torch.float32)), device)

    def of(semantics: SemanticMap) -> Tensor:
        held.labels_at(held.size).copy_(semantics.labels_at(held.size))
        edges, others = held.edges_at(held.size), semantics.edges_at(held.size)
        if edges is not None and others is not None:
            edges.copy_(others)
        return replay()

    return of


def counted_operations(run: Run[Tensor | None], device: torch.device) -> int:
    """Count those of convolutions and matrix products; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        run(-1, Clock(device))
    return int(counter.get_total_flops())


def _deviation(image: Tensor | None, reference: Tensor | None) -> float | None:
    if image is None or reference is None:
        return None
    return (image.float() - reference.float()).abs().max().item()


def _distinct_fraction(semantics: SemanticMap) -> float:
    """Return windows that two 3x3 convolutions tell apart, over the pixels at full size."""
    windows = windows_at(semantics, semantics.size, 3, layer=2)
    return windows.count / windows.pixels.numel()
