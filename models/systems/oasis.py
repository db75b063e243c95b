# SPDX-License-Identifier: Apache-2.0
"""OASIS: a generator against a discriminator that segments, with adversarial supervision alone.

Sushko et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis", ICLR 2021,
Sec. 3 and 4, against the boschresearch/OASIS repository. One step is G against D, then D against
new images of the updated G. What is scored and saved is the moving average of G, whose batch-norm
statistics some training batches refresh.
"""

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from spade_eval.models.choices import NoisePer, StyleInput
from spade_eval.models.discriminators.unet import UNetDiscriminator
from spade_eval.models.generators.base import check_size
from spade_eval.models.generators.oasis import OASISGenerator
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.losses.perceptual import PerceptualLoss
from spade_eval.models.losses.segmentation import (
    as_fake,
    as_real,
    consistency,
    label_bits,
    label_weights,
    mixed,
)
from spade_eval.models.regions import latent
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
from spade_eval.models.systems.scaling import network_config


@dataclass(frozen=True, kw_only=True)
class OASISSettings(Settings):
    """Weights of the terms, and what the discriminator does not learn."""

    labelmix_weight: float = 10.0
    labelmix_in_place: bool = False  # see `label_bits`
    perceptual_weight: float = 0.0  # 10 in the paper's ablation
    first_class_unlabelled: bool = False  # label 0 is no class to learn, though the data names it
    refresh_batches: int = 51  # for the batch-norm statistics of the average


def _rates(generator: float) -> dict[str, Optimizer]:
    """Constant to the end; betas of both papers and code."""
    return {
        name: Optimizer(rate=rate, betas=(0.0, 0.999), decay="constant")
        for name, rate in (("G", generator), ("D", 4e-4))
    }


_PAPER = OASISSettings(
    optimizers=_rates(1e-4),
    batch_size=32,
    constant_epochs=200,
    decay_epochs=0,
    initialisation="as_printed",
    ema_decay=0.9999,
    ema_buffers=True,
)
_RELEASE = replace(_PAPER, labelmix_in_place=True)
# The "unlabeled" class of Cityscapes is an id like any other, 0, and OASIS ignores it.
_CITYSCAPES: dict[str, Any] = {
    "batch_size": 20,
    "labelmix_weight": 5.0,
    "first_class_unlabelled": True,
}


