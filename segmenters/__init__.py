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
    from collections.abc import Callable

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


def _mmseg(config: str) -> Callable[..., nn.Module]:
    """Return what builds a configuration of mmsegmentation, fed at its one short side."""

    def build(short_sides: tuple[int, ...] = ()) -> nn.Module:
        import torch

        from spade_eval.segmenters.mmsegmentation import build_mmsegmentation

        # Its networks compute with numbers while they are built, which the meta device lacks.
        with torch.device("cpu"):
            return build_mmsegmentation(config, short_side=next(iter(short_sides), None))

    return build


_OPENMMLAB = "https://download.openmmlab.com/mmsegmentation/v0.5"
_MASK2FORMER = "mask2former_swin-l-in22k-384x384-pre_8xb2-160k_ade20k-640x640"
_DEEPLAB_V3 = "deeplabv3_r101-d8_512x512_4x4_320k_coco-stuff164k"
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
    # The two of ControlNet++ and those that follow it; published are scores at their own input
    # sizes, short sides of 640 and 512 of the photos in full.
    "mask2former-swin-l": SegmenterEntry(
        title="Mask2Former Swin-L (ADE20K, mmsegmentation)",
        labels=ADE20K,
        network=_mmseg(_MASK2FORMER),
        files=(
            OfficialFile(
                file_name=f"{_MASK2FORMER}_20221203_235933-7120c214.pth",
                origin=f"{_OPENMMLAB}/mask2former/{_MASK2FORMER}/"
                f"{_MASK2FORMER}_20221203_235933-7120c214.pth",
                part="network",
                sha256="7120c214",
            ),
        ),
        preprocessing="RGB standardized by ImageNet, at image size or a short side by OpenCV",
        output="sum over masks of class times mask probability",
        licence="Apache-2.0",
        published={"miou": 0.5601},
        fill_gain=1.0,
    ),
    "deeplab-v3-r101": SegmenterEntry(
        title="DeepLabV3 ResNet-101 (COCO-Stuff 164k, mmsegmentation)",
        labels=COCO_STUFF,
        network=_mmseg("deeplabv3_r101-d8_4xb4-320k_coco-stuff164k-512x512"),
        files=(
            OfficialFile(
                file_name=f"{_DEEPLAB_V3}_20210709_155402-3cbca14d.pth",
                origin=f"{_OPENMMLAB}/deeplabv3/{_DEEPLAB_V3}/"
                f"{_DEEPLAB_V3}_20210709_155402-3cbca14d.pth",
                part="network",
                sha256="3cbca14d",
            ),
        ),
        preprocessing="RGB standardized by ImageNet, at image size",
        output="logits",
        licence="Apache-2.0",
        published={"miou": 0.4261},
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
