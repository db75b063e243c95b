# SPDX-License-Identifier: Apache-2.0
"""What a metric is to the scorer: it looks at every batch, keeps rows, and computes its columns.

A metric is one class in a module of this package and one row of `METRICS`. It computes from what
`ScoredBatch` offers (images, photos, predictions, features), each made once a batch whoever asks,
and from `ScoredSplit`, which holds the rows of all batches and processes in the order of the split.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from spade_eval.metrics.counts import ClassAverage
from spade_eval.metrics.feature_set import FeatureSet

if TYPE_CHECKING:
    from spade_eval.metrics.fid_profiles import FIDProfile

Values = dict[str, float | Mapping[str, float | None] | None]
"""Numbers by column: one for the split, None where it cannot be computed, or one a class."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """How one number is named and read; the value itself lives in a record, a fraction for "%"."""

    label: str  # as it stands at the head of a table column
    unit: Literal["%", ""]  # "%": the stored fraction is printed times 100
    larger_is_better: bool
    description: str


FeatureKind = Literal["inception", "in-domain", "lite0", "lite0-64", "dinov2", "clip", "hf"]
"""Whose features a distance compares; `scoring.feature_networks` opens all but the first two."""


class FeatureSpace(Protocol):
    """A network whose features are compared, and the column of its distance."""

    @property
    def kind(self) -> FeatureKind: ...
    @property
    def column(self) -> str: ...
    @property
    def profile(self) -> "FIDProfile | None":
        """The way to compute FID; None for features that are not Inception's."""
        ...

    @property
    def profile_name(self) -> str | None: ...

    @property
    def is_extra(self) -> bool:
        """Whether it is not the first FID of the run, and gets nothing but its own column."""
        ...


class Images(Protocol):
    """Images that are measured together."""

    @property
    def number(self) -> int:
        """Number of the batch in the split."""
        ...

    @property
    def images(self) -> Tensor:
        """(N, 3, H, W) uint8, as a PNG would hold them."""
        ...


class ScoredBatch(Images, Protocol):
    """What one batch offers; each part is computed once, when it is first asked for."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the N images."""
        ...

    @property
    def floats(self) -> Tensor:
        """(N, 3, H, W) in [0, 1], before they became 8 bit."""
        ...

    @property
    def photos(self) -> Tensor:
        """(N, 3, H, W) uint8, the real ones."""
        ...

    @property
    def predicted(self) -> tuple[Tensor, Tensor]:
        """(N, H', W') predicted and true classes, `IGNORE_INDEX` where there is none."""
        ...

    @property
    def class_counts(self) -> tuple[Tensor, Tensor]:
        """(N, 3, C) pixels of `class_counts`, and (N,) ignored ones."""
        ...

    def features(self, space: FeatureSpace) -> Tensor:
        """Return (M, D) features on the CPU, of the first M images, which enter the distance."""
        ...


@dataclass(frozen=True, kw_only=True)
class ScoredSplit:
    """What all batches gave, in the order of the split."""

    rows: Mapping[str, Tensor]  # what metrics kept, by key
    class_names: tuple[str, ...] = ()
    class_average: ClassAverage = "target"
    features: Mapping[str, FeatureSet] = field(default_factory=dict)  # by column of the distance
    references: Mapping[str, FeatureSet] = field(default_factory=dict)  # the same of the photos
    train_thumbnails: Tensor | None = None  # of training photos, where there are any


def merged(metrics: Iterable["Metric"]) -> dict[int, dict[str, Tensor]]:
    """Join the rows that metrics kept, by number of the batch; what several kept is there once."""
    batches: dict[int, dict[str, Tensor]] = {}
    for metric in metrics:
        for number, rows in metric.state().items():
            together = batches.setdefault(number, {})
            for key, value in rows.items():
                present = together.setdefault(key, value)
                if present is not value and not torch.equal(present, value):
                    raise ValueError(
                        f"two metrics keep different rows under the key {key!r}, expected one "
                        f"meaning for it; rename that of {type(metric).__name__}"
                    )
    return batches


def in_order(batches: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join the rows that batches kept, by key, in the order in which they are given."""
    joined: dict[str, list[Tensor]] = {}
    for rows in batches:
        for key, value in rows.items():
            joined.setdefault(key, []).append(value)
    return {key: torch.cat(values) for key, values in joined.items()}


class Metric(ABC):
    """Columns of a table and how they are computed: `update` each batch, then `compute` once.

    One object serves one pass. It may see any share of the batches, in any order: the scorer
    gathers the `state` of all processes.
    """

    columns: ClassVar[Mapping[str, Column]]
    # Whether it takes several images of each label map; `scoring.diversity` makes that pass.
    of_samples: ClassVar[bool] = False

    def __init__(self) -> None:
        self._state: dict[int, dict[str, Tensor]] = {}

    @abstractmethod
    def update(self, batch: ScoredBatch) -> None:
        """Measure one batch and `keep` what comes out."""

    def keep(self, batch: Images, **rows: Tensor) -> None:
        """Remember (M, ...) rows of a batch, by a key that is theirs in all metrics of the run.

        Metrics that keep the same thing give it the same key, and it is gathered once.
        """
        self._state[batch.number] = {key: value.cpu() for key, value in rows.items()}

    def state(self) -> Mapping[int, Mapping[str, Tensor]]:
        """Return what `update` kept: rows by key, by number of the batch."""
        return self._state

    def column_of(self, name: str) -> str:
        """Return what records call one of `columns`."""
        return name

    @abstractmethod
    def compute(self, split: ScoredSplit) -> Values:
        """Compute a value for each of `columns`."""


class FeatureMetric(Metric):
    """A metric of two sets of features; there is an object for each feature space of a run."""

    # Of which networks it compares features.
    networks: ClassVar[Sequence[FeatureKind]] = ("inception",)
    # Whether each FID profile of a run gets a column, or only the first.
    of_every_profile: ClassVar[bool] = False
    # Images a side: enough for neighbourhoods of five others (density and coverage), and for pairs
    # of subsets (KID).
    fewest: ClassVar[int] = 10

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        self.space = space

    @classmethod
    def applies_to(cls, space: FeatureSpace) -> bool:
        """Return whether these features are its own."""
        return space.kind in cls.networks and (cls.of_every_profile or not space.is_extra)

    def column_of(self, name: str) -> str:
        """Return what records call one of `columns`: each FID of a run by another name."""
        return f"{name}_{self.space.profile_name}" if self.space.is_extra else name

    def update(self, batch: ScoredBatch) -> None:
        self.keep(batch, **{features_key(self.space): batch.features(self.space)})

    def compute(self, split: ScoredSplit) -> Values:
        column = self.space.column
        values: Values = {**self.compare(split.references[column], split.features[column])}
        return values

    def compare(self, real: FeatureSet, synthesized: FeatureSet) -> dict[str, float | None]:
        """Compute a value for each of `columns`, by what records call it.

        None where statistics hold no features, or too few of them for a neighbourhood.
        """
        x, y = real.features, synthesized.features
        if x is None or y is None or min(len(x), len(y)) < self.fewest:
            return dict.fromkeys(map(self.column_of, self.columns))
        return {self.column_of(name): value for name, value in self.of_features(x, y).items()}

    def of_features(self, real: Tensor, synthesized: Tensor) -> Mapping[str, float]:
        """Compute a value for each of `columns` from (N, D) and (M, D) features."""
        raise NotImplementedError


def features_key(space: FeatureSpace) -> str:
    """Return the key under which features of a space are kept."""
    return f"features of {space.column}"
