# SPDX-License-Identifier: Apache-2.0
"""How long the networks that score images take: segmenters of papers, Inception of FID.

Where weight files are absent, deterministic noise stands in for them: the time is the same, and the
row says so. All variants look at the same 8-bit images, and are compared with the first one: in
standard deviations of its output, and, of segmenters, in the pixels that keep their class.
Segmenters check the range of their images, which waits for the device: no CUDA graph holds that.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.bench.generator import counted_operations
from spade_eval.bench.timing import Clock, Row, Run, alternating
from spade_eval.bench.variants import Variant, replayed
from spade_eval.errors import lookup
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.models.labels import Size
from spade_eval.models.training.precision import as_channels_last, tf32
from spade_eval.scoring.distances import open_inception
from spade_eval.segmenters import SEGMENTERS
from spade_eval.weights import installed, is_installed
from spade_eval.weights.table import files_of_segmenter

_COARSE = 8  # pixels a side of what the images are enlarged from


@dataclass(frozen=True)
class ScoringNetwork:
    """A network on the CPU, and what it is."""

    name: str
    title: str
    network: nn.Module
    filled: bool  # noise stands in for its weights
    is_segmenter: bool


def official_segmenter(name: str, weights_dir: Path) -> ScoringNetwork:
    """Open a row of `SEGMENTERS` with its files, or with noise where one is absent."""
    entry = lookup(SEGMENTERS, name, "segmenter")
    files = files_of_segmenter(name)
    if all(is_installed(file, weights_dir) for file in files):
        loaded = [load_tensors(installed(file, weights_dir)) for file in files]
        return ScoringNetwork(name, entry.title, entry.load(loaded), False, True)
    return ScoringNetwork(name, entry.title, entry.filled(), True, True)


def inception_of(profile: str, weights_dir: Path) -> ScoringNetwork:
    """Open the Inception network of an FID profile, with noise where its file is absent."""
    known = lookup(FID_PROFILES, profile, "FID profile")
    network, title, _, is_filled = open_inception(known, weights_dir, filled=True)
    return ScoringNetwork(profile, title, network, is_filled, False)


def scoring_network(name: str, weights_dir: Path) -> ScoringNetwork:
    """Open what `name` says: a row of `SEGMENTERS`, or the Inception of an FID profile."""
    openers = dict.fromkeys(SEGMENTERS, official_segmenter) | dict.fromkeys(
        FID_PROFILES, inception_of
    )
    return lookup(openers, name, "segmenter or FID profile")(name, weights_dir)


def time_scoring_network(
    scoring: ScoringNetwork,
    size: Size,
    batch_size: int,
    *,
    chosen: Sequence[Variant],
    repeats: int,
    warm_up: int,
    device: torch.device,
    ceiling: float,
) -> list[Row]:
    """Time each variant -> a row each; seconds are of one batch, as in `time_generator`.

    Half precision is torch's autocast, so preprocessing stays in float32.
    """
    images = _images(batch_size, size).to(device)
    if not scoring.is_segmenter:  # as the scorer gives them; floats would be checked as well
        images = (255 * images).round().to(torch.uint8)
    runs = [_run_of(scoring.network, variant, images, device) for variant in chosen]
    operations = counted_operations(runs[0], device)
    timings = alternating(runs, repeats=repeats, warm_up=warm_up, device=device)
    first = timings[0]
    return [
        {
            "network": scoring.name,
            "title": scoring.title,
            "filled": scoring.filled,
            "height": size[0],
            "width": size[1],
            "batch": batch_size,
            "device": device.type,
            "operations": operations,
            "operations_per_second": ceiling,
            **timing.row,
            "variant": variant.name,
            "precision": variant.precision,
            "ratio": first.median / timing.median,
            "share": operations / timing.median / ceiling,
            "peak_mib": timing.peak_mib,
            "deviation": _deviation(timing.value, first.value),
            "same_classes": _agreement(timing.value, first.value) if scoring.is_segmenter else None,
        }
        for variant, timing in zip(chosen, timings, strict=True)
    ]


def _images(count: int, size: Size) -> Tensor:
    """(count, 3, H, W) in [0, 1], of 8-bit levels, smooth, the same each time."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, _COARSE, _COARSE, generator=generator)
    enlarged = F.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return (255 * enlarged).round() / 255


def _run_of(
    network: nn.Module, variant: Variant, images: Tensor, device: torch.device
) -> Run[Tensor]:
    form = copy.deepcopy(network)
    if variant.fast:
        form = accelerate_frozen(form)
    form = form.to(device)
    if variant.channels_last:
        as_channels_last(form)
    called: Callable[[Tensor], Tensor] = torch.compile(form) if variant.compiled else form
    half = variant.dtype != torch.float32

    def compute() -> Tensor:
        with torch.autocast(device.type, dtype=variant.dtype if half else None, enabled=half):
            return called(images)

    if variant.graph:
        compute = replayed(compute, device)

    def run(number: int, clock: Clock) -> Tensor:
        with clock(), torch.no_grad(), tf32(variant.precision == "tf32"):
            return compute()

    return run


def _deviation(output: Tensor, reference: Tensor) -> float:
    """Return the largest difference, in standard deviations of the reference."""
    difference = (output.float() - reference.float()).abs().max()
    return (difference / reference.float().std()).item()


def _agreement(output: Tensor, reference: Tensor) -> float:
    return (output.argmax(dim=1) == reference.argmax(dim=1)).float().mean().item()
