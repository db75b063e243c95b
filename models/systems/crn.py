# SPDX-License-Identifier: Apache-2.0
"""CRN: a generator trained by features alone, without a discriminator.

Chen & Koltun, "Photographic Image Synthesis with Cascaded Refinement Networks", ICCV 2017, with the
nine-image diversity loss of the released 256 x 512 model. The weights of the loss belong to the
VGG-19 of MatConvNet, which the authors used; here they go with torchvision's, another training.
Without VGG-19 weights what remains of the loss is its first term, the pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.models.generators.crn import CRNGenerator
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.losses.diversity import AveragePooledVGG19, diversity_terms, error_table
from spade_eval.models.systems.base import (
    Data,
    Optimizer,
    Original,
    Preset,
    Settings,
    System,
    Update,
)
from spade_eval.models.systems.scaling import network_config


@dataclass(frozen=True, kw_only=True)
class CRNSettings(Settings):
    """Adam at a constant rate, one photo a step; weights of the six levels, pixels first."""

    level_weights: tuple[float, ...] = (1.0, 1 / 1.6, 1 / 2.3, 1 / 1.8, 1 / 2.8, 10 / 0.8)


_SETTINGS = CRNSettings(
    optimizers={"G": Optimizer(rate=1e-4, betas=(0.9, 0.999), decay="constant")},
    batch_size=1,
    constant_epochs=200,
    decay_epochs=0,
    initialisation="glorot",
)


class CRN(System):
    """The cascade and, as a measure, VGG-19."""

    name = "crn"
    original = Original(
        paper="Chen & Koltun, Photographic Image Synthesis with Cascaded Refinement Networks, "
        "ICCV 2017",
        objective="L1 of pixels and of VGG-19's features, by class; no GAN",
        protocol="choices of people, pair by pair",
        licence="MIT",
        released=("model.ckpt.data-00000-of-00001",),
    )
    takes_stand_in = False  # its loss is the features of VGG-19
    settings: ClassVar = {("paper", ""): _SETTINGS, ("release", ""): _SETTINGS}

    def __init__(
        self, generator: CRNGenerator, settings: CRNSettings, vgg19: AveragePooledVGG19 | None
    ) -> None:
        super().__init__()
        self.generator, self.weights = generator, settings.level_weights
        self._vgg19 = () if vgg19 is None else (vgg19,)  # no child, so in no state

    @classmethod
    def layout(
        cls,
        published: Mapping[str, SemanticLayout],
        num_classes: int,
        *,
        has_unlabelled: bool,
        has_instances: bool,
    ) -> SemanticLayout:
        """Return classes and then the rest, without instance edges."""
        unknown = "last" if has_unlabelled else "none"
        return SemanticLayout(num_classes=num_classes, unknown=unknown)  # type: ignore[arg-type]

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: CRNSettings,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "CRN":
        """Return the cascade with its first weights; see `System.build`."""
        config = network_config(preset, data.num_labels, data.size, width)
        generator = build(preset.network, config, settings.initialisation, seed)
        assert isinstance(generator, CRNGenerator)
        assert measure is None or isinstance(measure, AveragePooledVGG19)
        return cls(generator, settings, measure)

    @classmethod
    def has_perceptual_loss(cls, settings: CRNSettings) -> bool:
        """Return True: five of the six levels are features of VGG-19."""
        return True

    @classmethod
    def measure(cls, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return VGG-19 with the mean in the place of the maximum."""
        return AveragePooledVGG19(weights)

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return the first of the images, (N, 3, H, W) in [-1, 1]."""
        images: Tensor = network(inputs.semantics)
        return images

    @property
    def measures(self) -> tuple[AveragePooledVGG19, ...]:
        """VGG-19, where its weights were given."""
        return self._vgg19

    def updates(self) -> tuple[Update, ...]:
        """Return G, the only one."""
        return (Update("G", ("generator",), self.terms),)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of the best image of every class and of the mean over images."""
        images = self.generator.collection(batch.semantics).float()
        labels = batch.semantics.full
        vgg19 = self.measures[0] if self.measures else None
        return diversity_terms(error_table(vgg19, batch.photos, images, labels, self.weights))
