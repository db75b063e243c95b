# SPDX-License-Identifier: Apache-2.0
"""What a painting page asks: maps of the dataset, images of painted maps, how they are read.

Nothing of a request is kept but the photos that styles are taken from. One image is made at a time,
whoever asks, in a thread of its own: it has all cores, and its processor time is its own.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import UserError
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.models.limits import MOST_PAINTED_PIXELS, MOST_PHOTOS_HELD
from spade_eval.pages.painting import maps
from spade_eval.pages.painting.maps import PaintedMap
from spade_eval.pages.painting.models import PaintingModel
from spade_eval.pages.painting.styles import AskedStyle
from spade_eval.scoring.in_domain import load_in_domain, shipped
from spade_eval.segmenters.in_domain import InDomainNetwork

Result = TypeVar("Result")


@dataclass(frozen=True)
class Reading:
    """What the in-domain segmenter sees in one image, by that image's own counts."""

    labels: NDArray[np.uint8]  # (H, W)
    iou: dict[int, float]  # fractions, of the classes that the painted map holds
    miou: float | None  # their mean; None where no pixel has a class
    accuracy: float | None


@dataclass(frozen=True)
class PaintedImage:
    """An image of a painted map, how it is read, and what it took."""

    pixels: NDArray[np.uint8]  # (H, W, 3)
    reading: Reading | None
    seconds: float  # of the image alone, from the maps on
    cpu_seconds: float  # of all cores together


class Session:
    """The models of one page, on the val split of one dataset at one size."""

    def __init__(
        self, dataset: Dataset, models: Sequence[PaintingModel], device: torch.device
    ) -> None:
        _require_size(dataset)
        self.dataset, self.models, self.device = dataset, tuple(models), device
        weights = shipped(dataset)
        self.segmenter: InDomainNetwork | None = None
        if weights is not None:
            self.segmenter = load_in_domain(weights, dataset).to(device)
        self._index_of = {name: index for index, name in enumerate(dataset.names)}
        self._photos: OrderedDict[str, Sample] = OrderedDict()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="painting")

    def facts(self) -> dict[str, Any]:
        """Return what the page must know, in the types of JSON."""
        space, (height, width) = self.dataset.label_space, self.dataset.size
        return {
            "dataset": f"{self.dataset.name} {self.dataset.split}",
            "height": height,
            "width": width,
            "classes": [
                [name, list(color)]
                for name, color in zip(space.class_names, space.palette, strict=True)
            ],
            "hasUnlabelled": space.has_unlabelled,
            "names": self.dataset.names,
            "models": [model.facts() for model in self.models],
            "segmenter": None if self.segmenter is None else self.segmenter.title,
        }

    def opened(self, name: str) -> tuple[PaintedMap, int]:
        """Return the map of that name and its place in the split."""
        index = self._place(name)
        return self._in_turn(lambda: maps.of_sample(self.dataset[index])), index

    def hold_photo(self, content: bytes) -> str:
        """Keep a photo for its style and return the name that it is asked for by."""
        pixels = maps.read_photo_file(content, self.dataset.size)
        name = f"opened:{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}"
        height, width = self.dataset.size
        labels = np.zeros((height, width), dtype=np.uint8)
        sample = Sample(name=name, label_map=labels, instance_map=None, photo=pixels)
        self._in_turn(lambda: self._hold(name, sample))
        return name

    def photo(self, name: str) -> NDArray[np.uint8]:
        """Return (H, W, 3) of the dataset or of a photo that is held."""
        return self._in_turn(lambda: self._photo_sample(name)).photo

    def painted(self, place: int, painted: PaintedMap, style: AskedStyle) -> PaintedImage:
        """Make the image of a map by the model at that place."""
        if not 0 <= place < len(self.models):
            raise UserError(f"there is no model {place}, expected 0..{len(self.models) - 1}")
        return self._in_turn(lambda: self._painted(self.models[place], painted, style))

    def _painted(
        self, model: PaintingModel, painted: PaintedMap, style: AskedStyle
    ) -> PaintedImage:
        photo = self._photo_of(model, style)
        started, cpu_started = time.perf_counter(), time.process_time()
        image = model.image(painted.sample(), style, photo).cpu()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
        pixels = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
        return PaintedImage(pixels, self._read(image, painted.labels), seconds, cpu)

    def _photo_of(self, model: PaintingModel, style: AskedStyle) -> Sample | None:
        if model.photos == "none":
            return None
        if style.photo is None:
            return self.dataset[0] if model.needs_photo else None
        if model.photos == "of the dataset" and style.photo not in self._index_of:
            raise UserError(
                f"{model.title} takes a style from each region of a photo's own label map, which "
                "a file lacks; choose a photo of the dataset"
            )
        return self._photo_sample(style.photo)

    def _photo_sample(self, name: str) -> Sample:
        if name in self._photos:
            self._photos.move_to_end(name)
            return self._photos[name]
        return self.dataset[self._place(name)]

    def _hold(self, name: str, sample: Sample) -> None:
        self._photos[name] = sample
        self._photos.move_to_end(name)
        while len(self._photos) > MOST_PHOTOS_HELD:
            self._photos.popitem(last=False)

    def _place(self, name: str) -> int:
        if name not in self._index_of:
            names = self.dataset.names
            raise UserError(
                f"{name[:100]!r} is no map or photo of {self.dataset.name} {self.dataset.split}, "
                f"expected one of its {len(names):,} names, such as {names[0]}, or a photo that "
                "was opened just now"
            )
        return self._index_of[name]

    @torch.inference_mode()
    def _read(self, image: Tensor, labels: NDArray[np.uint8]) -> Reading | None:
        if self.segmenter is None:
            return None
        unit = image.to(self.device).float() / 255
        predicted = self.segmenter(unit).argmax(dim=1).cpu()
        counts = SegmentationScores(self.segmenter.num_classes, averaged="target")
        counts.update(predicted, torch.from_numpy(labels.astype(np.int64))[None])
        known = bool(counts.counts[1].sum())
        scores = counts.compute() if known else {}
        iou = enumerate(counts.per_class_iou()) if known else ()
        return Reading(
            labels=predicted[0].byte().numpy(),
            iou={label: value for label, value in iou if value is not None},
            miou=scores.get("miou"),
            accuracy=scores.get("acc_valid"),
        )

    def _in_turn(self, work: Callable[[], Result]) -> Result:
        return self._worker.submit(work).result()


def _require_size(dataset: Dataset) -> None:
    height, width = dataset.size
    if height * width > MOST_PAINTED_PIXELS:
        raise UserError(
            f"--size {height}x{width}: at most {MOST_PAINTED_PIXELS:,} pixels can be painted on; "
            "choose a smaller size"
        )
