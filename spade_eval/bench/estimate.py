# SPDX-License-Identifier: Apache-2.0
"""How long a training, or scoring, will take, from steps that were measured.

A few steps of the real configuration are taken on the device at hand and thrown away: first with
two images, then with as many as time and memory allow. Where that is less than the batch of the
configuration, its time lies between what the two measurements continue to and what is in
proportion to the larger one.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spade_eval.bench.timing import Clock, Row
from spade_eval.bench.train import time_training
from spade_eval.config import TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.scoring.in_domain import SegmenterConfig, train_segmenter

MEASURING_SECONDS = 60.0
"""What the larger measurement may take."""
_FIRST_IMAGES = 2  # one image has no variance where a network is one pixel wide
_STEPS, _WARM_UP = 3, 1
_HOUR = 3600.0
# What changes the time of a step besides model, size and number of images.
_OF_BUDGET = ("width", "precision", "tf32", "channels_last", "compile", "one_synthesis")


@dataclass(frozen=True, kw_only=True)
class Point:
    """The seconds of a micro batch of so many images, forward and backward, on one device."""

    images: int
    fastest: float
    slowest: float


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Measured points, the fewest images first, and where they come from."""

    points: tuple[Point, ...]
    origin: str

    def seconds(self, images: int) -> tuple[float, float]:
        """Return the least and the most that a micro batch of so many images will take."""
        for point in self.points:
            if point.images == images:
                return point.fastest, point.slowest
        last = self.points[-1]
        low, high = (value * images / last.images for value in (last.fastest, last.slowest))
        if len(self.points) == 1:
            return low, high
        first = self.points[0]
        an_image = max(0.0, (last.fastest - first.fastest) / (last.images - first.images))
        continued = last.fastest + an_image * (images - last.images)
        return min(low, continued), max(high, continued)

    @property
    def measured(self) -> str:
        """The numbers of images, in words."""
        return " and ".join(f"{point.images}" for point in self.points)


@dataclass(frozen=True, kw_only=True)
class TimeEstimate:
    """Hours of a training on so many devices."""

    devices: int
    images: int  # of a micro batch on one device
    low_hours: float
    high_hours: float
    in_proportion: bool  # no measured number of images is that of the configuration


def estimate_time(config: TrainConfig, rate: Rate, devices: int) -> TimeEstimate:
    """Estimate all steps; what the devices exchange is not in it."""
    images = max(1, config.batch_size // config.accumulate // devices)
    hours = [config.steps * config.accumulate * seconds / _HOUR for seconds in rate.seconds(images)]
    known = any(point.images == images for point in rate.points)
    return TimeEstimate(
        devices=devices, images=images, low_hours=hours[0], high_hours=hours[1],
        in_proportion=not known,
    )  # fmt: skip


def measured_rate(
    config: TrainConfig,
    dataset: Dataset,
    device: torch.device,
    weights_dir: Path,
    devices: int = 1,
    seconds: float = MEASURING_SECONDS,
) -> Rate:
    """Take a few steps with the configuration's networks, precision and data on this device."""
    wanted = max(1, config.batch_size // config.accumulate // devices)
    first = min(_FIRST_IMAGES, wanted)
    points = [_point(config, dataset, device, weights_dir, first)]
    images = _images_within(points[0], wanted, seconds)
    origin = f"{_STEPS - _WARM_UP} steps taken now on {_name(device)}"
    while images > first:
        try:
            points.append(_point(config, dataset, device, weights_dir, images))
            break
        except torch.OutOfMemoryError:  # CUDA alone says so
            torch.cuda.empty_cache()
            origin += f"; {images} images do not fit into its memory: --accumulate splits batches"
            images //= 2
    return Rate(points=tuple(points), origin=origin)


def _images_within(first: Point, wanted: int, seconds: float) -> int:
    """Return as many images as the steps may have within that time, doubled from the first."""
    affordable = seconds / _STEPS / first.slowest * first.images
    if affordable >= wanted:
        return wanted
    doublings = max(0, math.floor(math.log2(max(1.0, affordable / first.images))))
    return min(wanted, first.images * 2**doublings)


def _point(
    config: TrainConfig, dataset: Dataset, device: torch.device, weights_dir: Path, images: int
) -> Point:
    few = replace(config, batch_size=images, accumulate=1, steps=_STEPS)
    row = time_training(few, dataset, device, weights_dir, _WARM_UP)
    return Point(images=images, fastest=row["fastest"], slowest=row["slowest"])


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "this CPU"


def kept_rate(config: TrainConfig, lines: Sequence[Row], origin: str) -> Rate | None:
    """Find the lines of `bench train` that measured such steps; None where none did.

    They agree in model, image size and in what changes a step; of several the two largest numbers
    of images count.
    """
    points: dict[int, Point] = {}
    machines = set()
    for line in lines:
        # The images of one device; several processes had each a part. NaN where no line says it.
        alone = not line.get("processes", 1) > 1
        if line.get("bench") == "train" and alone and _is_alike(config, line):
            parts = line["budget"]["accumulate"]
            images = line["batch"] // parts
            points[images] = Point(
                images=images, fastest=line["fastest"] / parts, slowest=line["slowest"] / parts
            )
            on_cuda = str(line["device"]).startswith("cuda")
            machines.add(str(line.get("gpu") if on_cuda else line.get("processor")))
    if not points:
        return None
    largest = sorted(points.values(), key=lambda point: point.images)[-2:]
    return Rate(points=tuple(largest), origin=f"{origin}, on {', '.join(sorted(machines))}")


def _is_alike(config: TrainConfig, line: Row) -> bool:
    size, known = (line.get("height"), line.get("width")), line.get("budget")
    return (
        line.get("model") == config.model
        and size == config.size
        and line.get("perceptual") == config.perceptual
        and isinstance(known, dict)
        and all(known.get(name) == getattr(config, name) for name in _OF_BUDGET)
    )


def segmenter_seconds(
    config: SegmenterConfig, splits: Sequence[Dataset], device: torch.device
) -> float:
    """Measure the seconds of a step of an in-domain segmenter's training, with loading and saving.

    A training of one step before it is not counted: what is only ever slow at first.
    """
    clock = Clock(device)
    with tempfile.TemporaryDirectory() as folder:
        for phase, steps in (("first", 1), ("counted", _STEPS)):
            with clock(phase):
                train_segmenter(replace(config, steps=steps), splits, Path(folder), device)
    return clock.seconds["counted"] / _STEPS
