# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation networks of Hugging Face transformers, from a folder or the local cache.

Nothing is downloaded, no code of the model's repository is run, and weights have to be safetensors.
Images enter at their own size with the model's mean and standard deviation. Networks that classify
masks (MaskFormer, Mask2Former) are scored as in their papers' code: mask logits at image size, then
the sum over masks of class times mask probability.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.segmenters.eight_bit import ByteNormalization, standardized, to_bytes
from spade_eval.segmenters.foreign import (
    CHANNEL_ORDERS,
    ChannelOrder,
    order_by_names,
    require_labels,
    scored_logits,
)
from spade_eval.segmenters.label_spaces import ScoredLabels
from spade_eval.segmenters.pretrained import library, loaded, one_line

_LOADERS = ("AutoModelForSemanticSegmentation", "AutoModelForUniversalSegmentation")


class HuggingFaceSegmenter(nn.Module):
    """Image in [0, 1] to logits or mask scores at the image's size, in scored classes."""

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        order: ChannelOrder,
    ) -> None:
        super().__init__()
        self.order, self.num_classes = order, order.labels.num_classes
        self.normalization = ByteNormalization(standardized(mean, std))
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1], 8-bit levels -> (N, num_classes, H, W)."""
        output = self.network(pixel_values=self.normalization(to_bytes(images)))
        logits = getattr(output, "logits", None)
        if logits is not None:
            logits = _resize(logits, images)
        else:
            masks = _resize(output.masks_queries_logits, images)
            logits = mask_scores(output.class_queries_logits, masks)
        return scored_logits(logits, self.order)


def mask_scores(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Combine (N, Q, C + 1) and (N, Q, h, w) -> (N, C, h, w); the last class is "no object"."""
    classes = class_logits.softmax(dim=-1)[..., :-1]
    return torch.einsum("nqc,nqhw->nchw", classes, mask_logits.sigmoid())


def build_hugging_face(
    name: str,
    labels: ScoredLabels | None = None,
    *,
    dataset: str = "",
    class_names: Sequence[str] = (),
) -> HuggingFaceSegmenter:
    """Load a model by folder or cached name, in eval mode; `labels` are what is to be scored.

    With `class_names`, it is scored in the classes of `dataset` that have its names. `ValueError`
    where transformers is absent, the model is not on this machine, or it predicts classes that are
    not scored.
    """
    transformers, loaders = library(name, _LOADERS)
    network = _network(loaders, name)
    if class_names:
        order = order_by_names(_class_names(network.config), class_names, dataset)
    else:
        order = _channel_order(network.config, name)
        require_labels(order, labels, f"hf:{name}")
    mean, std = _statistics(transformers, name)
    segmenter = HuggingFaceSegmenter(network, mean, std, order)
    return segmenter.eval().requires_grad_(False)


def _network(loaders: list[Any], name: str) -> Any:
    reasons = []
    for loader in loaders:
        try:
            network, lacking = loaded(loader, name)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            reasons.append(one_line(error))
            continue
        if lacking:
            raise ValueError(
                f"hf:{name} lacks weights or has others of {network.__class__.__name__} "
                f"({len(lacking)}: {', '.join(lacking[:3])}); expected a model trained to segment"
            )
        return network
    raise ValueError(
        f"hf:{name} is no semantic segmentation model in a folder or in the local cache "
        f"({'; '.join(dict.fromkeys(reasons))}); give a folder that `save_pretrained` wrote, or "
        "the name of a model that `hf download` has fetched"
    )


def _channel_order(config: Any, name: str) -> ChannelOrder:
    """Find whose classes they are, by their number and the name of the first."""
    names = _class_names(config)
    for order in CHANNEL_ORDERS:
        if len(names) == len(order.classes) and names[0].lower() == order.first_class:
            return order
    known = ", ".join(
        f"{len(order.classes)} from {order.first_class!r}" for order in CHANNEL_ORDERS
    )
    raise ValueError(
        f"hf:{name} has {len(names)} classes from {names[:1]}, which this suite does not score; "
        f"expected {known}"
    )


def _class_names(config: Any) -> list[str]:
    return [str(class_name) for _, class_name in sorted(config.id2label.items())]


def _statistics(transformers: Any, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation on [0, 1], from the model's preprocessor file."""
    mixin = transformers.image_processing_base.ImageProcessingMixin
    try:
        settings, _ = mixin.get_image_processor_dict(name, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"hf:{name} has no preprocessor_config.json ({error})") from error
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    if abs(255 * factor - 1) > 1e-6:
        raise ValueError(
            f"hf:{name} scales 8-bit levels by {factor:g} in its preprocessor_config.json; "
            "expected 1/255, which its mean and standard deviation refer to"
        )
    if not settings.get("do_normalize", True):
        return (0.0,) * 3, (1.0,) * 3
    return tuple(settings["image_mean"]), tuple(settings["image_std"])


def _resize(x: Tensor, images: Tensor) -> Tensor:
    return F.interpolate(x, size=images.shape[-2:], mode="bilinear", align_corners=False)
