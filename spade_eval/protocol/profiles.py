# SPDX-License-Identifier: Apache-2.0
"""The profiles, and what depends on the dataset; those of 2022 and later are in `recent.py`."""

from collections.abc import Mapping

from spade_eval.protocol.fields import (
    AS_GENERATED,
    FULL_SIZE,
    IN_DOMAIN,
    LONG_SIDE_512,
    Cell,
    Protocol,
    cell,
)
from spade_eval.protocol.recent import RECENT_PROFILES, RECENT_TABLE

_PAPER_FIDS = ("pytorch-fid", "legacy-2019a")
PROFILES: dict[str, Protocol] = {
    profile.profile: profile
    for profile in (
        Protocol(
            profile=IN_DOMAIN,
            about="a small segmenter trained on the dataset's own photos; no paper's numbers",
            batch_size=20,
        ),
        # The paper's FIDs predate the Inception of TensorFlow's weights, later reports use it.
        Protocol(
            profile="spade-paper-a",
            about="SPADE's tables; images enter the segmenter as generated",
            fid_profiles=_PAPER_FIDS,
        ),
        Protocol(
            profile="spade-paper-b",
            about="SPADE's tables; practice B of section 2: another size into the segmenter",
            fid_profiles=_PAPER_FIDS,
        ),
        # Its FID is of floats, the one by which its checkpoints were chosen.
        Protocol(
            profile="oasis",
            about="OASIS's authors: images as generated, FID of its training code",
            fid_profiles=("oasis-train",),
        ),
        Protocol(
            profile="imaginaire",
            about="NVIDIA imaginaire and SCDM: the mean divided by all 182 ids; its FID is not "
            "among the suite's profiles",
            fid_profiles=(),
        ),
        Protocol(
            profile="modern",
            about="today's choice: images as generated, clean-fid with KID",
            fid_profiles=("clean-fid",),
        ),
    )
}
PROFILES |= RECENT_PROFILES

_SQUARE, _WIDE = (256, 256), (256, 512)
_LEGACY = "upernet101-baseline"  # the release of 2018, the only one there was for SPADE
TABLE: dict[str, dict[str, Cell]] = {
    "cocostuff": {  # size, segmenter, how images enter it, classes in the mean, short sides, batch
        "spade-paper-a": cell(_SQUARE, "deeplab-v2", AS_GENERATED, "target"),
        "spade-paper-b": cell(_SQUARE, "deeplab-v2", LONG_SIDE_512, "target"),
        "oasis": cell(_SQUARE, "deeplab-v2", AS_GENERATED, "target"),
        "imaginaire": cell(_SQUARE, "deeplab-v2", LONG_SIDE_512, "all"),
        "modern": cell(_SQUARE, "deeplab-v2", AS_GENERATED, "target"),
    },
    "ade20k": {  # A: five scales; B: one, of the image's own 256 (OASIS issue 17)
        "spade-paper-a": cell(_SQUARE, _LEGACY, AS_GENERATED, "all"),
        "spade-paper-b": cell(_SQUARE, _LEGACY, AS_GENERATED, "all", (256,)),
        "oasis": cell(_SQUARE, "upernet101", AS_GENERATED, "all"),
        "modern": cell(_SQUARE, "upernet101", AS_GENERATED, "all"),
    },
    "cityscapes": {
        "spade-paper-a": cell(_WIDE, "drn-d-105", AS_GENERATED, "union"),
        "spade-paper-b": cell(_WIDE, "drn-d-105", FULL_SIZE, "union", batch_size=1),
        "oasis": cell(_WIDE, "drn-d-105", AS_GENERATED, "union"),
        "modern": cell(_WIDE, "drn-d-105", AS_GENERATED, "union"),
    },
}
TABLE["ade20k_outdoor"] = dict(TABLE["ade20k"])  # which later papers do not score
for _dataset, _cells in RECENT_TABLE.items():
    TABLE[_dataset] |= _cells

# The practice by which users came nearest to the paper; on Cityscapes measure both.
SHORTHANDS: Mapping[str, Mapping[str, str]] = {
    "spade-paper": {
        "cocostuff": "spade-paper-a",
        "ade20k": "spade-paper-a",
        "ade20k_outdoor": "spade-paper-a",
        "cityscapes": "spade-paper-b",
    },
    "place": {"cocostuff": "freestylenet", "ade20k": "freestylenet"},
}
