# SPDX-License-Identifier: Apache-2.0
"""Whether the layout holds while the latent changes: mIoU and diversity over several latents.

A style may itself be harder to segment (dusk against noon), for photos as for syntheses, so two
questions are kept apart: the same images but for their latents, where every label map draws its own
(the score as the benchmark takes it, again and again), and one latent for all label maps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from spade_eval.batches import label_maps, semantic_map, to_8_bit, to_unit_range
from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError
from spade_eval.figures.networks import FigureGenerator, synthesize
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.progress import followed
from spade_eval.protocol import PROFILES
from spade_eval.scoring.in_domain import SHIPPED, load_in_domain

LatentsOf = Callable[[int, Sequence[int]], Tensor]
"""(number of the latent, indices of label maps) -> (N, z_dim)."""

_BATCH = 20


@dataclass(frozen=True)
class LatentScores:
    """One mIoU a latent, in [0, 1], and how far apart a label map's images lie."""

    miou: tuple[float, ...]
    diversity: float  # mean absolute difference of pixels in [-1, 1]

    @property
    def range(self) -> float:
        """Between the best latent and the worst, in points."""
        return 100 * (max(self.miou) - min(self.miou))


def has_segmenter(dataset: Dataset) -> bool:
    """Return whether a segmenter of that dataset ships with the suite."""
    return dataset.name in SHIPPED


@torch.inference_mode()
def latent_scores(
    generator: FigureGenerator,
    dataset: Dataset,
    latents: LatentsOf,
    num_latents: int,
    num_maps: int,
) -> LatentScores:
    """Score the first label maps of a split with every latent by the in-domain segmenter."""
    if num_maps > len(dataset):
        raise UserError(
            f"--score {num_maps}: {dataset.name} {dataset.split} has {len(dataset)} label maps; "
            "ask for no more than these"
        )
    network = load_in_domain(SHIPPED[dataset.name], dataset)
    counts = [
        SegmentationScores(network.num_classes, averaged="target") for _ in range(num_latents)
    ]
    distances: list[Tensor] = []
    starts = range(0, num_maps, _BATCH)
    for start in followed(starts, "layout", len(starts), "batch"):
        indices = range(start, min(start + _BATCH, num_maps))
        samples = [dataset[index] for index in indices]
        semantics = semantic_map(samples, generator.layout, torch.device("cpu"))
        images = [
            synthesize(generator, semantics, latents(number, indices))
            for number in range(num_latents)
        ]
        for count, synthesized in zip(counts, images, strict=True):
            seen = to_8_bit(to_unit_range(synthesized), PROFILES["in-domain"]).float() / 255
            count.update(network(seen).argmax(dim=1), label_maps(samples))
        pairs = combinations(images, 2)
        distances += [(one - other).abs().mean(dim=(1, 2, 3)) for one, other in pairs]
    return LatentScores(
        tuple(count.compute()["miou"] for count in counts), float(torch.cat(distances).mean())
    )


def layout_lines(
    generator: FigureGenerator,
    dataset: Dataset,
    own: LatentsOf,
    shared: Tensor,
    num_maps: int,
    of: str,
) -> list[str]:
    """Return the numbers as text: `own` gives each map its latent, `shared` is (k, ...)."""

    def same(number: int, indices: Sequence[int]) -> Tensor:
        return shared[number].expand(len(indices), *shared.shape[1:])

    each = latent_scores(generator, dataset, own, len(shared), num_maps)
    one = latent_scores(generator, dataset, same, len(shared), num_maps)
    return [
        f"layout: mIoU of {num_maps} label maps, scored {len(shared)} times with other {of} for "
        f"each map: {_percents(each)}, range {each.range:.2f} points",
        f"mIoU with one of the {of} for all maps: {_percents(one)}, range {one.range:.2f} points; "
        "photos of one style differ too, because a style may be harder to segment",
        f"diversity: mean absolute difference between two images of a label map {one.diversity:.3g}"
        " (of 2)",
    ]


def _percents(scores: LatentScores) -> str:
    return ", ".join(f"{100 * value:.2f}" for value in scores.miou) + "%"
