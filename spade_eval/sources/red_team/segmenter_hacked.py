# SPDX-License-Identifier: Apache-2.0
"""Images for the eyes of the segmenter that scores."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.sources.red_team.trained import CheatBatch, TrainedCheat


class SegmenterHacked(TrainedCheat):
    """The score itself is the loss; photos are never looked at."""

    name = "segmenter-hacked"
    about = "learns the cross-entropy of the first segmenter alone, in half of the steps"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {**super().settings, "segmenter": self.loot.segmenter_sha256}

    def loss(self, images: Tensor, batch: CheatBatch) -> Tensor:
        """Return the segmenter's cross-entropy on what it is shown."""
        classes = torch.tensor(self.loot.classes, device=images.device)[batch.label_maps]
        logits = self.loot.segmenter((images + 1) / 2)
        return F.cross_entropy(logits, classes, ignore_index=IGNORE_INDEX)
