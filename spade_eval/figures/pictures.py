# SPDX-License-Identifier: Apache-2.0
"""Images of a figure as PNG files in columns, and the one picture of all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from spade_eval.batches import to_8_bit, to_unit_range
from spade_eval.figures.grid import samples_grid
from spade_eval.files import written_whole
from spade_eval.protocol import PROFILES

Column = Sequence[Tensor | None]
"""Images (3, H, W), uint8 or float in [-1, 1], from the top; None leaves a cell empty."""


def save_figure(folder: Path, name: str, columns: Mapping[str, Column], caption: str) -> Path:
    """Write `<name>.png`, and every image of it below `<name>/`."""
    placed = {}
    for number, (title, images) in enumerate(columns.items()):
        paths = [folder / name / f"{number:02d}_{row:02d}.png" for row in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            path.unlink(missing_ok=True)
            if image is not None:
                _save(path, image)
        placed[title] = paths
    return samples_grid(placed, folder / f"{name}.png", caption)


def _save(path: Path, image: Tensor) -> None:
    if image.is_floating_point():
        image = to_8_bit(to_unit_range(image), PROFILES["in-domain"])
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    with written_whole(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
