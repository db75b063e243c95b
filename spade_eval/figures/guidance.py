# SPDX-License-Identifier: Apache-2.0
"""How far a style photo decides the look of the image: brightness and warmth of both, correlated.

The posterior's noise and the encoder both move an image. Where the KL term keeps the posterior near
N(0, 1), as in a short training, most of the movement is noise, and the correlation says so.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from spade_eval.batches import photos, semantic_map
from spade_eval.datasets.base import Dataset
from spade_eval.figures.networks import FigureGenerator, synthesize
from spade_eval.progress import followed

_BATCH = 20


@torch.inference_mode()
def guidance_line(
    generator: FigureGenerator, dataset: Dataset, styles: Tensor, indices: Sequence[int]
) -> str:
    """Describe one label map in the styles (N, z_dim) of these samples' photos, in one line."""
    label_map = dataset[0]
    shown: list[Tensor] = []
    made: list[Tensor] = []
    starts = range(0, len(indices), _BATCH)
    for start in followed(starts, "guidance", len(starts), "batch"):
        part = indices[start : start + _BATCH]
        semantics = semantic_map([label_map] * len(part), generator.layout, torch.device("cpu"))
        made.append(_look(synthesize(generator, semantics, styles[start : start + len(part)])))
        shown.append(_look(photos([dataset[index] for index in part]).float() / 127.5 - 1))
    brightness, warmth = (
        float(torch.corrcoef(torch.stack(pair))[0, 1])
        for pair in zip(torch.cat(shown).unbind(1), torch.cat(made).unbind(1), strict=True)
    )
    return (
        f"guidance: over {len(indices)} style photos the correlation between photo and image is "
        f"{brightness:.2f} in brightness and {warmth:.2f} in warmth (1: the photo decides, 0: not "
        "at all)"
    )


def _look(images: Tensor) -> Tensor:
    """Compute (N, 2): mean over the image, and mean of red minus blue."""
    red, green, blue = images.mean(dim=(2, 3)).unbind(1)
    return torch.stack([(red + green + blue) / 3, red - blue], dim=1)
