# SPDX-License-Identifier: Apache-2.0
"""The table of metrics: what each number is called, its unit and its direction.

It imports nothing heavy, so reports can be rendered without torch; the numerics are in the
modules of this package. Values are stored at full precision and as fractions: the unit "%" says
that a table prints them times 100.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How one metric is named and read; the value itself lives in a record."""

    label: str  # as it stands at the head of a table column
    unit: Literal["%", ""]  # "%": the stored fraction is printed times 100
    larger_is_better: bool
    description: str


METRICS: dict[str, Metric] = {
    "miou": Metric(
        label="mIoU",
        unit="%",
        larger_is_better=True,
        description="mean intersection over union of the classes, counts pooled over the split",
    ),
    "acc_valid": Metric(
        label="accuracy (valid)",
        unit="%",
        larger_is_better=True,
        description="correct pixels over the pixels that are not ignored",
    ),
    "acc_all": Metric(
        label="accuracy (all)",
        unit="%",
        larger_is_better=True,
        description="correct pixels over all pixels: ignored ones count as wrong",
    ),
    "mean_accuracy": Metric(
        label="mean accuracy",
        unit="%",
        larger_is_better=True,
        description="mean recall of the classes that the ground truth holds",
    ),
    "fwiou": Metric(
        label="fwIoU",
        unit="%",
        larger_is_better=True,
        description="intersection over union weighted by the ground-truth frequency of the class",
    ),
    "iou": Metric(
        label="IoU",
        unit="%",
        larger_is_better=True,
        description="intersection over union of one class, counts pooled over the split",
    ),
    "fid": Metric(
        label="FID",
        unit="",
        larger_is_better=False,
        description="Fréchet distance of Inception features of photos and synthesized images",
    ),
    "fd_in_domain": Metric(
        label="FD (in-domain)",
        unit="",
        larger_is_better=False,
        description="Fréchet distance of features of a segmenter trained on the dataset itself",
    ),
    "kid": Metric(
        label="KID",
        unit="",
        larger_is_better=False,
        description="unbiased squared maximum mean discrepancy of Inception features, cubic kernel",
    ),
    "precision": Metric(
        label="precision",
        unit="%",
        larger_is_better=True,
        description="share of synthesized images inside the manifold of the photos",
    ),
    "recall": Metric(
        label="recall",
        unit="%",
        larger_is_better=True,
        description="share of photos inside the manifold of the synthesized images",
    ),
    "density": Metric(
        label="density",
        unit="",
        larger_is_better=True,
        description="mean number of photo neighbourhoods around a synthesized image, over k",
    ),
    "coverage": Metric(
        label="coverage",
        unit="%",
        larger_is_better=True,
        description="share of photos whose neighbourhood holds a synthesized image",
    ),
    "lpips_diversity": Metric(
        label="LPIPS diversity",
        unit="",
        larger_is_better=True,
        description="mean LPIPS of all pairs of samples of one label map, averaged over label maps",
    ),
    "ms_ssim_diversity": Metric(
        label="MS-SSIM diversity",
        unit="",
        larger_is_better=False,
        description="mean MS-SSIM of all pairs of samples of one label map, over label maps",
    ),
}
