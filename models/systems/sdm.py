# SPDX-License-Identifier: Apache-2.0
"""SDM: a diffusion model that is guided by the semantic map; no discriminator.

Wang et al., "Semantic Image Synthesis via Diffusion Models", 2022, Sec. 3, against the
WeilunWang/semantic-diffusion-model repository. In the first part of a training every image has its
map; in the second, at a fifth of the rate, some have none, so that images can be guided without a
classifier (Ho & Salimans, 2022).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.models.choices import StyleInput
from spade_eval.models.generators.sdm import SDMGenerator
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.losses.diffusion import noise_error, variational_bits
from spade_eval.models.losses.gan import whole_floats
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
from spade_eval.progress import Progress

_QUICK_STEPS = 10  # of previews
_SECONDS = 5.0  # of sampling, before a bar appears


@dataclass(frozen=True, kw_only=True)
class SDMSettings(Settings):
    """Weight of the bound, share of images without a map in fine-tuning, and how to sample."""

    variance_weight: float = 0.001  # lambda of IDDPM, Eq. 16; of the bound over all steps
    condition_drop: float = 0.2
    sampling_steps: int = 1000
    guidance: float = 1.5


_SETTINGS = SDMSettings(
    optimizers={"G": Optimizer(rate=1e-4, betas=(0.9, 0.999), kind="adamw", decay="fine-tuning")},
    batch_size=32,
    constant_epochs=200,
    decay_epochs=50,
    initialisation="pytorch",
    ema_decay=0.9999,
)
# Of miniatures, whose images may not cost more than their training.
_SCENES = replace(_SETTINGS, sampling_steps=20)


class SDM(System):
    """The generator alone: it learns what noise was added to a photo, by the photo's map."""

    name = "sdm"
    original = Original(
        paper="Wang et al., Semantic Image Synthesis via Diffusion Models, 2022",
        objective="noise of diffused photos, and the variance of each step by the bound of the "
        "likelihood; fine-tuned with a fifth of the maps left out",
        protocol="FID and LPIPS among ten images of one label map; mIoU",
        licence="none stated",
        released=("ema_0.9999_best.pt",),
    )
    labels = "sdm"
    multiple = 8
    smallest = 16
    averages_first_weights = True
    drawn = "noise of the start and of every sampling step drawn from N(0, 1)"
    settings: ClassVar = {
        ("paper", ""): _SETTINGS,
        ("paper", "scenes"): _SCENES,
        ("release", ""): _SETTINGS,
        ("release", "scenes"): _SCENES,
    }
    printed_architecture = (
        Difference(
            setting="length of the training",
            paper="not printed",
            release="none: until it is stopped (semantic-diffusion-model#1)",
            note="200 epochs and 50 of fine-tuning are this suite's",
        ),
    )

    def __init__(self, generator: SDMGenerator, settings: SDMSettings) -> None:
        super().__init__()
        self.generator, self.weights = generator, settings

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: SDMSettings,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "SDM":
        """Return the generator with its first weights; see `System.build`."""
        config = network_config(
            preset,
            data.num_labels,
            data.size,
            width,
            sampling_steps=settings.sampling_steps,
            guidance=settings.guidance,
        )
        generator = build(preset.network, config, settings.initialisation, seed)
        assert isinstance(generator, SDMGenerator)
        return cls(generator, settings)

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        """Return "random": an image begins as noise."""
        return "random"

    @classmethod
    def fewest_passes(cls, config: SDMGenerator.Config) -> tuple[SDMGenerator.Config, float]:
        """Return the configuration with two sampling steps, which are as dear as any other two."""
        return replace(config, sampling_steps=2), config.sampling_steps / 2

    @classmethod
    def notes(cls, network: nn.Module) -> tuple[str, ...]:
        """Return how an image is sampled."""
        assert isinstance(network, SDMGenerator)
        config = network.config
        guided = f"guidance {config.guidance:g} by the zero map"
        if config.guidance == 1:
            guided = "without guidance"
        return (
            f"a diffusion model, sampled in {config.sampling_steps:,} ancestral steps of the "
            f"{config.training_steps:,} that it was trained for, {guided}.",
        )

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1], in as many steps as its configuration says."""
        assert isinstance(network, SDMGenerator)
        size = inputs.semantics.size

        def follow(steps: Sequence[int]) -> Iterator[int]:
            shown = inputs.shows_progress
            with Progress("sampling", len(steps), "step", shown=shown, delay=_SECONDS) as progress:
                for step in steps:
                    yield step
                    progress.advance()

        images: Tensor = network(
            inputs.semantics,
            lambda name: inputs.noise.normal(name, 3, *size),
            follow,
            steps=min(_QUICK_STEPS, network.config.sampling_steps) if quick else None,
            guidance=1.0 if quick else None,  # before fine-tuning there is nothing to guide by
        )
        return images

    def updates(self) -> tuple[Update, ...]:
        """Return G, the only one."""
        return (Update("G", ("generator",), self.terms),)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return weighted terms of one random step for each photo (IDDPM, Eq. 16)."""
        diffusion, photos = self.generator.diffusion, batch.photos
        noise = batch.noise.normal("epsilon", *photos.shape[1:])
        t = (batch.noise.uniform("t") * len(diffusion)).long()
        x_t = diffusion.noised(photos, t, noise)
        output = whole_floats(self.generator.unet(x_t, t, self.condition(batch)))
        predicted, v = output.chunk(2, dim=1)
        bits = variational_bits(diffusion, photos, x_t, t, predicted, v)
        weight = self.weights.variance_weight * len(diffusion)  # of one of the bound's T terms
        return {"noise": noise_error(noise, predicted), "variance": weight * bits.mean()}

    def condition(self, batch: Batch) -> SemanticMap:
        """Return the maps, in fine-tuning some of them zero in every channel."""
        if not (self.fine_tuning and self.weights.condition_drop):
            return batch.semantics
        kept = batch.noise.uniform("drop") >= self.weights.condition_drop
        full = batch.semantics.full
        return SemanticMap.from_tensor(full * kept[:, None, None, None].to(full.dtype))
