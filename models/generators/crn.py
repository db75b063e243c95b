# SPDX-License-Identifier: Apache-2.0
"""CRN: a cascade of refinement modules, each at twice the resolution of the one before.

Chen & Koltun, "Photographic Image Synthesis with Cascaded Refinement Networks", ICCV 2017, Sec. 3.
A module of height s takes the features of the module below, enlarged bilinearly with aligned
corners, and the label map, averaged down to its size: coarse label maps are soft. It is two times
convolution, layer norm over the whole image, leaky ReLU. The last one is read out into several
images (Sec. 4, "Synthesizing a diverse collection"), of which the first is what is scored.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.generators.base import check_semantics, refuse_latent
from spade_eval.models.labels import Size
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

_FIRST_HEIGHT = 4
# Channels of the modules up to each height, at full width.
_WIDTHS = ((64, 1024), (256, 512), (512, 128), (1024, 32))


def published_widths(height: int) -> tuple[int, ...]:
    """Return the channels of the modules from height 4 to `height`; else `ValueError`."""
    heights = [_FIRST_HEIGHT << step for step in range(9)]
    if height not in heights[1:]:
        raise ValueError(
            f"CRN makes images of height {height}, expected one of "
            f"{', '.join(map(str, heights[1:]))}; set another size"
        )
    return tuple(
        next(width for upto, width in _WIDTHS if step <= upto)
        for step in heights[: heights.index(height) + 1]
    )


class CRNGenerator(nn.Module):
    """Modules from coarse to fine, and a 1x1 convolution to `num_images` images."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map: classes and "unknown", no edges
        image_size: Size = (256, 512)  # (height, width); the height says how many modules
        num_images: int = 9  # 9 at 256 x 512, 1 in the larger releases
        widths: tuple[int, ...] = ()  # channels of the modules; empty: the published ones

        def __post_init__(self) -> None:
            if not self.widths:
                object.__setattr__(self, "widths", published_widths(self.image_size[0]))

        def scaled(self, width: float) -> "CRNGenerator.Config":
            """Return the configuration with every width times `width`."""
            return replace(self, widths=tuple(max(4, round(w * width)) for w in self.widths))

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2 ** (len(config.widths) - 1)
        below = (0, *config.widths[:-1])
        self.steps = nn.ModuleList(
            RefinementModule(channels + config.num_labels, width)
            for channels, width in zip(below, config.widths, strict=True)
        )
        self.to_rgb = nn.Conv2d(config.widths[-1], 3 * config.num_images, 1)

    def forward(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """Map with H, W multiples of `multiple` -> (N, 3, H, W) in [-1, 1]: the first image."""
        refuse_latent(z, "CRN")
        return self.collection(semantics)[:, 0].clamp(-1, 1)

    def collection(self, semantics: SemanticMap) -> Tensor:
        """Return (N, num_images, 3, H, W); photos are in [-1, 1], which bounds nothing here.

        Image k has its red, green and blue in channels k, num_images + k and 2 * num_images + k.
        """
        check_semantics(semantics, self.config.num_labels, self.multiple)
        pyramid = [semantics.full]
        for _ in self.steps[1:]:
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))
        x: Tensor | None = None
        for step, labels in zip(self.steps, reversed(pyramid), strict=True):
            if x is not None:
                size = labels.shape[-2:]
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
            x = step(labels if x is None else torch.cat([x, labels], dim=1))
        rgb = self.to_rgb(x)
        return rgb.unflatten(1, (3, self.config.num_images)).transpose(1, 2)


class RefinementModule(nn.Module):
    """Two times convolution, layer norm, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = layer_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = layer_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, H, W)."""
        x = F.leaky_relu(self.norm1(self.conv1(x)), 0.2)
        return F.leaky_relu(self.norm2(self.conv2(x)), 0.2)


def layer_norm(channels: int) -> nn.GroupNorm:
    """Build the norm by mean and biased variance over all of an image, affine by channel."""
    return nn.GroupNorm(1, channels, eps=1e-12)


