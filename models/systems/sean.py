# SPDX-License-Identifier: Apache-2.0
"""SEAN: SPADE's objective for a generator that takes the style of each region from a photo.

Zhu et al., "SEAN: Image Synthesis with Semantic Region-Adaptive Normalization", CVPR 2020, against
the ZPdesu/SEAN repository. It learns to reconstruct: in training the styles are always those of the
very photo that belongs to the label map. The paper is scored so as well. Here an image is given the
mean style of each class over training images, unless a photo's are asked for. `paper` is what the
authors state: 50 epochs (issue 8) and, recalled from their supplement and not verified, Adam's
0.999.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spade_eval.models.choices import SettingSet, StyleInput
from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.generators.sean import SEANGenerator
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.labels import Size
from spade_eval.models.layers.ace import NoiseAt
from spade_eval.models.losses.objective import ObjectiveConfig
from spade_eval.models.systems.base import Data, Difference, Optimizer, Original, Preset
from spade_eval.models.systems.conditional_gan import (
    ConditionalGAN,
    ConditionalGANSettings,
    Posterior,
    whole_floats,
)
from spade_eval.models.systems.spade import SPADE

_FROM_PHOTOS: tuple[StyleInput, ...] = ("another photo", "real image (same)")


@dataclass(frozen=True, kw_only=True)
class SEANSettings(ConditionalGANSettings):
    """SPADE's, the stride of its discriminators' last layer, and how many images make the means."""

    discriminator_last_stride: int = 2
    class_mean_images: int = 500  # as training sees them; labels that none of them has get none


# Enough for their rarest classes: so many images of ADE20K lack some.
_CLASS_MEAN_IMAGES = {
    "ade20k": 10_000, "ade20k_outdoor": 10_000, "cocostuff": 10_000, "cityscapes": 3000,
}  # fmt: skip
Table = Mapping[tuple[SettingSet, str], SEANSettings]


def _by_dataset(usual: Table) -> dict[tuple[SettingSet, str], SEANSettings]:
    """Add the datasets whose means need more images."""
    which: tuple[SettingSet, ...] = ("paper", "release")
    return {
        **usual,
        **{
            (name, dataset): replace(
                usual.get((name, dataset), usual[name, ""]), class_mean_images=images
            )
            for name in which
            for dataset, images in _CLASS_MEAN_IMAGES.items()
        },
    }


_RELEASE = SEANSettings(
    objective=ObjectiveConfig(kld_weight=0.0),
    optimizers={
        "G": Optimizer(rate=1e-4, betas=(0.0, 0.9)),
        "D": Optimizer(rate=4e-4, betas=(0.0, 0.9)),
    },
    batch_size=32,
    constant_epochs=50,
    decay_epochs=50,
    discriminator_layers=3,
)
_PAPER = replace(
    _RELEASE,
    optimizers={
        name: replace(optimizer, betas=(0.0, 0.999))
        for name, optimizer in _RELEASE.optimizers.items()
    },
    decay_epochs=0,
    initialisation="as_printed",
)


class SEAN(ConditionalGAN):
    """The method of Zhu et al.; its encoder is a part of the generator and learns with it."""

    name = "sean"
    original = Original(
        paper="Zhu et al., SEAN: Image Synthesis with Semantic Region-Adaptive Normalization, "
        "CVPR 2020",
        objective="SPADE's, on styles of the photo itself",
        protocol="mIoU and accuracy of reconstructions, styled by the true photo; FID against "
        "train photos",
        licence="CC BY-NC-SA 4.0",
        released=("latest_net_G.pth",),
    )
    drawn = "noise of every layer drawn from N(0, 1)"
    settings: ClassVar = _by_dataset({("paper", ""): _PAPER, ("release", ""): _RELEASE})
    setting_notes: ClassVar = {
        "betas": "the code's default; the paper's is recalled, not verified",
        "decay_epochs": "the code's default; the authors say 50 epochs for ADE20K and Cityscapes "
        "(ZPdesu/SEAN#8)",
        "initialisation": SPADE.setting_notes["initialisation"],
    }

    printed_architecture: ClassVar[tuple[Difference, ...]] = (
        Difference(
            setting="linear layers of the styles",
            paper="one for each label, in each of 15 norms",
            release="19 in each, whatever the data",
            note="one for each channel of the semantic map, instance edges among them",
        ),
        Difference(
            setting="class means",
            paper="not scored: styles are the photo's own",
            release="over the images that are tested",
            note="over training images, kept in the checkpoint",
        ),
    )

    styles_regions = True
    class_mean_images = 0

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: Any,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "SEAN":
        """Return the networks with their first weights; see `System.build`."""
        system = super().build(preset, data, settings, width=width, seed=seed, measure=measure)
        assert isinstance(system, SEAN)
        system.class_mean_images = settings.class_mean_images
        return system

    @classmethod
    def discriminator_config(
        cls, data: Data, settings: SEANSettings, width: float
    ) -> MultiscaleDiscriminator.Config:
        """Return SPADE's discriminators with fewer layers, all of which halve their input."""
        usual = super().discriminator_config(data, settings, width)
        return replace(usual, last_stride=settings.discriminator_last_stride)

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return "class means" where the network keeps them, else "another photo"."""
        return cls.style_inputs(network)[0]

    @classmethod
    def style_inputs(cls, network: nn.Module) -> tuple[StyleInput, ...]:
        """Return class means where the network keeps them, and photos."""
        assert isinstance(network, SEANGenerator)
        means: tuple[StyleInput, ...] = ("class means",) if network.config.class_means else ()
        return means + _FROM_PHOTOS

    @classmethod
    def absent_styles(cls, network: nn.Module) -> tuple[int, ...]:
        """Return the labels that none of the images had of which the class means are."""
        assert isinstance(network, SEANGenerator)
        return network.class_means.absent() if network.config.class_means else ()

    @classmethod
    def is_stochastic(cls, network: nn.Module, style: StyleInput) -> bool:
        """Return True: every layer adds noise, at test time too."""
        return True

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1] in the styles of `inputs.style`, else in class means."""
        style, codes = inputs.style, None
        if style is not None:
            codes = network.styles(style.photos, style.semantics)  # type: ignore[operator]

        def noise(layer: str, size: Size) -> Tensor:
            return inputs.noise.normal(layer, 1, *size)

        images: Tensor = network(inputs.semantics, codes, noise)
        return images

    def finished(self, network: nn.Module, batches: Iterable[Batch]) -> nn.Module:
        """Return a copy that keeps the class means of training images, crops and flips as drawn.

        A label's mean is over the images that have it, each with one code, however large.
        """
        fresh = copy.deepcopy(network).eval()
        assert isinstance(fresh, SEANGenerator)
        sums: Tensor | float = 0.0
        images: Tensor | int = 0
        left = self.class_mean_images
        for batch in batches:
            with torch.no_grad():
                codes, present = (
                    part[:left].cpu() for part in fresh.encode(batch.photos, batch.semantics)
                )
            sums, images = sums + codes.double().sum(dim=0), images + present.sum(dim=0)
            left -= len(codes)
            if left <= 0:
                break
        assert isinstance(sums, Tensor)
        assert isinstance(images, Tensor)
        fresh.class_means.set_of(sums, images)
        return fresh

    def _synthesized(self, batch: Batch, half: str) -> tuple[Tensor, Posterior | None]:
        codes, _ = self.generator.encode(batch.photos, batch.semantics)  # type: ignore[operator]
        images = self.generator(batch.semantics, codes, _noise_of(batch, half))
        return whole_floats(images), None


def _noise_of(batch: Batch, half: str) -> NoiseAt:
    return lambda layer, size: batch.noise.normal(f"{half} {layer}", 1, *size)


class ACEDecoder(SEAN):
    """SEAN's networks trained as SPADE: the same settings and discriminators, to compare norms."""

    name = "ace"
    original = SEAN.original
    settings: ClassVar = _by_dataset(
        {
            key: SEANSettings(**vars(settings), discriminator_last_stride=1)
            for key, settings in SPADE.settings.items()
        }
    )
    setting_notes = SPADE.setting_notes
    printed_architecture = ()
