# SPDX-License-Identifier: Apache-2.0
"""CycleGAN's generator: images in, images out, label maps in the colours of the dataset.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV
2017, Sec. 4 and 7.2, after Johnson et al., ECCV 2016. It is pix2pixHD's global generator with two
downsamplings in the place of four: that one was made from it.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.models.colours import coloured, require_palette, spread_palette
from spade_eval.models.generators import pix2pixhd
from spade_eval.models.generators.base import check_semantics, refuse_latent
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator, Trunk, reflect_conv
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

_RGB = 3
_DOWNSAMPLINGS = 2


class ResNetGenerator(nn.Module):
    """Residual blocks at a quarter of the resolution; nine as published, six for 128 x 128."""

    published: ClassVar[Published]
    multiple = 2**_DOWNSAMPLINGS

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map
        # Their colours, see `models.colours`. Without any a map of three channels is the picture.
        palette: str = ""
        base_channels: int = 64
        num_blocks: int = 9

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self._palette = config.palette
        if not self._palette and config.num_labels != _RGB:  # built without a dataset
            self._palette = spread_palette(config.num_labels)
        if self._palette:
            require_palette(self._palette, config.num_labels)
        self.trunk = Trunk(_trunk_config(config))
        self.to_rgb = reflect_conv(config.base_channels, _RGB, 7)

    def forward(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """Map with H, W multiples of 4 -> (N, 3, H, W) in [-1, 1]; z is never taken."""
        refuse_latent(z, "CycleGAN")
        check_semantics(semantics, self.config.num_labels, self.multiple)
        return self.translated(self.shown(semantics))

    def shown(self, semantics: SemanticMap) -> Tensor:
        """Return the label map as a picture, (N, 3, H, W) in [-1, 1]."""
        return coloured(semantics, self._palette) if self._palette else semantics.full

    def translated(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) in [-1, 1] -> the same of the other domain."""
        rgb: Tensor = self.to_rgb(self.trunk(images, SemanticMap.from_tensor(images)))
        return rgb.tanh()


def _trunk_config(config: ResNetGenerator.Config) -> Pix2PixHDGenerator.Config:
    return Pix2PixHDGenerator.Config(
        num_labels=_RGB,
        base_channels=config.base_channels,
        num_downsamplings=_DOWNSAMPLINGS,
        num_blocks=config.num_blocks,
    )


def _config_of(tensors: Shapes, hints: Hints) -> ResNetGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    sizes = pix2pixhd.published_sizes(tensors, 0)
    return ResNetGenerator.Config(
        num_labels=hints.num_labels or _RGB,
        palette=hints.palette,
        base_channels=sizes["base_channels"],
        num_blocks=sizes["num_blocks"],
    )


ResNetGenerator.published = Published(
    recognises=pix2pixhd.reads_images,
    config_of=_config_of,
    names=lambda config: pix2pixhd.published_names(_trunk_config(config)),
    reads_colours=lambda tensors, said: True,
    families=("cyclegan",),
    family_of=lambda config: "cyclegan",
)
