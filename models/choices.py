# SPDX-License-Identifier: Apache-2.0
"""What a configuration chooses by name, for networks and command line alike; without torch."""

from dataclasses import dataclass
from typing import Literal

SettingSet = Literal["paper", "release"]
"""Whose numbers a method is trained with: the paper's, or those of its published code."""

Precision = Literal["float32", "bf16", "fp16"]
"""In which numbers a network computes; losses, weights and optimizers stay in float32."""

PerceptualNetwork = Literal[
    "vgg19", "vgg16", "lite0", "lite0-fine", "lite0-coarse", "lite0-rising", "in-domain", "none"
]
"""Whose features a perceptual loss compares: the paper's network, a stand-in, or nobody's."""

StyleInput = Literal[
    "none", "random", "class means", "another photo", "real image (same)", "real image"
]
"""What a generator is given besides the label map.

Class means are of training images; "real image (same)" is the photo that belongs to the label map,
so that what comes out is a reconstruction. Of folders this was first called "real image".
"""

LabelInput = Literal["one-hot", "colours"]
"""How a generator that translates images reads a label map: one channel a label, or a picture."""

RateDecay = Literal["linear", "cosine"]
"""How rates fall that a method lets fall linearly: in the second half, or along half a wave."""

TestMode = Literal["train", "eval"]
"""How pix2pix synthesizes: as it was trained (batch statistics, dropout), or in evaluation mode."""

NoisePer = Literal["image", "class", "region"]
"""What has a latent of its own; generators without 3D noise know images alone."""


GivenMaps = Literal["whole", "ds", "edge", "random", "large", "few"]
"""Of which label maps images are made: the split's own, damaged ones, or those of few masks."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How images of a diffusion model are sampled; None leaves it to the model."""

    steps: int | None = None
    guidance: float | None = None  # 1 is none

    @property
    def identity(self) -> dict[str, float]:
        """What of it decides which images are made, besides the model."""
        values = {"sampling_steps": self.steps, "guidance": self.guidance}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def flags(self) -> dict[str, str]:
        """What the user said, by flag."""
        values = {"--sampling-steps": self.steps, "--guidance": self.guidance}
        return {flag: f"{value:g}" for flag, value in values.items() if value is not None}
