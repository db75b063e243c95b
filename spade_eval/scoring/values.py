# SPDX-License-Identifier: Apache-2.0
"""The scores of one pass as numbers with their provenance: values, and the records of a job."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spade_eval.metrics import columns
from spade_eval.metrics.base import FeatureMetric, Metric, ScoredSplit
from spade_eval.metrics.draws import BEST, MEAN, base_of
from spade_eval.records import Measurement
from spade_eval.scoring.distances import Distance

_OF_TRAIN_PHOTOS = ("memorised", "leaked")
_WORDS = {MEAN: "mean of draws", BEST: "best draw (oracle)"}  # others are words themselves


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a job, with the fields of `Measurement` that are its own."""

    metric: str  # a column of METRICS
    column: str  # what the record calls it: the same but for a second FID
    class_name: str | None = None
    value: float | None
    distance: str | None = None  # the column of the one whose features it compares
    label: str | None = None  # where the network of these features has its own
    fields: Mapping[str, Any] = field(default_factory=dict)


def computed(metric: Metric, split: ScoredSplit, fields: Mapping[str, Any]) -> Iterator[Value]:
    """Yield the numbers of one metric, all with the same `fields`."""
    names = {metric.column_of(name): name for name in metric.columns}
    distance = metric.space if isinstance(metric, FeatureMetric) else None
    assert distance is None or isinstance(distance, Distance)
    # Values go from process to process, so they do not hold the network.
    column_of_distance = None if distance is None else distance.column
    for column, value in metric.compute(split).items():
        by_class = value if isinstance(value, Mapping) else {None: value}
        for class_name, number in by_class.items():
            yield Value(
                metric=names[column],
                column=column,
                class_name=class_name,
                value=number,
                distance=column_of_distance,
                label=None if distance is None else distance.labels.get(names[column]),
                fields=fields,
            )


def with_provenance(
    values: Sequence[Value],
    distances: Sequence[Distance],
    num_images: int,
    references_sha256: Mapping[str, str],
    train_sha256: str | None = None,
) -> list[Value]:
    """Say of the values of distances what was compared, and of copies whose photos.

    `references_sha256` names, by column of the distance, the photos compared with.
    """
    made, of_column = [], {item.column: item for item in distances}
    for value in values:
        fields = value.fields
        if value.distance is not None:
            compared = _compared(of_column[value.distance], num_images, references_sha256)
            fields = {**fields, **compared}
        elif value.metric in _OF_TRAIN_PHOTOS:
            fields = {**fields, "reference_sha256": train_sha256}
        made.append(dataclasses.replace(value, fields=fields))
    return made


def _compared(
    distance: Distance, num_images: int, references_sha256: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "num_reference_images": distance.used_images(num_images),
        "features": distance.title,
        "features_sha256": distance.sha256,
        "fid_profile": distance.profile_name,
        "reference_sha256": references_sha256[distance.column],
    }


def measurements(values: Sequence[Value], common: Mapping[str, Any]) -> list[Measurement]:
    """Return the records of one job."""
    known = columns()
    return [
        Measurement(
            metric=item.column,
            class_name=item.class_name,
            value=item.value,
            label=_label(item, known[item.metric].label),
            unit=known[item.metric].unit,
            larger_is_better=known[item.metric].larger_is_better,
            job_size=len(values),
            **{**common, **item.fields},
        )
        for item in values
    ]


def _label(item: Value, label: str) -> str:
    """Name an FID beside the first by its profile, and what is over several draws by how."""
    if base_of(item.column) != item.metric:
        label = f"{label} ({item.fields['fid_profile']})"
    elif item.label is not None:
        label = item.label
    over = item.fields.get("draws")
    return label if over is None else f"{label}, {_WORDS.get(over, over)}"