def published_names(config: CRNGenerator.Config) -> dict[str, str]:
    """Map our module names to TensorFlow's scopes in the authors' files."""
    names = {}
    for step in range(len(config.widths)):
        for part in (1, 2):
            scope = f"g_{_FIRST_HEIGHT << step}_conv{part}"
            names[f"steps.{step}.conv{part}"] = scope
            names[f"steps.{step}.norm{part}"] = f"{scope}.LayerNorm"
    return names | {"to_rgb": f"g_{_FIRST_HEIGHT << (len(config.widths) - 1)}_conv100"}


def _config_of(tensors: Shapes, hints: Hints) -> CRNGenerator.Config:
    """Infer the configuration of a state dict with published names.

    Images are twice as wide as high unless a size is given.
    """
    heights = sorted(int(name.split("_")[1]) for name in tensors if name.endswith("_conv1.weight"))
    height = heights[-1]
    return CRNGenerator.Config(
        num_labels=tensors[f"g_{_FIRST_HEIGHT}_conv1.weight"].shape[1],
        image_size=hints.image_size or (height, 2 * height),
        num_images=tensors[f"g_{height}_conv100.weight"].shape[0] // 3,
        widths=tuple(tensors[f"g_{step}_conv1.weight"].shape[0] for step in heights),
    )


# A released checkpoint is the raw file that TensorFlow keeps its variables in: beta1_power and
# beta2_power (4 bytes each), then every variable in the order of names, followed by Adam's two
# moments where it was trained. So the size of the file says which release it is.
@dataclass(frozen=True)
class _Release:
    height: int
    num_images: int
    trained: tuple[str, ...]  # beginnings of the names of trained variables


_OPTIMIZER_BYTES = 8
_RELEASED_LABELS = 20  # the 19 classes of Cityscapes, and the rest
_RELEASES = {
    1_174_505_804: _Release(256, 9, ("g_",)),  # result_256p, result_GTA
    1_183_474_220: _Release(512, 1, ("g_",)),
    401_201_324: _Release(1024, 1, ("g_1024", "g_512")),
}
_LEAVES = {"weights": "weight", "biases": "bias", "gamma": "weight", "beta": "bias"}


def variables(release: _Release) -> dict[str, tuple[tuple[int, ...], int]]:
    """Return every variable's shape, in TensorFlow's order of dimensions, and offset in bytes."""
    widths = published_widths(release.height)
    shapes: dict[str, tuple[int, ...]] = {}
    for step, width in enumerate(widths):
        inputs = _RELEASED_LABELS + (widths[step - 1] if step else 0)
        for part, channels in ((1, inputs), (2, width)):
            scope = f"g_{_FIRST_HEIGHT << step}_conv{part}"
            shapes[f"{scope}/weights"] = (3, 3, channels, width)
            shapes |= {f"{scope}/LayerNorm/{leaf}": (width,) for leaf in ("beta", "gamma")}
    last = f"g_{release.height}_conv100"
    shapes[f"{last}/weights"] = (1, 1, widths[-1], 3 * release.num_images)
    shapes[f"{last}/biases"] = (3 * release.num_images,)
    placed, offset = {}, _OPTIMIZER_BYTES
    for name in sorted(shapes):
        placed[name] = (shapes[name], offset)
        copies = 3 if name.startswith(release.trained) else 1
        offset += 4 * copies * int(np.prod(shapes[name]))
    return placed


def is_released_file(path: Path) -> bool:
    """Return whether a file is named like TensorFlow's data and has the size of a release."""
    return path.name.endswith(".data-00000-of-00001") and path.stat().st_size in _RELEASES


def read_released(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a released data file under published names, in PyTorch's order."""
    tensors = {}
    for name, (shape, offset) in variables(_RELEASES[path.stat().st_size]).items():
        values = np.fromfile(path, "<f4", count=int(np.prod(shape)), offset=offset).reshape(shape)
        scope, _, leaf = name.rpartition("/")
        tensor = torch.from_numpy(values)
        if tensor.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1).contiguous()
        tensors[f"{scope.replace('/', '.')}.{_LEAVES[leaf]}"] = tensor
    return tensors


CRNGenerator.published = Published(
    recognises=lambda tensors: f"g_{_FIRST_HEIGHT}_conv1.weight" in tensors,
    config_of=_config_of,
    names=published_names,
    is_file=is_released_file,
    read=read_released,
    families=("crn",),
    family_of=lambda config: "crn",
)
