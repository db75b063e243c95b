# SPDX-License-Identifier: Apache-2.0
"""DINOv2: the class token behind the last norm, of images at 224x224.

As Stein et al. (NeurIPS 2023) compute FD-DINOv2 with ViT-L/14 (their dgm-eval: Pillow's bicubic
resize to 224x224 whatever the ratio of the sides, mean and deviation of ImageNet, the class token).
"""

from typing import Any

from torch import Tensor

from spade_eval.scoring.feature_networks.hugging_face import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    Entrance,
    Family,
    Read,
)

_SIDE = 224
_LETTERS = {384: "ViT-S", 768: "ViT-B", 1024: "ViT-L", 1536: "ViT-g"}


def class_token(output: Any) -> Tensor:
    """Return (N, D) of the (N, 1 + positions, D) last layer."""
    token: Tensor = output.last_hidden_state[:, 0]
    return token


def _read(config: Any) -> Read:
    size = _LETTERS.get(config.hidden_size, f"{config.hidden_size} wide")
    registers = " with registers" if getattr(config, "num_register_tokens", 0) else ""
    variant = f"{size}/{config.patch_size}{registers}"
    return Read(
        variant=variant,
        entrance=Entrance(side=_SIDE, mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION),
        labels={"fd_dinov2": f"FD (DINOv2 {variant})", "mmd_dinov2": f"MMD (DINOv2 {variant})"},
    )


def _family(loader: str) -> Family:
    return Family(
        title="DINOv2", kind="dinov2", metric="fd_dinov2", loader=loader, read=_read,
        features=class_token, what="class token", options={},
    )  # fmt: skip


DINOV2 = {
    "dinov2": _family("Dinov2Model"),
    "dinov2_with_registers": _family("Dinov2WithRegistersModel"),
}
