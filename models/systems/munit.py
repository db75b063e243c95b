# SPDX-License-Identifier: Apache-2.0
"""MUNIT: content and style apart, so that a label map has as many photos as there are styles.

Huang et al., "Multimodal Unsupervised Image-to-Image Translation", ECCV 2018, Sec. 3 and 4, against
the NVlabs/MUNIT repository. One step is D, then G; each draws styles of its own.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.models.choices import StyleInput
from spade_eval.models.generators.munit import MUNITGenerator
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.losses.gan import whole_floats
from spade_eval.models.systems.base import Original
from spade_eval.models.systems.translation import (
    DECAYED,
    HALVED,
    DomainTranslation,
    TranslationSettings,
    distance,
    optimizers,
)


@dataclass(frozen=True, kw_only=True)
class MUNITSettings(TranslationSettings):
    """Weights of the codes' reconstruction, too."""

    style_weight: float = 1.0
    content_weight: float = 1.0


_PAPER = MUNITSettings(
    optimizers=optimizers(**HALVED),
    batch_size=1,
    constant_epochs=0,
    decay_epochs=0,
    initialisation="kaiming",
)
_RELEASE = replace(_PAPER, optimizers=optimizers(**DECAYED))


class MUNIT(DomainTranslation):
    """Two encoders and a decoder of each domain, of which each network holds what it needs."""

    name = "munit"
    original = Original(
        paper="Huang et al., Multimodal Unsupervised Image-to-Image Translation, ECCV 2018",
        objective="least squares GAN, reconstruction of images, contents and styles; on street "
        "scenes a cycle and VGG-16",
        protocol="choices of people, LPIPS among images of one input, conditional Inception Score; "
        "none on label maps of these datasets",
        licence="CC BY-NC-SA 4.0",
        released=("gen_*.pt", "dis_*.pt", "edges2shoes.pt"),
    )
    generator: MUNITGenerator
    inverse: MUNITGenerator
    # Cityscapes as the street scenes of both.
    settings: ClassVar = {
        ("paper", ""): _PAPER,
        ("paper", "cityscapes"): replace(_PAPER, perceptual_weight=1.0),
        ("release", ""): _RELEASE,
        ("release", "cityscapes"): replace(_RELEASE, perceptual_weight=1.0, cycle_weight=10.0),
    }
    setting_notes: ClassVar = {
        "weight_decay": "of every released configuration; the paper prints none",
        "cycle_weight": "of the released configuration for street scenes",
    }

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return "random": the style is drawn where none is given."""
        return "random"

    @classmethod
    def style_inputs(cls, network: nn.Module) -> tuple[StyleInput, ...]:
        """Return N(0, 1) and photos."""
        return ("random", "another photo", "real image (same)")

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1], in the style of a photo or of N(0, 1)."""
        assert isinstance(network, MUNITGenerator)
        z = inputs.noise.normal("z", network.config.z_dim)
        if inputs.style is not None:
            z = network.style(inputs.style.photos)
        images: Tensor = network(inputs.semantics, z)
        return images

    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of both generators (Eq. 5), the cycle among them (Sec. 5.1)."""
        to_b, to_a = self.generator, self.inverse
        x_a, x_b = self.images(batch)
        drawn_a, drawn_b = self._styles(batch, "generator")
        c_a, c_b = to_b.content(x_a), to_a.content(x_b)
        s_a, s_b = to_a.style(x_a), to_b.style(x_b)
        x_ab = whole_floats(to_b.decode(c_a, drawn_b))
        x_ba = whole_floats(to_a.decode(c_b, drawn_a))
        c_a_again, c_b_again = to_a.content(x_ab), to_b.content(x_ba)
        weights = self.weights
        images, content, style = (
            weights.reconstruction_weight, weights.content_weight, weights.style_weight,
        )  # fmt: skip
        terms = {
            "image_labels": images * distance(to_a.decode(c_a, s_a), x_a),  # Eq. 1
            "image_photos": images * distance(to_b.decode(c_b, s_b), x_b),
            "content_labels": content * distance(c_a_again, c_a),  # Eq. 2
            "content_photos": content * distance(c_b_again, c_b),
            "style_labels": style * distance(to_a.style(x_ba), drawn_a),  # Eq. 3
            "style_photos": style * distance(to_b.style(x_ab), drawn_b),
            **self.adversarial_terms(batch, x_ba, x_ab),  # Eq. 4
        }
        if weights.cycle_weight:
            cycles = {
                "cycle_labels": distance(to_a.decode(c_a_again, s_a), x_a),
                "cycle_photos": distance(to_b.decode(c_b_again, s_b), x_b),
            }
            terms |= {name: weights.cycle_weight * term for name, term in cycles.items()}
        return terms

    def translated(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return photos as label maps and label maps as photos, in drawn styles."""
        x_a, x_b = self.images(batch)
        drawn_a, drawn_b = self._styles(batch, "discriminator")
        x_ba = self.inverse.decode(self.inverse.content(x_b), drawn_a)
        x_ab = self.generator.decode(self.generator.content(x_a), drawn_b)
        return whole_floats(x_ba), whole_floats(x_ab)

    def _styles(self, batch: Batch, half: str) -> tuple[Tensor, Tensor]:
        """Return drawn styles (N, z_dim) of label maps and of photos."""
        z_dim = self.generator.config.z_dim
        labels, photos = (
            batch.noise.normal(f"{half} {domain}", z_dim) for domain in ("labels", "photos")
        )
        return labels, photos
