# SPDX-License-Identifier: Apache-2.0
"""How each method is trained: the numbers its paper prints and those its published code uses.

Park et al., CVPR 2019, Sec. 4 and Appendix A against the NVlabs/SPADE repository; Wang et al., CVPR
2018, whose paper and code agree. The architecture is the code's in both sets: where Park et al.
print another one, `PRINTED_ARCHITECTURE` says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from spade_eval.models.choices import SettingSet
from spade_eval.models.discriminators.multiscale import DiscriminatorNorm
from spade_eval.models.initialisation import Scheme


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything about a training run but the networks' widths and the data."""

    objective: str = "spade"  # a row of spade_eval.models.losses.OBJECTIVES
    learning_rate: float = 2e-4
    two_time_scale: bool = True  # generator at half, discriminator at twice the learning rate
    betas: tuple[float, float] = (0.0, 0.9)
    batch_size: int = 32
    constant_epochs: int = 100
    decay_epochs: int = 100  # the learning rate falls linearly to zero
    # Images whose KL divergences are summed: those of a GPU. None: all of a batch.
    kld_images: int | None = None
    initialisation: Scheme = "as_trained"
    discriminator_norm: DiscriminatorNorm = "spectralinstance"
    discriminator_layers: int = 4  # convolutions before the last one
    discriminator_scales: int = 2

    @property
    def generator_learning_rate(self) -> float:
        """Of the generator and the encoder."""
        return self.learning_rate / 2 if self.two_time_scale else self.learning_rate

    @property
    def discriminator_learning_rate(self) -> float:
        return self.learning_rate * 2 if self.two_time_scale else self.learning_rate


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One setting on which paper and release differ."""

    setting: str
    paper: str
    release: str
    note: str = ""


_SPADE_PAPER = TrainingSettings(betas=(0.0, 0.999), initialisation="as_printed", kld_images=4)
_SPADE_RELEASE = TrainingSettings(batch_size=1, constant_epochs=50, decay_epochs=0)
_PIX2PIXHD = TrainingSettings(
    objective="pix2pixhd",
    two_time_scale=False,
    betas=(0.5, 0.999),
    batch_size=1,
    initialisation="pix2pixhd",
    discriminator_norm="instance",
)

_SETTINGS: dict[tuple[str, SettingSet], TrainingSettings] = {
    ("spade", "paper"): _SPADE_PAPER,
    ("spade", "release"): _SPADE_RELEASE,
    ("pix2pixhd", "paper"): _PIX2PIXHD,
    ("pix2pixhd", "release"): _PIX2PIXHD,
}

# What a dataset changes. COCO-Stuff: 100 epochs, Flickr Landscapes: 50, a decay is not stated. The
# release's Cityscapes batch of 16 was set in October 2019.
_BY_DATASET: dict[tuple[str, SettingSet, str], Mapping[str, Any]] = {
    ("spade", "paper", "cocostuff"): {"constant_epochs": 100, "decay_epochs": 0},
    ("spade", "paper", "flickr_landscapes"): {"constant_epochs": 50, "decay_epochs": 0},
    ("spade", "release", "cityscapes"): {"batch_size": 16},
}

_NOTES = {
    "betas": "the author says that the paper's models used 0.9 (NVlabs/SPADE#50)",
    "initialisation": "on a GPU the code's initialisation misses spectrally normalised weights",
    "batch_size": "the code's default; the paper trains on 8 GPUs",
    "constant_epochs": "the code's default",
    "decay_epochs": "the code's default; the paper decays from half of the epochs on",
    "kld_images": "the code sums over a GPU's images: of 32 on 8 GPUs, those of 4",
}

PRINTED_ARCHITECTURE: tuple[Difference, ...] = (
    Difference(
        setting="SPADE layer",
        paper="normalised * gamma + beta (Fig. 10)",
        release="normalised * (1 + gamma) + beta",
        note="built as released",
    ),
    Difference(
        setting="residual block",
        paper="ReLU; shortcut SPADE, ReLU, 3x3 convolution (Fig. 11)",
        release="leaky ReLU 0.2; shortcut SPADE, 1x1 convolution without bias",
        note="built as released: the 96M parameters of Table 3 need the 1x1",
    ),
    Difference(
        setting="generator",
        paper="from 4x4, upsampling after each of seven blocks (Fig. 12)",
        release="from 8x8 at 256x256, five upsamplings, none after the last block",
        note='built as released; upsampling="more" starts from 4x4',
    ),
    Difference(
        setting="spectral norm",
        paper="on all convolutions",
        release="generator: conv_0, conv_1, conv_s; discriminator: all but first and last",
        note="built as released",
    ),
)


def training_settings(method: str, which: SettingSet, dataset: str = "") -> TrainingSettings:
    """The settings of `spade` or `pix2pixhd`, as its `paper` or its `release` has them."""
    if (method, which) not in _SETTINGS:
        known = ", ".join(f"{name} {source}" for name, source in _SETTINGS)
        raise ValueError(f"no settings are called {method!r} {which!r}; known: {known}")
    return replace(_SETTINGS[method, which], **_BY_DATASET.get((method, which, dataset), {}))


def difference(method: str, dataset: str = "") -> list[Difference]:
    """Where paper and release of a method differ: training first, then architecture."""
    paper = training_settings(method, "paper", dataset)
    release = training_settings(method, "release", dataset)
    found = [
        Difference(
            setting=field.name,
            paper=str(getattr(paper, field.name)),
            release=str(getattr(release, field.name)),
            note=_NOTES.get(field.name, ""),
        )
        for field in fields(TrainingSettings)
        if getattr(paper, field.name) != getattr(release, field.name)
    ]
    return found + list(PRINTED_ARCHITECTURE if method == "spade" else ())
