# SPDX-License-Identifier: Apache-2.0
"""Styles that a painted map's image may have: drawn, turned by a slider, or taken from a photo."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spade_eval.models.encoders.variational import reparametrise
from spade_eval.models.inputs import Noise

Posterior = tuple[Tensor, Tensor]
"""Mean and log-variance of z as an image encoder gives them, each (1, z_dim)."""


@dataclass(frozen=True)
class AskedStyle:
    """What the page asks for; systems without a style look at none of it."""

    number: int  # of the draw: that of the dataset's map gives the latent that it is scored with
    turn: float  # degrees on the circle that begins with this draw
    photo: str | None  # a name that the session knows


@dataclass(frozen=True)
class TurnedNoise(Noise):
    """Noise on a circle: cos(turn) a + sin(turn) b of two draws, so N(0, 1) at every turn.

    Of `posterior`, where there is one, the latent z is mu + exp(logvar / 2) * noise, as the
    variational model takes it at test time (Park et al., Sec. 3, "Multi-modal synthesis").
    """

    turn: float = 0.0  # radians
    posterior: Posterior | None = None

    @classmethod
    def of(
        cls, style: AskedStyle, device: torch.device, posterior: Posterior | None = None
    ) -> "TurnedNoise":
        """Return the noise of one image in that style."""
        drawn = Noise.of_images(0, [style.number], device=device)
        turn = math.radians(style.turn)
        return cls(drawn.streams, drawn.unnamed, device, turn=turn, posterior=posterior)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Draw (1, *shape) from N(0, 1), or from the photo's distribution if it is the latent."""
        noise = super().normal(name, *shape)
        if self.turn:
            quarter = super().normal(f"{name}, a quarter turn on", *shape)
            noise = math.cos(self.turn) * noise + math.sin(self.turn) * quarter
        if self.posterior is None or name != "z":
            return noise
        return reparametrise(*self.posterior, noise)
