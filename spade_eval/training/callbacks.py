# SPDX-License-Identifier: Apache-2.0
"""What watches a training: the loss log, the image grid, trackers. None of them changes it."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from spade_eval.batches import coloured, layout_for, photos, semantic_map, tiled
from spade_eval.datasets.base import Dataset
from spade_eval.files import replaced
from spade_eval.json_fields import parsed_json
from spade_eval.models.inputs import Inputs, Noise, Style
from spade_eval.models.training.trainer import Trainer
from spade_eval.training.trackers.base import Trackers


class LossLog:
    """One JSON line per observed step; a continued run first drops what it will write again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: int | None = None

    def __call__(self, step: int, losses: Mapping[str, float]) -> None:
        if self._last is None:
            continued(self.path, step)
        self._last = step
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **losses}) + "\n")


def continued(path: Path, step: int) -> list[dict[str, Any]]:
    """Keep the whole lines of a log of JSON lines before a step, in the file and in the result."""
    if not path.exists():
        return []
    whole = [
        line
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")
    ]
    kept = [line for line in whole if _step_of(line) < step]
    with replaced(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    return [parsed_json(line) for line in kept]


def _step_of(line: str) -> float:
    """Return the step of a line, infinity for one that is damaged."""
    try:
        return float(parsed_json(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


class GridWriter:
    """A PNG: label map, real photo and synthesized image of the first samples.

    Trackers are shown the same.
    """

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        dataset: Dataset,
        device: torch.device,
        trackers: Trackers,
        count: int = 6,
    ) -> None:
        self.folder, self.trainer, self.trackers = folder, trainer, trackers
        samples = [dataset[index] for index in range(min(count, len(dataset)))]
        semantics = semantic_map(samples, layout_for(type(trainer.system), dataset), device)
        shown = photos(samples)
        # Systems that take styles are shown doing what they learn: reconstructing the photo.
        style = Style(shown.to(device).float() / 127.5 - 1, semantics)
        noise = Noise.of_images(0, range(len(samples)), device=device)
        self.inputs = Inputs(semantics, noise, style)
        self.above = torch.cat([coloured(samples, dataset), shown])
        self.columns = len(samples)

    def __call__(self, step: int) -> None:
        images = (
            ((self.trainer.synthesized(self.inputs, quick=True).cpu() + 1) / 2 * 255)
            .clamp(0, 255)
            .to(torch.uint8)
        )
        grid = tiled(torch.cat([self.above, images]), self.columns)
        self.folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grid.numpy()).save(self.folder / f"step_{step:07d}.png")
        self.trackers.image(step, "samples", grid.numpy())


class TrackedLosses:
    """Tells trackers the losses of an observed step, and the norms of its gradients."""

    def __init__(self, trackers: Trackers, trainer: Trainer) -> None:
        self.trackers, self.trainer = trackers, trainer

    def __call__(self, step: int, losses: Mapping[str, float]) -> None:
        norms = self.trainer.gradient_norms
        measured = {f"gradient norm/{name}": norm.item() for name, norm in norms.items()}
        self.trackers.scalars(step, {**losses, **measured})


def tracked_scores(
    trackers: Trackers, score: Callable[[int], Mapping[str, Any]]
) -> Callable[[int], None]:
    """Return an action that scores and tells trackers every number that has a value."""

    def act(step: int) -> None:
        values = {name: value for name, value in score(step).items() if isinstance(value, float)}
        trackers.scalars(step, {f"score/{name}": value for name, value in values.items()})

    return act
