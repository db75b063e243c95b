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
from spade_eval.errors import lookup
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
    # How FID is computed, a row of FID_PROFILES.
    fid_profile: str = "pytorch-fid"
    # Images per forward pass. It is part of the protocol because it can move the last bit.
    batch_size: int = 20


IN_DOMAIN = "in-domain"
# One column a profile: in-domain scores never stand beside those of a published segmenter.
PROFILES = {
    IN_DOMAIN: Protocol(profile=IN_DOMAIN, version=1),
    # Practice A: images go into the segmenter at the size at which they were generated, and label
    # maps are resized to it by nearest (CC-FPSE and OASIS authors).
    "as-generated": Protocol(profile="as-generated", version=1, batch_size=4),
}
# Classes in the mean as each segmenter's own evaluation code has them.
OWN_AVERAGE: dict[str, Literal["all", "target", "union"]] = {
    "cocostuff": "target",
    "ade20k": "all",
    "ade20k_outdoor": "all",
    "cityscapes": "union",
}


def protocol_for(profile: str, dataset: str, fid_profile: str) -> Protocol:
    """A profile as it applies to a dataset, with the FID that is asked for."""
    protocol = lookup(PROFILES, profile, "profile")
    protocol = dataclasses.replace(protocol, fid_profile=fid_profile)
    if profile == IN_DOMAIN:
        return protocol
    average = OWN_AVERAGE.get(dataset, protocol.class_average)
    return dataclasses.replace(protocol, class_average=average)


@dataclass(frozen=True, kw_only=True)
class ResolvedProtocol:
    """A profile with the files it is applied with; its hash identifies a column."""

    protocol: Protocol
    size: Size
    segmenter: str
    segmenter_sha256: str
    segmenter_weights: str  # "in-domain", "published", "given", "filled" or "random"
    # Title of the network whose features are compared, or None: no distance.
    features: str | None
    features_sha256: str | None

    @property
    def sha256(self) -> str:
        return sha256_of_json(dataclasses.asdict(self))
