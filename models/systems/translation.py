# SPDX-License-Identifier: Apache-2.0
"""What UNIT and MUNIT share: two domains of images, never paired, and translations both ways.

Domain A are label maps in the colours of their dataset, domain B photos. The scored network
translates from A to B: it is the encoder of A and the decoder of B. The other one, from B to A,
helps to train it and is not exported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.colours import written_palette
from spade_eval.models.discriminators.images import ImageDiscriminator
from spade_eval.models.generators.domains import LabelPictures
from spade_eval.models.initialisation import Scheme, build
from spade_eval.models.inputs import Batch
from spade_eval.models.losses.domain_invariant import DomainInvariantLoss
from spade_eval.models.losses.gan import (
    GANMode,
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    whole_floats,
)
from spade_eval.models.systems.base import Data, Optimizer, Preset, Settings, System, Update
from spade_eval.models.systems.scaling import network_config

Method = TypeVar("Method", bound="DomainTranslation")


@dataclass(frozen=True, kw_only=True)
class TranslationSettings(Settings):
    """Weights of the terms, which count both domains; 0 leaves a term out."""

    gan: GANMode = "lsgan"
    gan_weight: float = 1.0
    reconstruction_weight: float = 10.0  # of images by their own codes
    cycle_weight: float = 0.0  # of images that went to the other domain and back
    perceptual_weight: float = 0.0  # of `DomainInvariantLoss`
    discriminator_initialisation: Scheme = "normal"


def optimizers(**known: Any) -> dict[str, Optimizer]:
    """Return Adam for both sides as both papers have it; `known` is what they do not share."""
    return {name: Optimizer(rate=1e-4, betas=(0.5, 0.999), **known) for name in ("D", "G")}


HALVED: Mapping[str, Any] = {"decay": "halving", "halve_every": 100_000}
DECAYED: Mapping[str, Any] = {**HALVED, "weight_decay": 1e-4}


class DomainTranslation(System):
    """Generators in both directions, and a discriminator of each domain."""

    labels = "oasis"  # no instance edges, which have no colour
    paired = False
    networks = (ImageDiscriminator,)
    multiple = 4
    whole_steps = 1_000_000  # of the released configurations
    smallest = ImageDiscriminator.Config().smallest_side
    compares = "vgg16"
    takes_stand_in = False  # means and deviations of its features are taken out

    def __init__(
        self,
        generator: nn.Module,
        inverse: nn.Module,
        photo_discriminator: nn.Module,
        label_discriminator: nn.Module,
        *,
        settings: Any,
        perceptual: DomainInvariantLoss | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.inverse = generator, inverse  # A to B, and B to A
        self.photo_discriminator = photo_discriminator
        self.label_discriminator = label_discriminator
        self.weights = settings
        self._perceptual = () if perceptual is None else (perceptual,)  # no child, so in no state

    @classmethod
    def build(
        cls: type[Method],
        preset: Preset,
        data: Data,
        settings: Any,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> Method:
        """Return the four networks with their first weights; see `System.build`."""
        palette = ""
        if data.palette:
            palette = written_palette(
                data.palette, data.num_labels, unlabelled_first=data.unlabelled_first
            )
        config = network_config(preset, data.num_labels, data.size, width, palette=palette)
        critic = ImageDiscriminator.Config(base_channels=max(1, round(64 * width)))
        scheme = settings.initialisation
        generators = [build(preset.network, config, scheme, seed + n) for n in (0, 1)]
        scheme = settings.discriminator_initialisation
        discriminators = [build(ImageDiscriminator, critic, scheme, seed + n) for n in (2, 3)]
        assert measure is None or isinstance(measure, DomainInvariantLoss)
        perceptual = measure if cls.has_perceptual_loss(settings) else None
        return cls(*generators, *discriminators, settings=settings, perceptual=perceptual)

    @classmethod
    def has_perceptual_loss(cls, settings: TranslationSettings) -> bool:
        """Return whether the VGG-16 loss has a weight."""
        return settings.perceptual_weight > 0

    @classmethod
    def measure(cls, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return the loss on features of VGG-16."""
        return DomainInvariantLoss(weights)

    @classmethod
    def notes(cls, network: nn.Module) -> tuple[str, ...]:
        """Say which of the two translations is scored, and what it had never seen."""
        return (
            "translates colour-coded label maps (domain A) to photos (domain B); label maps and "
            "photos were not paired in training.",
        )

    @property
    def measures(self) -> tuple[DomainInvariantLoss, ...]:
        """VGG-16, where it is asked for and its weights were given."""
        return self._perceptual

    def updates(self) -> tuple[Update, ...]:
        """Return D, then G, each of both domains."""
        return (
            Update("D", ("photo_discriminator", "label_discriminator"), self.discriminator_terms),
            Update("G", ("generator", "inverse"), self.generator_terms),
        )

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of both generators."""
        raise NotImplementedError

    def translated(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return photos as label maps and label maps as photos, for the discriminators' update."""
        raise NotImplementedError

    def discriminator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of both discriminators, on images that are made for them."""
        weight, mode = self.weights.gan_weight, self.weights.gan
        with torch.no_grad():
            made = self.translated(batch)
        terms = {}
        for domain, fake, real in zip(("labels", "photos"), made, self.images(batch), strict=True):
            on_fake, on_real = self.logits(domain, fake), self.logits(domain, real)
            terms[f"{domain}_fake"] = weight * discriminator_fake_loss(on_fake, mode, "sum")
            terms[f"{domain}_real"] = weight * discriminator_real_loss(on_real, mode, "sum")
        return terms

    def adversarial_terms(self, batch: Batch, labels: Tensor, photos: Tensor) -> dict[str, Tensor]:
        """Return weighted terms of images of A that were photos, and of B that were label maps."""
        weight, mode = self.weights.gan_weight, self.weights.gan
        terms = {
            f"gan_{domain}": weight * generator_loss(self.logits(domain, fake), mode, "sum")
            for domain, fake in (("labels", labels), ("photos", photos))
        }
        for perceptual in self.measures:
            x_a, x_b = self.images(batch)
            for domain, fake, source in (("labels", labels, x_b), ("photos", photos, x_a)):
                differing = perceptual(fake, source)
                terms[f"perceptual_{domain}"] = self.weights.perceptual_weight * differing
        return terms

    def images(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the images of A and of B, (N, 3, H, W) in [-1, 1] each."""
        shown: LabelPictures = self.generator.shown  # type: ignore[assignment]
        return shown(batch.semantics), batch.photos

    def logits(self, domain: str, images: Tensor) -> list[Tensor]:
        """Return the logits of every scale of a domain's discriminator, no half floats."""
        of_labels = domain == "labels"
        network = self.label_discriminator if of_labels else self.photo_discriminator
        return [whole_floats(logits) for logits in network(images)]


def distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference, in float32 where autocast computes in less."""
    return F.l1_loss(whole_floats(found), whole_floats(wanted))
