# SPDX-License-Identifier: Apache-2.0
"""How images are scored: every choice that changes a number, as one named profile.

No official evaluation code exists for SPADE and later papers chose differently, so nothing here is
a habit of the code: the profile is printed, hashed and stored with each number, and two profiles
never share a column.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from spade_eval.datasets.base import Size
from spade_eval.records import sha256_of_json


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One profile; `size` and the networks are filled in when a run is resolved."""

    profile: str
    version: int
    split: str = "val"
    photo_filter: Literal["bicubic"] = "bicubic"
    label_filter: Literal["nearest"] = "nearest"
    # Synthesized images become 8 bit before they are scored, as the release of SPADE writes its
    # PNGs: (x + 1) / 2 * 255, clipped and truncated, not rounded.
    quantisation: Literal["truncate", "round"] = "truncate"
    # Classes in the mIoU: those with ground truth in the split, as in DeepLabV2's own evaluation.
    class_average: Literal["all", "target", "union"] = "target"
    segmenter: str
    # Images per forward pass. It is part of the protocol because it can move the last bit.
    batch_size: int = 20


PROFILES = {
    "in-domain": Protocol(profile="in-domain", version=1, segmenter="in-domain U-Net"),
}


@dataclass(frozen=True, kw_only=True)
class ResolvedProtocol:
    """A profile with the files it is applied with; its hash identifies a column."""

    protocol: Protocol
    size: Size
    segmenter_sha256: str
    features: str  # "Inception 2015-12-05 (pytorch-fid)" or "in-domain U-Net"
    features_sha256: str

    @property
    def sha256(self) -> str:
        return sha256_of_json(dataclasses.asdict(self))
