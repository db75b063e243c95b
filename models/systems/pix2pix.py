# SPDX-License-Identifier: Apache-2.0
"""pix2pix: a U-Net against a patch discriminator, and L1.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, Sec. 3
and Appendix, against the pytorch-CycleGAN-and-pix2pix repository. One step is D, with half of its
loss, then G against the updated D, both on the same synthesized images. A trained network is run as
in training, whose dropout is all that is random; `--test-mode eval` is the other way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.choices import LabelInput, StyleInput
from spade_eval.models.colours import written_palette
from spade_eval.models.discriminators.patch import PatchGANDiscriminator
from spade_eval.models.generators.unet import (
    LEAST_DOWNSAMPLINGS,
    MOST_DOWNSAMPLINGS,
    UNetGenerator,
)
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs, Noise
from spade_eval.models.losses.gan import (
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    whole_floats,
)
from spade_eval.models.semantics import SemanticMap
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
class Pix2PixSettings(Settings):
    """Weights of the terms, and how label maps are read."""

    l1_weight: float = 100.0
    discriminator_weight: float = 0.5  # of both discriminator terms
    # As authors do who compare label maps: one channel a label. The release reads pictures.
    label_input: LabelInput = "one-hot"


_RELEASE = Pix2PixSettings(
    optimizers={name: Optimizer(rate=2e-4, betas=(0.5, 0.999)) for name in ("D", "G")},
    batch_size=1,
    constant_epochs=100,
    decay_epochs=100,
    initialisation="normal",
)
_PAPER = replace(
    _RELEASE,
    optimizers={name: replace(own, decay="constant") for name, own in _RELEASE.optimizers.items()},
    constant_epochs=200,
    decay_epochs=0,
)


class Pix2Pix(System):
    """The generator and the discriminator, which sees label map and image."""

    name = "pix2pix"
    original = Original(
        paper="Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, "
        "CVPR 2017",
        objective="GAN of patches that sees the label map, L1",
        protocol="mIoU and accuracy of FCN-8s on Cityscapes at 256x256; choices of people",
        licence="BSD",
        released=("latest_net_G.pth",),
    )
    labels = "oasis"  # without instance edges; in which order it does not matter
    networks = (PatchGANDiscriminator,)
    multiple = 2**LEAST_DOWNSAMPLINGS
    drawn = "dropout drawn"
    settings: ClassVar = {("paper", ""): _PAPER, ("release", ""): _RELEASE}
    setting_notes: ClassVar = {
        "decay": "the paper names no decay; the code lets the rate fall over the second half",
        "constant_epochs": "200 epochs for Cityscapes and facades in both",
    }
    printed_architecture = (
        Difference(
            setting="innermost level",
            paper="batch norm, which at batch size 1 sets its 1x1 activations to zero (errata)",
            release="no norm",
            note="built as released",
        ),
    )

    def __init__(
        self,
        generator: UNetGenerator,
        discriminator: PatchGANDiscriminator,
        settings: Pix2PixSettings,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.weights = generator, discriminator, settings

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: Pix2PixSettings,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "Pix2Pix":
        """Return both networks with their first weights; see `System.build`.

        As many downsamplings as the image size allows, at most eight; `ValueError` for images whose
        sides are no multiples of 32.
        """
        palette = ""
        if settings.label_input == "colours":
            palette = written_palette(
                data.palette, data.num_labels, unlabelled_first=data.unlabelled_first
            )
        config = network_config(preset, data.num_labels, data.size, width, palette=palette)
        critic = PatchGANDiscriminator.Config(
            num_channels=config.in_channels + 3, base_channels=max(4, round(64 * width))
        )
        generator = build(preset.network, config, settings.initialisation, seed)
        discriminator = build(PatchGANDiscriminator, critic, settings.initialisation, seed + 1)
        assert isinstance(generator, UNetGenerator)
        assert isinstance(discriminator, PatchGANDiscriminator)
        return cls(generator, discriminator, settings)

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return "random" where dropout is on at test time."""
        config = _config(network)
        dropped = config.num_downsamplings > LEAST_DOWNSAMPLINGS
        return "random" if config.test_mode == "train" and dropped else "none"

    @classmethod
    def notes(cls, network: nn.Module) -> tuple[str, ...]:
        """Say how it is run, how it reads label maps, and how deep it is."""
        config = _config(network)
        how = {
            "train": "test mode: train, dropout on, batch norm by the statistics of the single "
            "image, as released",
            "eval": "test mode: eval, dropout off, batch norm by running statistics; the release "
            "scores in train mode",
        }[config.test_mode]
        read = "in the colours of the dataset" if config.palette else "one-hot"
        depth = f"U-Net of {config.num_downsamplings} downsamplings"
        if config.num_downsamplings < MOST_DOWNSAMPLINGS:
            depth += f", as many as the image size allows (published: {MOST_DOWNSAMPLINGS})"
        return (f"{how}.", f"reads label maps {read}; {depth}.")

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1], in the test mode of the network's configuration."""
        as_trained = _config(network).test_mode == "train"
        drawn = _drawn(network, inputs.noise, inputs.semantics) if as_trained else []
        images: Tensor = network(inputs.semantics, drawn=drawn, of_image=as_trained)
        return images

    def updates(self) -> tuple[Update, ...]:
        """Return D, then G."""
        return (
            Update("D", ("discriminator",), self.discriminator_terms),
            Update("G", ("generator",), self.generator_terms),
        )

    def discriminator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the discriminator (Eq. 1), halved (Sec. 3.3)."""
        with torch.no_grad(), _same_statistics(self.generator):
            fake = self._synthesized(batch)
        on_fake, on_real = self._logits(batch, fake), self._logits(batch, batch.photos)
        weight = self.weights.discriminator_weight
        return {
            "fake": weight * discriminator_fake_loss([on_fake], "original"),
            "real": weight * discriminator_real_loss([on_real], "original"),
        }

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the generator (Eq. 4), on the images that D has just seen."""
        fake = self._synthesized(batch)
        gan = generator_loss([self._logits(batch, fake)], "original")
        return {"gan": gan, "l1": self.weights.l1_weight * F.l1_loss(fake, batch.photos)}  # Eq. 3

    def _synthesized(self, batch: Batch) -> Tensor:
        """Synthesize a training batch, (N, 3, H, W), no half floats: twice the same in a step."""
        drawn = _drawn(self.generator, batch.noise, batch.semantics)
        return whole_floats(self.generator(batch.semantics, drawn=drawn))

    def _logits(self, batch: Batch, images: Tensor) -> Tensor:
        shown = self.generator.shown(batch.semantics).to(images.dtype)
        return whole_floats(self.discriminator(torch.cat([shown, images], dim=1)))


def _config(network: nn.Module) -> UNetGenerator.Config:
    config = network.config
    assert isinstance(config, UNetGenerator.Config)
    return config


def _drawn(network: nn.Module, noise: Noise, semantics: SemanticMap) -> list[Tensor]:
    """Draw what decides on dropout, by the names of the levels."""
    shapes = network.drawn_shapes(semantics.size)  # type: ignore[operator]
    return [noise.uniform(f"dropout {level}", *shape) for level, shape in shapes.items()]


@contextmanager
def _same_statistics(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of norms as they are: the step's other half moves them."""
    before = [buffer.clone() for buffer in network.buffers()]
    yield
    for buffer, kept in zip(network.buffers(), before, strict=True):
        buffer.copy_(kept)
