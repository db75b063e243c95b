# SPDX-License-Identifier: Apache-2.0
"""What watches a training: the loss log, the image grid, TensorBoard. None of them changes it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from spade_eval.batches import coloured, layout_for, photos, semantic_map, tiled
from spade_eval.datasets.base import Dataset
from spade_eval.files import replaced
from spade_eval.json_fields import parsed_json
from spade_eval.models.inputs import Inputs, Noise, Style
from spade_eval.models.training.loop import Callback
from spade_eval.models.training.trainer import Trainer
from spade_eval.progress import tell


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
    """A PNG: label map, real photo and synthesized image of the first samples."""

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        dataset: Dataset,
        device: torch.device,
        count: int = 6,
    ) -> None:
        self.folder, self.trainer = folder, trainer
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


def tensorboard_log(folder: Path) -> tuple[Callback, ...]:
    """Log losses for TensorBoard; nothing, and one line that says so, where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        tell("TensorBoard is not installed; losses go to losses.jsonl only.")
        return ()
    writer = SummaryWriter(str(folder))

    def write(step: int, losses: Mapping[str, float]) -> None:
        for name, value in losses.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return (write,)
