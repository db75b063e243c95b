# SPDX-License-Identifier: Apache-2.0
"""What segmenters of other libraries share: whose classes they predict, and how these are scored.

Their channels are put where the dataset's own numbering has them, so that `argmax` gives scored
classes; classes that they do not know get -inf.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.segmenters.label_spaces import (
    ADE20K,
    CITYSCAPES,
    COCO_STUFF,
    COCO_STUFF_USED,
    ScoredLabels,
)


@dataclass(frozen=True, kw_only=True)
class ChannelOrder:
    """`classes[channel]` is the scored class of an output channel."""

    labels: ScoredLabels
    first_class: str  # name of channel 0, which tells orders of equal length apart
    classes: tuple[int, ...]  # 255: left out


# COCO-Stuff without its unused ids, as mmsegmentation numbers it.
COCO_STUFF_171 = ChannelOrder(labels=COCO_STUFF, first_class="person", classes=COCO_STUFF_USED)
COCO_STUFF_182 = ChannelOrder(
    labels=COCO_STUFF, first_class="person", classes=tuple(range(COCO_STUFF.num_classes))
)
ADE20K_150 = ChannelOrder(
    labels=ADE20K, first_class="wall", classes=tuple(range(ADE20K.num_classes))
)
CITYSCAPES_19 = ChannelOrder(
    labels=CITYSCAPES, first_class="road", classes=tuple(range(CITYSCAPES.num_classes))
)
CHANNEL_ORDERS = (COCO_STUFF_171, COCO_STUFF_182, ADE20K_150, CITYSCAPES_19)


def scored_logits(logits: Tensor, order: ChannelOrder) -> Tensor:
    """Reorder (N, channels, H, W) of the library -> (N, num_classes, H, W) as scored."""
    if logits.shape[1] != len(order.classes):
        raise ValueError(
            f"the network gives {logits.shape[1]} channels, expected {len(order.classes)} for "
            f"{order.labels.name}; its configuration belongs to another dataset"
        )
    if order.classes == tuple(range(order.labels.num_classes)):
        return logits
    channels = [k for k, scored in enumerate(order.classes) if scored != IGNORE_INDEX]
    batch, _, height, width = logits.shape
    scored = logits.new_full((batch, order.labels.num_classes, height, width), -torch.inf)
    scored[:, [order.classes[k] for k in channels]] = logits[:, channels]
    return scored


def order_by_names(names: Sequence[str], class_names: Sequence[str], dataset: str) -> ChannelOrder:
    """Find the channel of each class of a dataset by its name; other channels are left out.

    Case, spaces, hyphens and underscores do not count. `ValueError` where a class has no channel
    or two.
    """
    channels = [_plain(name) for name in names]
    lacking = [name for name in class_names if channels.count(_plain(name)) != 1]
    if lacking:
        shown = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
        raise ValueError(
            f"it has {len(names)} classes ({', '.join(names[:5])}, ...), where {len(lacking)} of "
            f"the {len(class_names)} of {dataset} have no channel or several ({shown}); give a "
            "model that was trained on them, with their names as id2label in its config.json"
        )
    scored = {_plain(name): index for index, name in enumerate(class_names)}
    count = len(class_names)
    values = tuple(value if value < count else IGNORE_INDEX for value in range(256))
    return ChannelOrder(
        labels=ScoredLabels(name=dataset, num_classes=count, classes=values),
        first_class=names[0],
        classes=tuple(scored.get(name, IGNORE_INDEX) for name in channels),
    )


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())


def require_labels(order: ChannelOrder, wanted: ScoredLabels | None, origin: str) -> None:
    """Raise `ValueError` unless the segmenter's classes are those that are to be scored."""
    if wanted is not None and order.labels != wanted:
        raise ValueError(
            f"{origin} predicts {order.labels.name}, but {wanted.name} is to be scored; choose a "
            "segmenter that was trained on the dataset"
        )