class OASIS(System):
    """The generator and the discriminator, which sees images alone."""

    name = "oasis"
    original = Original(
        paper="Sushko et al., You Only Need Adversarial Supervision for Semantic Image Synthesis, "
        "ICLR 2021",
        objective="cross entropy of a discriminator that segments into classes and fake, LabelMix",
        protocol="FID and mIoU; LPIPS and MS-SSIM among images of one label map. Profile oasis",
        licence="AGPL-3.0",
        released=("best_EMA.pth", "best_G.pth", "best_D.pth"),
    )
    labels = "oasis"
    networks = (UNetDiscriminator,)
    multiple = UNetDiscriminator.multiple
    averages_first_weights = True
    settings: ClassVar = {
        ("paper", ""): _PAPER,
        ("paper", "cocostuff"): replace(_PAPER, constant_epochs=100),
        ("paper", "cityscapes"): replace(_PAPER, **_CITYSCAPES),
        ("release", ""): _RELEASE,
        ("release", "cocostuff"): replace(_RELEASE, constant_epochs=100),
        ("release", "cityscapes"): replace(
            _RELEASE, optimizers=_rates(4e-4), ema_decay=0.999, **_CITYSCAPES
        ),
    }
    setting_notes: ClassVar = {
        "labelmix_in_place": "the code overwrites labels by their bits in ascending order, so "
        "pixels of label 0 whose bit is 1 are drawn again with label 1",
        "rate": "the code's command for Cityscapes raises the generator's",
        "ema_decay": "the code's command for Cityscapes",
    }
    printed_architecture = (
        Difference(
            setting="3D noise",
            paper="a map of 64 channels beside the labels",
            release="one vector of 64 an image, the same at every pixel",
            note="trained as released; at test time z may differ between classes or regions",
        ),
        Difference(
            setting="class statistics and LabelMix's bits",
            paper="of the batch",
            release="of each GPU's part of it",
            note="of the batch, however many processes share it",
        ),
    )

    def __init__(
        self,
        generator: OASISGenerator,
        discriminator: UNetDiscriminator,
        settings: OASISSettings,
        perceptual: PerceptualLoss | None = None,
        *,
        dont_care: bool = False,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.weights, self.dont_care = settings, dont_care
        self._perceptual = () if perceptual is None else (perceptual,)  # no child, so in no state

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: OASISSettings,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "OASIS":
        """Return both networks with their first weights; see `System.build`.

        `ValueError` for images whose sides are no multiples of 64: the discriminator halves them
        six times.
        """
        check_size(data.size, cls.multiple)
        config = network_config(preset, data.num_labels, data.size, width)
        critic = UNetDiscriminator.Config(
            num_labels=data.num_labels, base_channels=max(4, round(64 * width))
        )
        generator = build(preset.network, config, settings.initialisation, seed)
        discriminator = build(UNetDiscriminator, critic, settings.initialisation, seed + 1)
        assert isinstance(generator, OASISGenerator)
        assert isinstance(discriminator, UNetDiscriminator)
        assert measure is None or isinstance(measure, PerceptualLoss)
        return cls(
            generator,
            discriminator,
            settings,
            measure if cls.has_perceptual_loss(settings) else None,
            dont_care=data.unlabelled_first or settings.first_class_unlabelled,
        )

    @classmethod
    def has_perceptual_loss(cls, settings: OASISSettings) -> bool:
        """Return whether the VGG-19 loss has a weight."""
        return settings.perceptual_weight > 0

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return "random" for generators with noise."""
        return "none" if _z_dim(network) is None else "random"

    @classmethod
    def noise_levels(cls, network: nn.Module) -> tuple[NoisePer, ...]:
        """Return all of them for generators with noise: a map of it may change with the labels."""
        return ("image",) if _z_dim(network) is None else get_args(NoisePer)

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1], with noise as `inputs.noise_per` says."""
        z_dim = _z_dim(network)
        z = None if z_dim is None else latent(inputs, z_dim)
        images: Tensor = network(inputs.semantics, z)
        return images

    @property
    def measures(self) -> tuple[PerceptualLoss, ...]:
        """VGG-19, where it is asked for and its weights were given."""
        return self._perceptual

    def updates(self) -> tuple[Update, ...]:
        """Return G, then D."""
        return (
            Update("G", ("generator",), self.generator_terms),
            Update("D", ("discriminator",), self.discriminator_terms),
        )

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the generator: to be segmented as its label map (Eq. 3)."""
        labels, counts = _labels(batch)
        weights = label_weights(counts, dont_care=self.dont_care)
        fake = _drawn(self.generator, batch, "generator")
        terms = {"gan": as_real(self._logits(fake), labels, weights)}
        for perceptual in self.measures:
            distance = perceptual(fake, batch.photos)
            terms["perceptual"] = self.weights.perceptual_weight * distance
        return terms

    def discriminator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the discriminator, on new images of the updated generator."""
        labels, counts = _labels(batch)
        weights = label_weights(counts, dont_care=self.dont_care)
        with torch.no_grad():
            fake = _drawn(self.generator, batch, "discriminator")
        on_fake, on_real = self._logits(fake), self._logits(batch.photos)
        terms = {"fake": as_fake(on_fake), "real": as_real(on_real, labels, weights)}  # Eq. 1
        if self.weights.labelmix_weight:
            drawn = batch.noise.uniform_of_step("labelmix", len(counts)) < 0.5
            bits = label_bits(drawn, counts, in_place=self.weights.labelmix_in_place)
            mask = bits[labels][:, None].to(fake.dtype)
            on_mixed = self._logits(mixed(mask, batch.photos, fake))
            differing = consistency(on_mixed, mask, on_real, on_fake)
            terms["labelmix"] = self.weights.labelmix_weight * differing
        return terms

    def finished(self, network: nn.Module, batches: Iterable[Batch]) -> nn.Module:
        """Return a copy whose batch-norm statistics are those of its own weights.

        The average's are averages of many weights' statistics. As in the published code some
        batches go through it in training mode, which moves its spectral vectors, too; there it is
        the average itself, and training goes on with it.
        """
        fresh = copy.deepcopy(network).train()
        with torch.no_grad():
            for batch in itertools.islice(batches, self.weights.refresh_batches):
                _drawn(fresh, batch, "refresh")
        return fresh.eval()

    def _logits(self, images: Tensor) -> Tensor:
        """Return the discriminator's logits in float32, where autocast makes fewer bits."""
        logits: Tensor = self.discriminator(images)
        return logits if logits.dtype == torch.float64 else logits.float()


def _z_dim(network: nn.Module) -> int | None:
    z_dim: int | None = network.config.z_dim  # type: ignore[assignment,union-attr]
    return z_dim


def _labels(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the label of every pixel (N, H, W), and the pixels of every label (L,) as floats.

    Counted over the whole batch, however many processes share it; the published code counts on each
    GPU.
    """
    one_hot = batch.semantics.full
    counts = batch.summed(one_hot.sum(dim=(0, 2, 3)).long())
    return one_hot.argmax(dim=1), counts.to(one_hot.dtype)


def _drawn(network: nn.Module, batch: Batch, name: str) -> Tensor:
    """Synthesize a training batch, (N, 3, H, W), with the noise of that name."""
    z_dim = _z_dim(network)
    z = None if z_dim is None else batch.noise.normal(name, z_dim)
    images: Tensor = network(batch.semantics, z)
    return images if images.dtype == torch.float64 else images.float()
