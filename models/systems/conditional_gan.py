# SPDX-License-Identifier: Apache-2.0
"""Conditional GANs whose discriminator sees the label map: SPADE, pix2pixHD and their ablations.

Park et al., CVPR 2019, Sec. 3 and 4 and Appendix A; Wang et al., CVPR 2018, Sec. 3. One step is G
against D, then D against the updated G: the discriminator's half makes the synthesized images anew
on the same batch, as the published code does. With `one_synthesis` it takes those that G made
before its update, which saves a pass through G.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spade_eval.models.choices import StyleInput
from spade_eval.models.discriminators.multiscale import DiscriminatorNorm, MultiscaleDiscriminator
from spade_eval.models.encoders.instance_features import InstanceFeatureEncoder
from spade_eval.models.encoders.variational import ImageEncoder, reparametrise
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.losses.gan import whole_floats
from spade_eval.models.losses.objective import Objective, ObjectiveConfig
from spade_eval.models.losses.perceptual import PerceptualLoss
from spade_eval.models.systems.base import Data, Preset, Settings, System, Update
from spade_eval.models.systems.scaling import network_config

Posterior = tuple[Tensor, Tensor]
"""Mean and log-variance of z, each (N, z_dim)."""


@dataclass(frozen=True, kw_only=True)
class ConditionalGANSettings(Settings):
    """Losses, the discriminator, and where z comes from."""

    objective: ObjectiveConfig
    discriminator_norm: DiscriminatorNorm = "spectralinstance"
    discriminator_layers: int = 4  # convolutions before the last one
    discriminator_scales: int = 2
    latent: Literal["none", "encoder", "random"] = "none"


class ConditionalGAN(System):
    """A generator, its discriminators and, for the variational model, an image encoder."""

    synthesizes_twice = True
    networks = (MultiscaleDiscriminator, ImageEncoder, InstanceFeatureEncoder)

    def __init__(
        self,
        generator: nn.Module,
        discriminator: MultiscaleDiscriminator,
        encoder: nn.Module | None,
        objective: Objective,
        z_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        if encoder is not None:
            self.encoder = encoder
        self.objective, self.z_dim = objective, z_dim
        self._made: deque[Tensor] = deque()  # of this step's batches, with `one_synthesis`

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: ConditionalGANSettings,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "ConditionalGAN":
        """Return the networks with their first weights; see `System.build`."""
        config = network_config(preset, data.num_labels, data.size, width, edges=data.edges)
        scheme, z_dim = settings.initialisation, None
        if settings.latent != "none":
            z_dim = int(config.z_dim)
        assert measure is None or isinstance(measure, PerceptualLoss)
        objective = settings.objective
        if objective.kld_images is None:
            objective = replace(objective, kld_images=settings.batch_size)
        critic = build(
            MultiscaleDiscriminator,
            cls.discriminator_config(data, settings, width),
            scheme,
            seed + 1,
        )
        assert isinstance(critic, MultiscaleDiscriminator)
        return cls(
            build(preset.network, config, scheme, seed),
            critic,
            None
            if settings.latent != "encoder" or z_dim is None
            else build(ImageEncoder, _encoder_config(data, z_dim, width), scheme, seed + 2),
            Objective(objective, measure),
            z_dim,
        )

    @classmethod
    def discriminator_config(
        cls, data: Data, settings: Any, width: float
    ) -> MultiscaleDiscriminator.Config:
        """Return what the settings say of the discriminators."""
        return MultiscaleDiscriminator.Config(
            num_labels=data.num_labels,
            base_channels=max(8, round(64 * width)),
            num_layers=settings.discriminator_layers,
            num_scales=settings.discriminator_scales,
            norm=settings.discriminator_norm,
        )

    @classmethod
    def has_perceptual_loss(cls, settings: ConditionalGANSettings) -> bool:
        """Return whether the objective gives the VGG-19 loss a weight."""
        return settings.objective.perceptual_weight > 0

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return "random" for generators with a latent z."""
        return "none" if _z_dim(network) is None else "random"

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1]; z, where the generator takes one, from N(0, 1)."""
        z_dim = _z_dim(network)
        z = None if z_dim is None else inputs.noise.normal("z", z_dim)
        images: Tensor = network(inputs.semantics, z)
        return images

    @property
    def exported(self) -> tuple[str, ...]:
        """The generator, and the encoder that styles are taken with."""
        return ("generator",) if self._encoder is None else ("generator", "encoder")

    @property
    def measures(self) -> tuple[nn.Module, ...]:
        """The network of the perceptual loss, where there is one."""
        return () if self.objective.perceptual is None else (self.objective.perceptual,)

    def updates(self) -> tuple[Update, ...]:
        """Return G (with the encoder), then D."""
        return (
            Update("G", self.exported, self.generator_terms),
            Update("D", ("discriminator",), self.discriminator_terms),
        )

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the generator's and the encoder's loss."""
        fake, posterior = self._synthesized(batch, "generator")
        if self.one_synthesis:
            self._made.append(fake.detach())
        mu, logvar = posterior or (None, None)
        return self.objective.generator_terms(
            self.discriminator, batch.semantics, fake, batch.photos, mu, logvar
        )

    def discriminator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the discriminators, on images of the updated generator."""
        if self.one_synthesis:
            fake = self._made.popleft()
        else:
            with torch.no_grad():
                fake, _ = self._synthesized(batch, "discriminator")
        return self.objective.discriminator_terms(
            self.discriminator, batch.semantics, fake, batch.photos
        )

    @property
    def _encoder(self) -> nn.Module | None:
        return getattr(self, "encoder", None)

    def _synthesized(self, batch: Batch, half: str) -> tuple[Tensor, Posterior | None]:
        """Images (N, 3, H, W) in [-1, 1], no half floats, and the posterior of their z if any."""
        if self.z_dim is None:
            return whole_floats(self.generator(batch.semantics)), None
        noise = batch.noise.normal(half, self.z_dim)
        if self._encoder is None:
            return whole_floats(self.generator(batch.semantics, noise)), None
        # Sampling and divergence take exponentials: not in half floats, if the encoder gives such.
        mu, logvar = (whole_floats(part) for part in self._encoder(batch.photos))
        z = reparametrise(mu, logvar, noise)
        return whole_floats(self.generator(batch.semantics, z)), (mu, logvar)


def _z_dim(network: nn.Module) -> int | None:
    z_dim: int | None = getattr(network.config, "z_dim", None)
    return z_dim


def _encoder_config(data: Data, z_dim: int, width: float) -> ImageEncoder.Config:
    # Images are resized to a power of two; the published 256 for images of that size.
    shorter = min(256, *data.size)
    return ImageEncoder.Config(
        base_channels=max(4, round(64 * width)),
        z_dim=z_dim,
        input_size=1 << (shorter.bit_length() - 1),
    )
