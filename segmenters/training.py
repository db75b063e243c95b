# SPDX-License-Identifier: Apache-2.0
"""Training of the in-domain segmenter: cross-entropy on real photos and their label maps."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.segmenters.in_domain import InDomainNetwork


@dataclass(frozen=True)
class SegmenterBatch:
    """Photos of a batch and the classes of their pixels."""

    photos: Tensor  # (N, 3, H, W) in [0, 1]
    label_maps: Tensor  # (N, H, W) int64, 255 where unlabelled


class SegmenterTraining:
    """A segmenter and its optimizer; `step` moves both once. AdamW with a cosine to zero."""

    def __init__(self, segmenter: InDomainNetwork, steps: int, learning_rate: float = 3e-3) -> None:
        self.steps, self.learning_rate = steps, learning_rate
        # A third faster on the CPUs where it was tried.
        self.segmenter = segmenter
        convert_conv2d_weight_memory_format(segmenter, torch.channels_last)
        self.optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=1e-4)

    def step(self, batch: SegmenterBatch, step: int) -> dict[str, Tensor]:
        """Make one update; return the detached cross-entropy."""
        self.segmenter.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        photos = batch.photos.contiguous(memory_format=torch.channels_last)
        logits = self.segmenter(photos)
        loss = _cross_entropy(logits, batch.label_maps)
        loss.backward()
        self.optimizer.step()
        return {"cross_entropy": loss.detach()}

    def _rate(self, step: int) -> float:
        warm_up = min(1.0, (step + 1) / max(1, self.steps // 20))
        return self.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def state_dict(self) -> dict[str, Any]:
        """Return all that `step` depends on."""
        return {
            "segmenter": self.segmenter.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.segmenter.load_state_dict(state["segmenter"])
        self.optimizer.load_state_dict(state["optimizer"])


def _cross_entropy(logits: Tensor, label_maps: Tensor) -> Tensor:
    """Average over labelled pixels; 0, not their 0 / 0, where a batch has none."""
    if bool((label_maps != IGNORE_INDEX).any()):
        return F.cross_entropy(logits, label_maps, ignore_index=IGNORE_INDEX)
    return logits.sum() * 0.0
