# SPDX-License-Identifier: Apache-2.0
"""UNIT: two domains whose images share one code, to which training adds noise.

Liu et al., "Unsupervised Image-to-Image Translation Networks", NeurIPS 2017, Sec. 3, against the
mingyuliutw/UNIT repository, whose networks are MUNIT's with instance norm in the place of styles.
One step is D, then G; each draws noise of its own.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spade_eval.models.generators.unit import UNITGenerator
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.losses.gan import whole_floats
from spade_eval.models.systems.base import Difference, Original
from spade_eval.models.systems.translation import (
    DECAYED,
    DomainTranslation,
    TranslationSettings,
    distance,
    optimizers,
)


@dataclass(frozen=True, kw_only=True)
class UNITSettings(TranslationSettings):
    """The weight of the codes' size, too, which stands for a divergence from N(0, 1)."""

    code_weight: float = 0.01


def _settings(**known: Any) -> UNITSettings:
    return UNITSettings(
        batch_size=1,
        constant_epochs=0,
        decay_epochs=0,
        initialisation="kaiming",
        **known,
    )


_PAPER = _settings(
    optimizers=optimizers(decay="constant"),
    gan="original",
    gan_weight=10.0,
    reconstruction_weight=100.0,
    cycle_weight=100.0,
    code_weight=0.1,
)
_RELEASE = _settings(optimizers=optimizers(**DECAYED), cycle_weight=10.0)
_STREETS = _settings(optimizers=optimizers(**DECAYED), cycle_weight=10.0, perceptual_weight=1.0)


class UNIT(DomainTranslation):
    """An encoder and a decoder of each domain, of which each network holds what it needs."""

    name = "unit"
    original = Original(
        paper="Liu et al., Unsupervised Image-to-Image Translation Networks, NeurIPS 2017",
        objective="least squares GAN, reconstruction and cycle of images, size of codes; on street "
        "scenes VGG-16",
        protocol="accuracy of domain adaptation between digits; none on label maps of these "
        "datasets",
        licence="CC BY-NC-SA 4.0",
        released=("gen_*.pt", "dis_*.pt", "unit_gta2city.pt"),
    )
    generator: UNITGenerator
    inverse: UNITGenerator
    settings: ClassVar = {
        ("paper", ""): _PAPER,
        ("release", ""): _RELEASE,
        ("release", "cityscapes"): _STREETS,
    }
    setting_notes: ClassVar = {
        "gan": "the code's discriminators of three scales are trained by least squares",
        "gan_weight": "all weights of the paper are ten times the code's",
        "reconstruction_weight": "all weights of the paper are ten times the code's",
        "cycle_weight": "all weights of the paper are ten times the code's",
        "code_weight": "all weights of the paper are ten times the code's",
        "weight_decay": "of every released configuration; the paper prints none",
        "decay": "the code halves rates every 100,000 steps; the paper prints no decay",
        "perceptual_weight": "of the released configuration for street scenes",
    }
    printed_architecture = (
        Difference(
            setting="shared weights",
            paper="the last layers of the encoders and the first ones of the decoders are shared",
            release="the domains share no weights",
            note="built as released: an encoder and a decoder of each domain",
        ),
    )

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1], without noise."""
        images: Tensor = network(inputs.semantics)
        return images

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of both generators (Eq. 2)."""
        to_b, to_a = self.generator, self.inverse
        x_a, x_b = self.images(batch)
        h_a, h_b = to_b.content(x_a), to_a.content(x_b)
        z_a, z_b = self._noisy(batch, "generator", h_a, h_b)
        x_ba, x_ab = whole_floats(to_a.decoder(z_b)), whole_floats(to_b.decoder(z_a))
        weights = self.weights
        images, code = weights.reconstruction_weight, weights.code_weight
        terms = {
            "image_labels": images * distance(to_a.decoder(z_a), x_a),  # Eq. 3
            "image_photos": images * distance(to_b.decoder(z_b), x_b),
            "code_labels": code * _size(h_a),
            "code_photos": code * _size(h_b),
            **self.adversarial_terms(batch, x_ba, x_ab),  # Eq. 4
        }
        if weights.cycle_weight:  # Eq. 5
            h_a_again, h_b_again = to_a.content(x_ab), to_b.content(x_ba)
            z_a_again, z_b_again = self._noisy(batch, "cycle", h_a_again, h_b_again)
            cycle = weights.cycle_weight
            terms |= {
                "cycle_labels": cycle * distance(to_a.decoder(z_a_again), x_a),
                "cycle_photos": cycle * distance(to_b.decoder(z_b_again), x_b),
                "cycle_code_labels": code * _size(h_a_again),
                "cycle_code_photos": code * _size(h_b_again),
            }
        return terms

    def translated(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return photos as label maps and label maps as photos."""
        x_a, x_b = self.images(batch)
        h_a, h_b = self.generator.content(x_a), self.inverse.content(x_b)
        z_a, z_b = self._noisy(batch, "discriminator", h_a, h_b)
        return whole_floats(self.inverse.decoder(z_b)), whole_floats(self.generator.decoder(z_a))

    def _noisy(self, batch: Batch, part: str, h_a: Tensor, h_b: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes of label maps and of photos with N(0, 1) added."""
        labels, photos = (
            whole_floats(code) + batch.noise.normal(f"{part} {domain}", *code.shape[1:])
            for domain, code in (("labels", h_a), ("photos", h_b))
        )
        return labels, photos


def _size(code: Tensor) -> Tensor:
    """Return the mean square of a code (N, C, h, w)."""
    return whole_floats(code).square().mean()
