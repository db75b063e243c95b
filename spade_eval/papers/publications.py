# SPDX-License-Identifier: Apache-2.0
"""Publications whose tables are shown, and how their numbers were measured as far as is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A publication, and how its numbers were measured as far as that is known.

    `SUITE` stands for tables of the suite's own, which were never printed.
    """

    key: str  # "park2019"
    authors: str
    venue: str
    numbers: str  # what `reports/published.csv` calls it
    main_table: str = "main results"  # and what it calls the table that other papers quote
    protocol: str = ""  # of that table, where another table quotes it: one sentence
    # Datasets here are named as the paper names them.
    image_counts: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # (height, width)
    usual_size: tuple[int, int] = (256, 256)
    counts_unlabelled: tuple[str, ...] = ()  # as wrong, in accuracy
    unknown_accuracy: tuple[str, ...] = ()  # whether they are counted was not found
    unpublished_lists: tuple[str, ...] = ()  # of images
    fid_profile: str = ""  # that made its FID
    fid_network: str = ""
    fid_stated: bool = False  # in the paper's code, not inferred from its date


SUITE = Paper(key="", authors="The suite", venue="not published", numbers="")

_COUNTS = {"COCO-Stuff": 5000, "ADE20K": 2000, "Cityscapes": 500}
_SIZES = {"Cityscapes": (256, 512)}

# "Semantic Image Synthesis with Spatially-Adaptive Normalization".
PARK_2019 = Paper(
    key="park2019",
    authors="Park et al.",
    venue="CVPR 2019",
    numbers="SPADE (arXiv 1903.07291)",
    main_table="Table 1",
    protocol="last weights, FID by torchvision's Inception of its time",
    image_counts=_COUNTS,
    sizes=_SIZES,
    # 81.9 of SPADE on Cityscapes counts unlabelled pixels as wrong, 93.5 leaves them out
    # (SPADE#100).
    counts_unlabelled=("Cityscapes",),
    unknown_accuracy=("COCO-Stuff", "ADE20K", "ADE20K-outdoor"),
    unpublished_lists=("ADE20K-outdoor",),
    fid_profile="legacy-2019a",
    fid_network="torchvision's Inception",
)

# "You Only Need Adversarial Supervision for Semantic Image Synthesis".
SUSHKO_2021 = Paper(
    key="oasis2021",
    authors="Sushko et al.",
    venue="ICLR 2021",
    numbers="OASIS (arXiv 2012.04781)",
    protocol="averaged weights, of the step whose FID on the val split was lowest",
    image_counts=_COUNTS,
    sizes=_SIZES,
    unpublished_lists=("ADE20K-outdoor",),
    fid_profile="oasis-train",
    fid_network="pytorch-fid's Inception on unrounded images",
    fid_stated=True,
)

# "Efficient Semantic Image Synthesis via Class-Adaptive Normalization".
TAN_2021 = Paper(
    key="tan2021",
    authors="Tan et al.",
    venue="TPAMI 2021",
    numbers="CLADE (arXiv 2004.02867)",
    protocol="the epoch whose FID was lowest, against the photos of the training split",
)

# "SEAN: Image Synthesis with Semantic Region-Adaptive Normalization".
ZHU_2020 = Paper(
    key="zhu2020",
    authors="Zhu et al.",
    venue="CVPR 2020",
    numbers="SEAN (arXiv 1911.12861)",
    protocol="a reconstruction, styled by the true photo; FID against the training split",
)

LIU_2019 = Paper(
    key="liu2019",
    authors="Liu et al.",
    venue="NeurIPS 2019",
    numbers="CC-FPSE (arXiv 1910.06809)",
    protocol="as printed; its FID's code was not found",
)

TANG_2020 = Paper(
    key="tang2020",
    authors="Tang et al.",
    venue="CVPR 2020",
    numbers="LGGAN (arXiv 1912.12215)",
    protocol="as printed; its FID's code was not found",
)
