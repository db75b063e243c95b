# SPDX-License-Identifier: Apache-2.0
"""Which class of a segmenter each value in a dataset's label files is scored as.

A segmenter predicts 0..num_classes-1; values without a class become 255 and are not scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spade_eval.models.labels import IGNORE_INDEX

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ScoredLabels:
    """`classes[value]` is the class of a label value, 255 for none, for all 256 values."""

    name: str
    num_classes: int
    classes: tuple[int, ...]

    def targets(self, label_map: Tensor) -> Tensor:
        """Label values 0..255 of any shape -> classes, int64, 255 where a pixel is not scored."""
        values = label_map.long()
        return values.new_tensor(self.classes)[values]


def _scored(name: str, num_classes: int, class_of: dict[int, int]) -> ScoredLabels:
    classes = tuple(class_of.get(value, IGNORE_INDEX) for value in range(256))
    return ScoredLabels(name=name, num_classes=num_classes, classes=classes)


# Label ids of Cityscapes in the order of the 19 train ids.
CITYSCAPES_SCORED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# Values 0..181 of COCO-Stuff that no annotation has; the other 171 are the classes of data sets
# that number it without gaps, in the same order.
COCO_STUFF_UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
COCO_STUFF_USED = tuple(value for value in range(182) if value not in COCO_STUFF_UNUSED)

# Values of the `stuffthingmaps` files.
COCO_STUFF = _scored("COCO-Stuff 182", 182, {value: value for value in range(182)})
# Values of the SceneParse150 files: 0 is "other", classes count from 1.
ADE20K = _scored("ADE20K 150", 150, {value + 1: value for value in range(150)})
# Values of the `labelIds` files; the license plate (-1, or 255 in 8 bit) is not scored.
CITYSCAPES = _scored(
    "Cityscapes 19", 19, {value: index for index, value in enumerate(CITYSCAPES_SCORED_IDS)}
)
