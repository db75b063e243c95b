# SPDX-License-Identifier: Apache-2.0
"""Label values and one-hot layouts: which channel of a generator's input belongs to which label.

Released generators of one dataset differ in it, and one fed with another's layout draws wrong
pictures without an error: for ADE20K, SPADE and SDM both take 151 channels, SPADE with "other" in
channel 0, SDM with "other" in channel 150. Numbers of channels are those of the released code of
SPADE, OASIS and SDM. Plain data, without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

IGNORE_INDEX = 255
"""Label value of unlabelled pixels in every dataset of the suite; it is never a class."""

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True, kw_only=True)
class SemanticLayout:
    """Which channel of the semantic map belongs to which label value.

    `unknown="last"` puts unlabelled pixels into channel `num_classes` (SPADE); `"first"` puts them
    into channel 0 and moves class k to channel k + 1 (OASIS, and ADE20K's raw label ids).
    """

    num_classes: int
    unknown: Literal["none", "first", "last"] = "none"
    edges: bool = False

    @property
    def num_labels(self) -> int:
        """Channels of the semantic map: classes, "unknown", instance edges (always the last)."""
        return self.num_classes + (self.unknown != "none") + self.edges


LAYOUTS: dict[str, dict[str, SemanticLayout]] = {
    "cocostuff": {
        "spade": SemanticLayout(num_classes=182, unknown="last", edges=True),  # 184
        "oasis": SemanticLayout(num_classes=182, unknown="first"),  # 183
        "sdm": SemanticLayout(num_classes=182, unknown="last", edges=True),  # 184
    },
    # The relabelling step in SPADE's code changes nothing, so its layout is that of the files:
    # "other" in channel 0 and class k of 1..150 in channel k.
    "ade20k": {
        "spade": SemanticLayout(num_classes=150, unknown="first"),  # 151
        "oasis": SemanticLayout(num_classes=150, unknown="first"),  # 151
        "sdm": SemanticLayout(num_classes=150, unknown="last"),  # 151
    },
    # Ids 0..33; channel 34 stays empty.
    "cityscapes": {
        "spade": SemanticLayout(num_classes=35, edges=True),  # 36
        "oasis": SemanticLayout(num_classes=35),  # 35
        "sdm": SemanticLayout(num_classes=35, edges=True),  # 36
    },
}
"""The published layouts of each label space, by program; datasets name theirs."""

RELEASED_LAYOUTS: dict[str, SemanticLayout] = {
    "coco_stuff": LAYOUTS["cocostuff"]["spade"],
    "ade20k_raw": LAYOUTS["ade20k"]["spade"],
    "ade20k_shifted": LAYOUTS["ade20k"]["sdm"],
    "cityscapes": LAYOUTS["cityscapes"]["spade"],
    "cityscapes_without_edges": LAYOUTS["cityscapes"]["oasis"],
    "coco_stuff_unknown_first": LAYOUTS["cocostuff"]["oasis"],
    "coco_stuff_without_edges": replace(LAYOUTS["cocostuff"]["sdm"], edges=False),
    # CelebAMask-HQ: 0 is the background, which is a class like the 18 parts of a face.
    "celebamask_hq": SemanticLayout(num_classes=19),
    "celebamask_hq_with_edges": SemanticLayout(num_classes=19, edges=True),
}
"""The layouts of released networks by the names under which a user chooses one of them."""

SPADE_LAYOUTS = (
    "coco_stuff", "ade20k_raw", "ade20k_shifted", "cityscapes", "cityscapes_without_edges",
)  # fmt: skip
"""Those among which a released network's channels decide, unless its system has its own order."""


def layouts_of(
    published: Mapping[str, SemanticLayout],
    num_classes: int,
    *,
    has_unlabelled: bool,
    has_instances: bool,
) -> dict[str, SemanticLayout]:
    """Return every layout of a dataset by name; edges only where there are instance maps.

    `published` are its own; without any, the programs' conventions decide.
    """
    rows = published or _conventions(num_classes, has_unlabelled)
    return {name: replace(row, edges=row.edges and has_instances) for name, row in rows.items()}


def _conventions(num_classes: int, has_unlabelled: bool) -> Mapping[str, SemanticLayout]:
    """Return what the three programs do with a dataset that they were not made for."""
    last: Literal["none", "last"] = "last" if has_unlabelled else "none"
    first: Literal["none", "first"] = "first" if has_unlabelled else "none"
    return {
        "spade": SemanticLayout(num_classes=num_classes, unknown=last, edges=True),
        "oasis": SemanticLayout(num_classes=num_classes, unknown=first),
        "sdm": SemanticLayout(num_classes=num_classes, unknown=last, edges=True),
    }
