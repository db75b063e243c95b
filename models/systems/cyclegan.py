# SPDX-License-Identifier: Apache-2.0
"""CycleGAN: label maps to photos and back, learned from unpaired ones.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV
2017, Sec. 3 to 5 and 7, against the pytorch-CycleGAN-and-pix2pix repository. Label maps are
pictures, X in the paper, photos are Y. One step is both generators, G: X to Y and F: Y to X, then
both discriminators on what a pool of earlier images makes of the same synthesized ones. What is
scored is G; F is scored as a segmenter.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.colours import written_palette
from spade_eval.models.discriminators.patch import PatchGANDiscriminator
from spade_eval.models.generators.resnet import ResNetGenerator
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.losses.gan import (
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    whole_floats,
)
from spade_eval.models.systems.base import (
    Data,
    Difference,
    Optimizer,
    Original,
    Preset,
    Settings,
    System,
    Update,
)
from spade_eval.models.systems.pools import ImagePool
from spade_eval.models.systems.scaling import network_config


@dataclass(frozen=True, kw_only=True)
class CycleGANSettings(Settings):
    """Weights of the terms, and the history of the discriminators."""

    cycle_weight: float = 10.0  # lambda in Eq. 3
    identity_weight: float = 0.5  # times the cycle's
    discriminator_weight: float = 0.5  # of both terms of either discriminator
    pool_size: int = 50


_RELEASE = CycleGANSettings(
    optimizers={name: Optimizer(rate=2e-4, betas=(0.5, 0.999)) for name in ("G", "D")},
    batch_size=1,
    constant_epochs=100,
    decay_epochs=100,
    initialisation="normal",
)
_PAPER = replace(_RELEASE, identity_weight=0.0)


class CycleGAN(System):
    """Two generators, two discriminators and their pools."""

    name = "cyclegan"
    original = Original(
        paper="Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial "
        "Networks, ICCV 2017",
        objective="least squares GAN of patches, cycle, identity",
        protocol="mIoU and accuracy of FCN-8s on Cityscapes, both directions; choices of people",
        licence="BSD",
        released=("latest_net_G.pth",),
    )
    labels = "oasis"  # without instance edges; in which order it does not matter
    paired = False
    networks = (PatchGANDiscriminator,)
    multiple = ResNetGenerator.multiple
    smallest = PatchGANDiscriminator.smallest
    goes_back = "to_labels"
    settings: ClassVar = {("paper", ""): _PAPER, ("release", ""): _RELEASE}
    setting_notes: ClassVar = {
        "identity_weight": "the paper has the term for paintings to photos alone (Sec. 5.2)",
    }
    printed_architecture = (
        Difference(
            setting="residual blocks",
            paper="6 for 128x128, as its Cityscapes and its table of scores; 9 for 256x256",
            release="9",
            note="built as released at every size",
        ),
    )

    def __init__(
        self,
        generator: ResNetGenerator,
        to_labels: ResNetGenerator,
        discriminator: PatchGANDiscriminator,
        label_discriminator: PatchGANDiscriminator,
        pools: tuple[ImagePool, ImagePool],
        settings: CycleGANSettings,
    ) -> None:
        super().__init__()
        self.generator, self.to_labels = generator, to_labels
        self.discriminator, self.label_discriminator = discriminator, label_discriminator
        self.photo_pool, self.label_pool = pools
        self.weights = settings

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: CycleGANSettings,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "CycleGAN":
        """Return the networks with their first weights and empty pools; see `System.build`.

        `ValueError` for images that are too small to be judged.
        """
        PatchGANDiscriminator.require_size(data.size)
        palette = written_palette(
            data.palette, data.num_labels, unlabelled_first=data.unlabelled_first
        )
        config = network_config(preset, data.num_labels, data.size, width, palette=palette)
        critic = PatchGANDiscriminator.Config(
            num_channels=3, base_channels=max(4, round(64 * width)), norm="instance"
        )
        networks = [
            build(network, of_network, settings.initialisation, seed + number)
            for number, (network, of_network) in enumerate(
                [(preset.network, config)] * 2 + [(PatchGANDiscriminator, critic)] * 2
            )
        ]
        pools = tuple(ImagePool(settings.pool_size, data.size) for _ in range(2))
        return cls(*networks, pools, settings)  # type: ignore[call-arg,arg-type]

    @classmethod
    def notes(cls, network: nn.Module) -> tuple[str, ...]:
        """Say that no pair was seen, and how label maps are read."""
        return ("unpaired; reads label maps in the colours of the dataset.",)

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1], from label maps to photos."""
        images: Tensor = network(inputs.semantics)
        return images

    @property
    def exported(self) -> tuple[str, ...]:
        """Both directions."""
        return ("generator", "to_labels")

    def updates(self) -> tuple[Update, ...]:
        """Return both generators, then both discriminators."""
        return (
            Update("G", ("generator", "to_labels"), self.generator_terms),
            Update("D", ("discriminator", "label_discriminator"), self.discriminator_terms),
        )

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of both generators (Eq. 3), and leave their images to D."""
        labels, photos = self.generator.shown(batch.semantics), batch.photos
        to_photo, to_labels = self.generator.translated, self.to_labels.translated
        made_photos, made_labels = whole_floats(to_photo(labels)), whole_floats(to_labels(photos))
        batch.made["images"] = (made_photos.detach(), made_labels.detach())
        judged = _logits(self.discriminator, made_photos)
        terms = {"gan_photos": generator_loss([judged], "lsgan")}  # Eq. 1, least squares: Sec. 4
        judged = _logits(self.label_discriminator, made_labels)
        terms["gan_labels"] = generator_loss([judged], "lsgan")
        cycle = self.weights.cycle_weight
        terms["cycle_labels"] = cycle * F.l1_loss(whole_floats(to_labels(made_photos)), labels)
        terms["cycle_photos"] = cycle * F.l1_loss(whole_floats(to_photo(made_labels)), photos)
        if identity := cycle * self.weights.identity_weight:
            same = whole_floats(to_photo(photos)), whole_floats(to_labels(labels))
            terms["identity_photos"] = identity * F.l1_loss(same[0], photos)
            terms["identity_labels"] = identity * F.l1_loss(same[1], labels)
        return terms

    def discriminator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of both discriminators, halved, on images that the pools give."""
        made_photos, made_labels = batch.made["images"]
        made_photos = self._pooled(batch, "photo", self.photo_pool, made_photos)
        made_labels = self._pooled(batch, "label", self.label_pool, made_labels)
        labels = self.generator.shown(batch.semantics)
        weight, terms = self.weights.discriminator_weight, {}
        for name, network, fake, real in (
            ("photos", self.discriminator, made_photos, batch.photos),
            ("labels", self.label_discriminator, made_labels, labels),
        ):
            on_real, on_fake = _logits(network, real), _logits(network, fake)
            terms[f"real_{name}"] = weight * discriminator_real_loss([on_real], "lsgan")
            terms[f"fake_{name}"] = weight * discriminator_fake_loss([on_fake], "lsgan")
        return terms

    def _pooled(self, batch: Batch, name: str, pool: ImagePool, images: Tensor) -> Tensor:
        """Show images to a pool, which is the same in all processes: it sees those of all."""

        def pooled(of_all: Tensor) -> Tensor:
            drawn = batch.noise.uniform_of_step(f"{name} pool", len(of_all), 2)
            shown: Tensor = pool(of_all, drawn)
            return shown

        return batch.together(images, pooled)


def _logits(discriminator: nn.Module, images: Tensor) -> Tensor:
    return whole_floats(discriminator(images))
