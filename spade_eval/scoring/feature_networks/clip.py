# SPDX-License-Identifier: Apache-2.0
"""CLIP: the image embedding, of length 1.

As CMMD (Jayasumana et al., CVPR 2024) takes it of ViT-L/14 at 336x336 (its published code: the
middle square, Pillow's bicubic resize, CLIP's mean and deviation, the projected class token divided
by its length). Other CLIPs enter in the same way at their own size.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from spade_eval.scoring.feature_networks.hugging_face import Entrance, Family, Read

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_LETTERS = {(768, 12): "ViT-B", (1024, 24): "ViT-L"}
_OF_CMMD = "ViT-L/14 at 336"


def _embedding(output: Any) -> Tensor:
    return F.normalize(output.image_embeds.float(), dim=1)


def _vision(config: Any) -> Any:
    """The part for images, of a whole CLIP or of that part alone."""
    return getattr(config, "vision_config", config)


def _read(config: Any) -> Read:
    own = _vision(config)
    width = own.hidden_size
    size = _LETTERS.get((width, own.num_hidden_layers), f"{width} wide")
    variant = f"{size}/{own.patch_size} at {own.image_size}"
    name = "CMMD" if variant == _OF_CMMD else f"MMD (CLIP {variant})"
    return Read(
        variant=variant,
        entrance=Entrance(side=own.image_size, mean=_MEAN, deviation=_DEVIATION, fit="centre"),
        labels={"fd_clip": f"FD (CLIP {variant})", "mmd_clip": name},
    )


_FAMILY = Family(
    title="CLIP", kind="clip", metric="fd_clip", loader="CLIPVisionModelWithProjection",
    read=_read, features=_embedding, what="image embedding of length 1", options={},
    vision=_vision,
)  # fmt: skip
CLIP = {"clip": _FAMILY, "clip_vision_model": _FAMILY}
