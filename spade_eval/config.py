# SPDX-License-Identifier: Apache-2.0
"""What a run is: named budgets, and the configuration whose hash goes into every record.

Anything that changes a number is here. Where a run happens (folders, device) is not.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from spade_eval.datasets.base import Size
from spade_eval.errors import lookup
from spade_eval.records import sha256_of_json

FIRST_THREE = ("spade", "concat", "pix2pixhdpp")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much a run spends. `width` 1.0 is the paper's number of channels."""

    size: Size
    steps: int
    batch_size: int
    width: float
    # Times the paper's learning rates (1e-4 for G, 4e-4 for D), the same for every model. Short
    # budgets need more than 1: from the method's small initialisation, steps decide.
    rate_scale: float = 1.0
    ema_decay: float | None = None  # None, as in the paper, scores the plain weights
    segmenter_steps: int
    segmenter_batch_size: int = 16
    val_limit: int | None = None  # score only the first so many samples


# Sizes, batch and steps of "paper" are those of SPADE, section 4 and Appendix A: 100 epochs of
# 118,287 images at batch 32.
BUDGETS: dict[str, dict[str, Budget]] = {
    "scenes": {
        "smoke": Budget(
            size=(64, 64), steps=10, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=1, val_limit=40,
        ),
        "default": Budget(
            size=(64, 64), steps=300, batch_size=8, width=0.125, rate_scale=4.0,
            segmenter_steps=2000,
        ),
        "large": Budget(
            size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=2000
        ),
    },
    "cocostuff": {
        "smoke": Budget(
            size=(128, 128), steps=20, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=100, segmenter_batch_size=8,
        ),
        "default": Budget(
            size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
        ),
        "paper": Budget(
            size=(256, 256), steps=369_600, batch_size=32, width=1.0, segmenter_steps=100_000
        ),
    },
    # 200 epochs of 20,210 images.
    "ade20k": {
        "smoke": Budget(
            size=(128, 128), steps=20, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=100, segmenter_batch_size=8,
        ),
        "default": Budget(
            size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
        ),
        "paper": Budget(
            size=(256, 256), steps=126_200, batch_size=32, width=1.0, segmenter_steps=100_000
        ),
    },
    # 200 epochs; the length of the list decides, this is for about 10,000 images.
    "ade20k_outdoor": {
        "smoke": Budget(
            size=(128, 128), steps=20, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=100, segmenter_batch_size=8,
        ),
        "default": Budget(
            size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
        ),
        "paper": Budget(
            size=(256, 256), steps=62_400, batch_size=32, width=1.0, segmenter_steps=100_000
        ),
    },
    # 200 epochs of 2,975 images.
    "cityscapes": {
        "smoke": Budget(
            size=(128, 256), steps=30, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=100, segmenter_batch_size=8,
        ),
        "default": Budget(
            size=(128, 256), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
        ),
        "paper": Budget(
            size=(256, 512), steps=18_400, batch_size=32, width=1.0, segmenter_steps=100_000
        ),
    },
    # 50 epochs of 40,000 images.
    "flickr_landscapes": {
        "smoke": Budget(
            size=(128, 128), steps=20, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=100, segmenter_batch_size=8,
        ),
        "default": Budget(
            size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
        ),
        "paper": Budget(
            size=(256, 256), steps=62_500, batch_size=32, width=1.0, segmenter_steps=100_000
        ),
    },
    "folder": {
        "smoke": Budget(
            size=(128, 128), steps=20, batch_size=4, width=0.125, rate_scale=4.0,
            segmenter_steps=100, segmenter_batch_size=8,
        ),
        "default": Budget(
            size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
        ),
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One generator trained on one dataset; equal hashes mean equal weights on one machine."""

    model: str
    dataset: str
    dataset_sha256: str  # of the training split
    size: Size
    steps: int
    batch_size: int
    settings: Literal["paper", "release"] = "release"
    width: float
    rate_scale: float
    ema_decay: float | None
    perceptual: bool  # whether VGG-19 weights were there
    seed: int

    @property
    def sha256(self) -> str:
        return sha256_of_json(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One benchmark: the same data, budget and protocol for every row."""

    dataset: str
    profile: str
    budget_name: str
    budget: Budget
    seed: int
    segmenter: str = "in-domain"
    fid_profile: str = "pytorch-fid"
    samples: int = 0  # images per label map whose diversity is measured; 0 measures none
    filled_weights: bool = False  # deterministic noise in the place of the segmenter's weights

    def as_json(self) -> dict[str, Any]:
        """The configuration as plain values, saved in the run folder."""
        return {**dataclasses.asdict(self), "sha256": self.sha256}

    @property
    def sha256(self) -> str:
        return sha256_of_json(dataclasses.asdict(self))

    @property
    def run_name(self) -> str:
        """Folder of the run: readable, and different for different configurations."""
        height, width = self.budget.size
        return f"{self.dataset}-{self.budget_name}-{height}x{width}-{self.sha256[:8]}"


def budget_for(dataset: str, name: str, **changes: Any) -> Budget:
    """A named budget of a dataset with the changes that are not None applied."""
    budget = lookup(lookup(BUDGETS, dataset, "dataset"), name, f"budget of {dataset}")
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(budget, **given)
