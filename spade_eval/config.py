# SPDX-License-Identifier: Apache-2.0
"""What a run is: named budgets, and the configuration whose hash goes into every record.

Anything that changes a number is here. Where a run happens (folders, device) is not.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from spade_eval.errors import lookup
from spade_eval.json_fields import require_types
from spade_eval.models.choices import (
    GivenMaps,
    LabelInput,
    PerceptualNetwork,
    Precision,
    RateDecay,
    SettingSet,
)
from spade_eval.models.labels import Size
from spade_eval.records import sha256_of_json

FIRST_THREE = ("spade", "concat", "pix2pixhdpp")


PRECISIONS: dict[str, Precision] = {name: name for name in get_args(Precision)}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How a run trains and how much it spends. `width` 1.0 is the paper's number of channels."""

    size: Size
    steps: int | None  # None takes the epochs of the settings, as long as the dataset makes them
    batch_size: int | None  # images of one update; None takes that of the settings
    width: float
    settings: SettingSet = "release"  # whose numbers: the paper's, or its published code's
    # Times the paper's learning rates (1e-4 for G, 4e-4 for D), the same for every model. Short
    # budgets need more than 1: from the method's small initialisation, steps decide.
    rate_scale: float = 1.0
    rate_decay: RateDecay | None = None  # None: as the settings say
    ema_decay: float | None = None  # None, as in the paper, scores the plain weights
    accumulate: int = 1  # micro batches that one update goes through, one after the other
    precision: Precision = "float32"
    tf32: bool = False  # TensorFloat-32 on CUDA
    channels_last: bool = False
    compile: bool = False  # torch.compile
    # The images of G's update are those that D learns from, where a method makes them anew for it.
    one_synthesis: bool = False
    perceptual: PerceptualNetwork | None = None  # None: the best whose weights are there
    label_input: LabelInput | None = None  # None: as the settings say
    segmenter_steps: int
    segmenter_batch_size: int = 16
    val_limit: int | None = None  # score only the first so many samples


# Those of a dataset of files; each dataset says what differs (`Facts.budgets`), and a budget of
# another name differs from "default". "paper" is SPADE, section 4 and Appendix A: the paper's
# settings, epochs and batch, so its steps follow from the number of images (100 epochs of 118,287
# at batch 32 are 369,600 steps).
_USUAL = {
    "smoke": Budget(
        size=(128, 128), steps=20, batch_size=4, width=0.125, rate_scale=4.0,
        segmenter_steps=100, segmenter_batch_size=8,
    ),
    "default": Budget(
        size=(128, 128), steps=20_000, batch_size=16, width=0.5, segmenter_steps=40_000
    ),
    "paper": Budget(
        size=(256, 256), steps=None, batch_size=None, width=1.0, settings="paper",
        segmenter_steps=100_000,
    ),
}  # fmt: skip


def budgets_of(dataset: str) -> dict[str, Budget]:
    """Return every budget of a dataset by name; `UserError` for an unknown dataset."""
    from spade_eval.datasets import DATASETS  # here, since it reads images and this is plain data

    own = lookup(DATASETS, dataset, "dataset").budgets
    changes: dict[str, Mapping[str, Any] | None] = {**{name: {} for name in _USUAL}, **own}
    return {
        name: dataclasses.replace(_USUAL.get(name, _USUAL["default"]), **change)
        for name, change in changes.items()
        if change is not None
    }


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One generator trained on one dataset; equal hashes mean equal weights on one machine."""

    model: str
    dataset: str
    dataset_sha256: str  # of the training split
    size: Size
    steps: int
    constant_steps: int  # at the full learning rate, which then falls linearly to zero
    decay_every: int  # steps between two falls: 1, or those of an epoch
    batch_size: int
    settings: SettingSet  # whose numbers `method` starts from
    # The settings of the method as they are used: rates, betas, loss weights, initialisation,
    # discriminator. A `spade_eval.models.systems.base.Settings`, which needs torch.
    method: Any
    width: float
    rate_scale: float
    ema_decay: float | None
    perceptual: PerceptualNetwork  # as resolved by what is installed
    accumulate: int
    precision: Precision
    tf32: bool
    channels_last: bool
    compile: bool
    seed: int
    one_synthesis: bool = False  # of methods that else make a step's images twice

    @property
    def sha256(self) -> str:
        fields = dataclasses.asdict(self)
        if not self.one_synthesis:  # added later: what was trained before keeps its hash
            del fields["one_synthesis"]
        return sha256_of_json(fields)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One benchmark: the same data, budget and protocol for every row."""

    dataset: str
    profile: str
    budget_name: str
    budget: Budget
    seed: int
    segmenter: str | None = None  # None: the profile's own
    further_segmenters: tuple[str, ...] = ()  # that look at the same images as well
    fid_profile: str | None = None  # None: those of the profile
    until: str | None = None  # rule by which scoring stops, as "miou+-0.5"; None: the whole split
    features: tuple[str, ...] = ()  # of further networks that are compared, rows of FEATURES
    samples: int = 0  # images per label map whose diversity is measured; 0 measures none
    draws: int = 1  # images of each label map that generators make, all of them scored
    best_draw: bool = False  # score the best image of each label map as well, which is an oracle
    given_maps: GivenMaps = "whole"  # of which generators make the images to score
    filled_weights: bool = False  # deterministic noise in the place of the segmenter's weights
    synthesis_precision: Precision = "float32"  # in which generators make the images to score

    def as_json(self) -> dict[str, Any]:
        """Return the configuration as plain values, saved in the run folder."""
        return {**self._plain(), "sha256": self.sha256}

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> "RunConfig":
        """Read what `as_json` wrote; `ValueError` where its hash is not that of its values."""
        fields = {name: value for name, value in stated.items() if name != "sha256"}
        require_types(Budget, fields["budget"])
        budget = Budget(**{**fields["budget"], "size": tuple(fields["budget"]["size"])})
        lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        config = cls(**{**fields, **lists, "budget": budget})
        if config.sha256 != stated.get("sha256"):
            raise ValueError("its values do not have the hash in it")
        return config

    @property
    def sha256(self) -> str:
        return sha256_of_json(self._plain())

    def _plain(self) -> dict[str, Any]:
        """Return all fields; what a later version added is left out where it changes nothing."""
        fields = dataclasses.asdict(self)
        for later in ("perceptual", "label_input", "one_synthesis", "rate_decay"):
            if not fields["budget"][later]:
                del fields["budget"][later]
        for later in ("until", "further_segmenters", "features", "best_draw"):
            if not fields[later]:
                del fields[later]
        for later, usual in (("draws", 1), ("given_maps", "whole")):
            if fields[later] == usual:
                del fields[later]
        return fields

    @property
    def run_name(self) -> str:
        """Folder of the run: readable, and different for different configurations."""
        height, width = self.budget.size
        return f"{self.dataset}-{self.budget_name}-{height}x{width}-{self.sha256[:8]}"


def budget_for(dataset: str, name: str, **changes: Any) -> Budget:
    """Return a named budget of a dataset with the changes that are not None applied."""
    budget = lookup(budgets_of(dataset), name, f"budget of {dataset}")
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(budget, **given)
