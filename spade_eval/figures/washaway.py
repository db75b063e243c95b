# SPDX-License-Identifier: Apache-2.0
"""Figure 3: on a label map of one label, instance norm washes the label away and SPADE keeps it.

The convolution of a constant is a constant, whose instance norm is zero: pix2pixHD's output then
cannot depend on the label. In floating point it does, because the mean is rounded and each norm
divides by sqrt(variance + 1e-5), so that rounding errors grow by up to 316 times a layer. Taking
the first pixel off before the norm ("exact", the same function on paper) makes the zeros exact.
Batch norm in eval mode divides by stored statistics and removes no constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError
from spade_eval.figures.networks import (
    RANDOM,
    FigureGenerator,
    from_checkpoint,
    random_generator,
    synthesize,
)
from spade_eval.figures.pictures import Column, save_figure
from spade_eval.models.generators.local_enhancer import LocalEnhancerGenerator
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator
from spade_eval.models.inputs import Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.sources.checkpoints import ReleasedOptions

_RANDOM_NETWORKS = {"pix2pixHD": "pix2pixhd", "SPADE": "spade", "pix2pixHD++": "pix2pixhdpp"}
_FIRST_NORM_BOUND = 1e-4


@dataclass(frozen=True)
class WashedImages:
    """What one generator makes of the uniform label maps."""

    mark: str  # what is to be seen: (b) exact zeros, (c) SPADE, (d) stored statistics
    title: str
    images: Tensor  # (labels, 3, H, W) in [-1, 1]
    first_norm: float | None = None  # largest |value| after pix2pixHD's first norm
    from_bias: float | None = None  # largest distance to tanh(bias of the last convolution)

    @property
    def label_difference(self) -> float:
        """Largest difference between the images of two labels; 0 if the label is washed away."""
        pairs = combinations(self.images, 2)
        return max(float((one - other).abs().max()) for one, other in pairs)

    @property
    def spatial_range(self) -> float:
        """Largest difference between two pixels of one channel of one image."""
        return float((self.images.amax((2, 3)) - self.images.amin((2, 3))).max())

    def lines(self) -> list[str]:
        """Return the numbers as text."""
        lines = []
        if self.first_norm is not None:
            bounded = "below" if self.first_norm < _FIRST_NORM_BOUND else "NOT below"
            lines.append(
                f"(a) {self.title}: after the first norm at most {self.first_norm:.2g}, "
                f"{bounded} 1e-4"
            )
        text = (
            f"{self.mark} {self.title}: largest difference between labels "
            f"{self.label_difference:.3g}, between pixels {self.spatial_range:.3g}"
        )
        if self.from_bias is not None:
            text += f", to tanh(bias of the last convolution) {self.from_bias:.3g}"
        return [*lines, text]


def washaway(
    folder: Path,
    dataset: Dataset,
    labels: Sequence[str],
    checkpoints: Sequence[Path],
    released: ReleasedOptions,
    seed: int,
) -> tuple[list[str], Path]:
    """Return lines of numbers and the picture, of these checkpoints or of random networks."""
    values = _label_values(labels, dataset)
    if checkpoints:
        generators = [from_checkpoint(file.stem, file, dataset, released) for file in checkpoints]
    else:
        generators = [
            random_generator(title, preset, dataset, seed)
            for title, preset in _RANDOM_NETWORKS.items()
        ]
    results = [
        result
        for generator in generators
        for result in _washed(generator, values, dataset.size, seed)
    ]
    height, width = dataset.size
    weights = f"{RANDOM}, seed {seed}" if not checkpoints else "weights of the checkpoints"
    head = (
        f"Figure 3, wash-away: uniform {height}x{width} label maps ({', '.join(labels)}) of "
        f"{dataset.name}, {weights}"
    )
    lines = [head, *(line for result in results for line in result.lines())]
    suffix = "" if checkpoints else f" ({RANDOM})"
    columns: dict[str, Column] = {"label map": _colours(values, dataset)}
    columns |= {f"{result.title}{suffix}": list(result.images) for result in results}
    caption = ". ".join(line.strip() for line in lines) + "."
    path = save_figure(folder, "washaway", columns, caption)
    return lines, path


def _washed(
    generator: FigureGenerator, values: Sequence[int], size: tuple[int, int], seed: int
) -> list[WashedImages]:
    """Run a generator with instance norm in both forms of it, every other as it is."""
    network, layout = generator.network, generator.layout
    config: Any = network.config
    if not isinstance(network, Pix2PixHDGenerator | LocalEnhancerGenerator) or (
        config.norm != "instance"
    ):
        images = _of_uniform_maps(generator, values, size, seed)
        mark = "(c)" if config.norm == "spade" else "(d)"
        return [WashedImages(mark, generator.title, images)]
    exact = type(network)(replace(config, norm="instance_exact"))
    exact.load_state_dict(network.state_dict())
    washed = replace(generator, network=exact.eval())
    images = _of_uniform_maps(washed, values, size, seed)
    bias = network.to_rgb.bias
    assert isinstance(bias, Tensor)
    from_bias = (images - bias.detach().tanh()[:, None, None]).abs().max()
    plain = _of_uniform_maps(generator, values, size, seed)
    return [
        WashedImages(
            "   ",
            f"{generator.title}, float32",
            plain,
            first_norm=_after_first_norm(network, layout, values, size),
        ),
        WashedImages("(b)", f"{generator.title}, exact", images, from_bias=float(from_bias)),
    ]


def _of_uniform_maps(
    generator: FigureGenerator, values: Sequence[int], size: tuple[int, int], seed: int
) -> Tensor:
    """One image a label, all with one latent where there is any."""
    z = None if generator.z_dim is None else Noise.of_images(seed, [0]).normal("z", generator.z_dim)
    return torch.cat(
        [synthesize(generator, uniform_map(value, generator.layout, size), z) for value in values]
    )


def _after_first_norm(
    network: nn.Module, layout: SemanticLayout, values: Sequence[int], size: tuple[int, int]
) -> float | None:
    if not isinstance(network, Pix2PixHDGenerator):
        return None
    largest = 0.0
    with torch.inference_mode():
        for value in values:
            semantics = uniform_map(value, layout, size)
            normalised: Tensor = network.trunk.stem(semantics.full, semantics)
            largest = max(largest, float(normalised.abs().max()))
    return largest


def uniform_map(value: int, layout: SemanticLayout, size: tuple[int, int]) -> SemanticMap:
    """Return one label everywhere, one instance: the edge channel, if there is one, is zero."""
    full = torch.full((1, *size), value)
    return SemanticMap(full, layout, torch.zeros_like(full) if layout.edges else None)


def _label_values(labels: Sequence[str], dataset: Dataset) -> list[int]:
    names = dataset.label_space.class_names
    unknown = [label for label in labels if label not in names]
    if unknown or len(set(labels)) < 2:
        fault = f"{dataset.name} has no class {unknown[0]!r}" if unknown else "fewer than two"
        raise UserError(
            f"--label: {fault}; expected two or more different classes of {', '.join(names)}"
        )
    return [names.index(label) for label in labels]


def _colours(values: Sequence[int], dataset: Dataset) -> list[Tensor]:
    colours = torch.tensor(dataset.label_space.palette, dtype=torch.uint8)
    return [colours[value][:, None, None].expand(3, *dataset.size) for value in values]
