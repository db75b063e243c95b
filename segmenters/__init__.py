# SPDX-License-Identifier: Apache-2.0
"""Scoring networks: a photo goes in, the class of every pixel comes out.

`SEGMENTERS` lists those that papers score with. Networks are imported when they are built, so that
the table can be read without torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spade_eval.segmenters.entry import OfficialFile, SegmenterEntry
from spade_eval.segmenters.label_spaces import ADE20K, CITYSCAPES, COCO_STUFF

if TYPE_CHECKING:
    from torch import nn

    from spade_eval.segmenters.loading import Renaming


def _deeplab_v2(**options: Any) -> nn.Module:
    from spade_eval.segmenters.deeplab_v2 import DeepLabV2

    return DeepLabV2(DeepLabV2.Config(**options))


def _deeplab_v2_renamed() -> Renaming:
    from spade_eval.segmenters.deeplab_v2 import renamed

    return renamed


def _upernet(**options: Any) -> nn.Module:
    from spade_eval.segmenters.upernet import UperNet

    return UperNet(UperNet.Config(**options))


def _drn(**options: Any) -> nn.Module:
    from spade_eval.segmenters.drn import DRN

    return DRN(DRN.Config(**options))


_UPERNET_ORIGIN = "http://sceneparsing.csail.mit.edu/model/pytorch"

SEGMENTERS: dict[str, SegmenterEntry] = {
    "deeplab-v2": SegmenterEntry(
        title="DeepLabV2 ResNet-101 MSC (COCO-Stuff 164k)",
        labels=COCO_STUFF,
        network=_deeplab_v2,
        files=(
            OfficialFile(
                file_name="deeplabv2_resnet101_msc-cocostuff164k-100000.pth",
                origin="https://github.com/kazuto1011/deeplab-pytorch/releases/download/v1.0/"
                "deeplabv2_resnet101_msc-cocostuff164k-100000.pth",
            ),
        ),
        preprocessing="BGR on 0..255 minus a mean, not resized; scales 1, 0.75, 0.5",
        output="maximum of the scales' logits",
        licence="MIT",
        published={"miou": 0.391, "acc_valid": 0.668, "mean_accuracy": 0.512, "fwiou": 0.515},
        fill_gain=0.7,
        renamed=_deeplab_v2_renamed,
    ),
    "upernet101-baseline": SegmenterEntry(
        title="UperNet101 (ADE20K, baseline-resnet101-upernet)",
        labels=ADE20K,
        network=_upernet,
        options={"release": "legacy"},
        files=tuple(
            OfficialFile(
                file_name=f"baseline-resnet101-upernet/{part}_epoch_*.pth",
                origin=f"{_UPERNET_ORIGIN}/baseline-resnet101-upernet",
                part=part,
            )
            for part in ("encoder", "decoder")
        ),
        preprocessing="short sides 300 to 600 by OpenCV, BGR on 0..255 minus a mean",
        output="mean probabilities of the sizes",
        licence="BSD-3-Clause",
        published={"miou": 0.4266, "acc_valid": 0.8101},
        fill_gain=0.85,
    ),
    "upernet101": SegmenterEntry(
        title="UperNet101 (ADE20K, ade20k-resnet101-upernet)",
        labels=ADE20K,
        network=_upernet,
        options={"release": "current"},
        files=tuple(
            OfficialFile(
                file_name=f"ade20k-resnet101-upernet/{part}_epoch_50.pth",
                origin=f"{_UPERNET_ORIGIN}/ade20k-resnet101-upernet/{part}_epoch_50.pth",
                part=part,
            )
            for part in ("encoder", "decoder")
        ),
        preprocessing="short sides 300 to 600 by Pillow bilinear, RGB standardized",
        output="mean probabilities of the sizes",
        licence="BSD-3-Clause",
        published={"miou": 0.4266, "acc_valid": 0.8101},
        fill_gain=0.85,
    ),
    "drn-d-105": SegmenterEntry(
        title="DRN-D-105 (Cityscapes)",
        labels=CITYSCAPES,
        network=_drn,
        files=(
            OfficialFile(
                file_name="drn-d-105_ms_cityscapes.pth",
                origin="http://go.yf.io/drn-cityscapes-models",
            ),
        ),
        preprocessing="RGB standardized by Cityscapes, not resized; one scale",
        output="log-probabilities",
        licence="BSD-3-Clause",
        published={"miou": 0.756},
        fill_gain=0.9,
    ),
}

# The same files at other scales: another score each.
SEGMENTERS |= {
    "upernet101-baseline-single": replace(
        SEGMENTERS["upernet101-baseline"],
        title="UperNet101 (ADE20K, baseline-resnet101-upernet), one scale",
        options={"release": "legacy", "short_sides": (450,)},
        preprocessing="short side 450 by OpenCV, BGR on 0..255 minus a mean",
        published={"miou": 0.42, "acc_valid": 0.8079},
    ),
    "upernet101-single": replace(
        SEGMENTERS["upernet101"],
        title="UperNet101 (ADE20K, ade20k-resnet101-upernet), one scale",
        options={"release": "current", "short_sides": (450,)},
        preprocessing="short side 450 by Pillow bilinear, RGB standardized",
        published={"miou": 0.42, "acc_valid": 0.8079},
    ),
    "drn-d-105-ms": replace(
        SEGMENTERS["drn-d-105"],
        title="DRN-D-105 (Cityscapes), six scales",
        options={"scales": (0.5, 0.75, 1.25, 1.5, 1.75)},
        preprocessing="RGB standardized by Cityscapes; the image and five bicubic copies of it",
        output="sum of the scales' log-probabilities",
        published={},
    ),
}
