# SPDX-License-Identifier: Apache-2.0
"""The table of metrics: each row is a class that computes one or more columns.

Adding one is one file, with a class of `metrics.base`, and one row here. Rows name their class by
module, so that importing the table costs nothing and needs no torch. Values are stored at full
precision and as fractions: the unit "%" says that a table prints them times 100.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spade_eval.metrics.base import Column, Metric

# In the order of a table's columns.
METRICS: dict[str, "str | type[Metric]"] = {
    "segmentation": "spade_eval.metrics.segmentation:Segmentation",
    "fid": "spade_eval.metrics.fid:FID",
    "fd_in_domain": "spade_eval.metrics.fid:InDomainFD",
    "fd_lite0": "spade_eval.metrics.fid:Lite0FD",
    "fd_lite0_64": "spade_eval.metrics.fid:Lite0DirectionsFD",
    "fd_dinov2": "spade_eval.metrics.fid:DINOv2FD",
    "fd_clip": "spade_eval.metrics.fid:CLIPFD",
    "fd_hf": "spade_eval.metrics.fid:OtherFD",
    "kid": "spade_eval.metrics.kid:KID",
    "mmd_clip": "spade_eval.metrics.mmd:CLIPMMD",
    "mmd_dinov2": "spade_eval.metrics.mmd:DINOv2MMD",
    "mmd_hf": "spade_eval.metrics.mmd:OtherMMD",
    "precision_recall": "spade_eval.metrics.precision_recall:PrecisionRecall",
    "density_coverage": "spade_eval.metrics.density_coverage:DensityCoverage",
    "memorisation": "spade_eval.metrics.memorisation:Memorisation",
    "lpips_diversity": "spade_eval.metrics.diversity:LPIPSDiversity",
    "st_lpips_diversity": "spade_eval.metrics.diversity:STLPIPSDiversity",
    "ms_ssim_diversity": "spade_eval.metrics.diversity:MSSSIMDiversity",
}


def metric_classes() -> "list[type[Metric]]":
    """Return import and return the classes of all rows, in order."""
    return [_class_of(row) for row in METRICS.values()]


def columns() -> "dict[str, Column]":
    """Return what each number is called, its unit and its direction, by column."""
    return {name: column for kind in metric_classes() for name, column in kind.columns.items()}


def _class_of(row: "str | type[Metric]") -> "type[Metric]":
    if not isinstance(row, str):
        return row
    module, _, name = row.partition(":")
    kind: type[Metric] = getattr(importlib.import_module(module), name)
    return kind
