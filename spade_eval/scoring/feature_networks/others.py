# SPDX-License-Identifier: Apache-2.0
"""Any other vision model of a few families, in columns of its own: no paper's number.

Transformers give their class token, convolutional and windowed ones the mean over positions, as
their own classifiers take it. Images enter at the model's size with ImageNet's mean and deviation.
"""

from typing import Any

from torch import Tensor

from spade_eval.scoring.feature_networks.dinov2 import class_token
from spade_eval.scoring.feature_networks.hugging_face import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    Entrance,
    Family,
    Read,
)

_USUAL_SIDE = 224  # of networks that take images of any size


def _pooled(output: Any) -> Tensor:
    pooled: Tensor = output.pooler_output.flatten(1)
    return pooled


def _read(config: Any) -> Read:
    side = int(getattr(config, "image_size", 0) or _USUAL_SIDE)
    widths = getattr(config, "hidden_sizes", None) or [config.hidden_size]
    variant = f"{config.model_type}, {widths[-1]} wide"
    return Read(
        variant=variant,
        entrance=Entrance(side=side, mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION),
        labels={"fd_hf": f"FD ({variant})", "mmd_hf": f"MMD ({variant})"},
    )


def _tokens(loader: str) -> Family:
    return Family(
        title="Hugging Face", kind="hf", metric="fd_hf", loader=loader, read=_read,
        features=class_token, what="class token", options={"add_pooling_layer": False},
    )  # fmt: skip


def _maps(loader: str) -> Family:
    return Family(
        title="Hugging Face", kind="hf", metric="fd_hf", loader=loader, read=_read,
        features=_pooled, what="mean over positions", options={},
    )  # fmt: skip


OTHERS = {
    "vit": _tokens("ViTModel"),
    "deit": _tokens("DeiTModel"),
    "swin": _maps("SwinModel"),
    "convnext": _maps("ConvNextModel"),
    "convnextv2": _maps("ConvNextV2Model"),
    "resnet": _maps("ResNetModel"),
}
