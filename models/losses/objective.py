# SPDX-License-Identifier: Apache-2.0
"""The complete objective of each method, as named and weighted terms.

Park et al., CVPR 2019, Sec. 3 and Appendix A; Wang et al., CVPR 2018, Eq. 5. The loss to minimise
is the sum of the returned terms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.encoders.variational import kl_divergence
from spade_eval.models.losses.gan import (
    Features,
    GANMode,
    Reduction,
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    pix2pixhd_feature_matching,
    spade_feature_matching,
)
from spade_eval.models.losses.perceptual import PerceptualLoss
from spade_eval.models.semantics import SemanticMap

_FEATURE_MATCHING: dict[str, Callable[[Features, Features], Tensor]] = {
    "spade": spade_feature_matching,
    "pix2pixhd": pix2pixhd_feature_matching,
}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Weights and conventions; a weight of 0 leaves the term out."""

    gan: GANMode = "hinge"
    over_scales: Reduction = "mean"
    discriminator_weight: float = 1.0  # of both discriminator terms
    feature_matching: Literal["spade", "pix2pixhd"] = "spade"
    feature_matching_weight: float = 10.0
    perceptual_weight: float = 10.0
    kld_weight: float = 0.05  # used where an encoder gives mu and logvar
    # The published divergence is a sum over the images of a process, so its weight hangs on how a
    # batch is split. With a number here it is so many times the mean over images, however split.
    kld_images: int | None = None
    # One discriminator pass over fake and real stacked along the batch, or one pass for each.
    stacked: bool = True


PIX2PIXHD_OBJECTIVE = ObjectiveConfig(
    gan="lsgan",
    over_scales="sum",
    discriminator_weight=0.5,
    feature_matching="pix2pixhd",
    kld_weight=0.0,
    stacked=False,
)
"""Wang et al., Eq. 5, with the least squares of the released code."""


class Objective:
    """Loss terms of generator and discriminator; pass `perceptual` on the networks' device."""

    def __init__(self, config: ObjectiveConfig, perceptual: PerceptualLoss | None = None) -> None:
        self.config = config
        # Without VGG-19 weights the term is left out; the caller says so in its records.
        self.perceptual = perceptual if config.perceptual_weight else None

    def generator_terms(
        self,
        discriminator: MultiscaleDiscriminator,
        semantics: SemanticMap,
        fake: Tensor,
        real: Tensor,
        mu: Tensor | None = None,
        logvar: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return weighted terms of the generator (and encoder); images (N, 3, H, W) in [-1, 1].

        Gradients also reach the discriminator's parameters: drop them before its own step.
        """
        config = self.config
        fake_features, real_features = self._discriminate(discriminator, semantics, fake, real)
        predictions = [scale[-1] for scale in fake_features]
        terms = {"gan": generator_loss(predictions, config.gan, config.over_scales)}
        if config.feature_matching_weight:
            matching = _FEATURE_MATCHING[config.feature_matching](fake_features, real_features)
            terms["feature_matching"] = config.feature_matching_weight * matching  # Eq. 5
        if self.perceptual is not None:
            terms["perceptual"] = config.perceptual_weight * self.perceptual(fake, real)
        if config.kld_weight and mu is not None and logvar is not None:
            share = 1.0 if config.kld_images is None else config.kld_images / mu.shape[0]
            terms["kld"] = config.kld_weight * share * kl_divergence(mu, logvar)
        return terms

    def discriminator_terms(
        self,
        discriminator: MultiscaleDiscriminator,
        semantics: SemanticMap,
        fake: Tensor,
        real: Tensor,
    ) -> dict[str, Tensor]:
        """Return weighted terms of the discriminator; no gradient flows to `fake`."""
        config = self.config
        fake_features, real_features = self._discriminate(
            discriminator, semantics, fake.detach(), real
        )
        on_fake = [scale[-1] for scale in fake_features]
        on_real = [scale[-1] for scale in real_features]
        mode, weight = config.gan, config.discriminator_weight
        return {
            "fake": weight * discriminator_fake_loss(on_fake, mode, config.over_scales),
            "real": weight * discriminator_real_loss(on_real, mode, config.over_scales),
        }

    def _discriminate(
        self,
        discriminator: MultiscaleDiscriminator,
        semantics: SemanticMap,
        fake: Tensor,
        real: Tensor,
    ) -> tuple[Features, Features]:
        """Return the features of fake and of real images, in float32 under autocast."""
        if self.config.stacked:
            on_fake, on_real = discriminator.of_pair(semantics, fake, real)
        else:
            on_fake, on_real = (discriminator(semantics.full, one) for one in (fake, real))
        return _as_float32(on_fake), _as_float32(on_real)


def _as_float32(features: Features) -> Features:
    """Half precision has too few bits for means; other features stay as they are."""
    half = (torch.float16, torch.bfloat16)
    return [[item.float() if item.dtype in half else item for item in scale] for scale in features]
