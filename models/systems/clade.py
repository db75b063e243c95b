# SPDX-License-Identifier: Apache-2.0
"""CLADE and CLADE-ICPE: SPADE's objective and discriminator with another generator.

Tan et al., "Efficient Semantic Image Synthesis via Class-Adaptive Normalization", TPAMI 2021. The
paper trains as Park et al. do: `paper` is what those print, dataset by dataset. `release` holds the
defaults of the CLADE code, which are those of the SPADE code with one batch size for all datasets.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from spade_eval.models.inputs import Batch
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data, Original, Preset
from spade_eval.models.systems.conditional_gan import (
    ConditionalGAN,
    ConditionalGANSettings,
    Posterior,
)
from spade_eval.models.systems.spade import SPADE


@dataclass(frozen=True, kw_only=True)
class CLADESettings(ConditionalGANSettings):
    """SPADE's, and what a mirrored image does to its positional map."""

    # "horizontal": that of the mirrored label map. "vertical": the map of the original, upside
    # down, as the released training gives it to the generator. Networks without ICPE never see it.
    positional_flip: Literal["horizontal", "vertical"] = "horizontal"


def _as_spade(which: Literal["paper", "release"], dataset: str = "") -> CLADESettings:
    flip: Literal["horizontal", "vertical"] = "horizontal" if which == "paper" else "vertical"
    return CLADESettings(**vars(SPADE.settings[which, dataset]), positional_flip=flip)


class CLADE(ConditionalGAN):
    """The method of Tan et al."""

    name = "clade"
    original = Original(
        paper="Tan et al., Efficient Semantic Image Synthesis via Class-Adaptive Normalization, "
        "TPAMI 2021",
        objective="SPADE's",
        protocol="mIoU and accuracy as SPADE's, Cityscapes at 256x512; FID against train photos",
        licence="CC BY-NC-SA 4.0",
        released=("best_net_G.pth", "best_net_D.pth"),
    )
    settings: ClassVar = {
        ("release", ""): _as_spade("release"),
        **{key: _as_spade(*key) for key in SPADE.settings if key[0] == "paper"},
    }
    setting_notes: ClassVar = {
        **{name: note for name, note in SPADE.setting_notes.items() if name != "betas"},
        "betas": "the code's default; the paper follows Park et al., who print 0.999",
        "positional_flip": "the code mirrors images left to right, their positional maps upside "
        "down (CLADE-ICPE)",
    }

    positional_flip = "horizontal"

    @classmethod
    def build(
        cls,
        preset: Preset,
        data: Data,
        settings: Any,
        *,
        width: float = 1.0,
        seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "CLADE":
        """Return the networks with their first weights; see `System.build`."""
        system = super().build(preset, data, settings, width=width, seed=seed, measure=measure)
        assert isinstance(system, CLADE)
        system.positional_flip = settings.positional_flip
        return system

    def _synthesized(self, batch: Batch, half: str) -> tuple[Tensor, Posterior | None]:
        if self.positional_flip == "vertical" and batch.mirrored is not None:
            batch = replace(batch, semantics=_upside_down(batch.semantics, batch.mirrored))
        return super()._synthesized(batch, half)


def _upside_down(semantics: SemanticMap, mirrored: Tensor) -> SemanticMap:
    """Turn the positional maps of mirrored images back and then upside down."""

    def positions() -> Tensor:
        known = semantics.positions_at(semantics.size)
        vertical, horizontal = known.flip(3).unbind(1)
        turned = torch.stack([vertical, -horizontal], dim=1).flip(2)
        return torch.where(mirrored.to(known.device)[:, None, None, None], turned, known)

    return semantics.with_positions(positions)
