# SPDX-License-Identifier: Apache-2.0
"""The scores of one pass as numbers with their provenance: values, and the records of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spade_eval.metrics import METRICS
from spade_eval.records import Measurement
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.scorer import Scores


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a job, with the fields of `Measurement` that are its own."""

    metric: str  # a row of METRICS
    column: str = ""  # what the record calls it where the row has several columns
    class_name: str | None = None
    value: float | None
    fields: Mapping[str, Any] = field(default_factory=dict)


def values_of(
    scores: Scores,
    distances: Sequence[Distance],
    num_images: int,
    references_sha256: Mapping[str, str],
) -> list[Value]:
    """The numbers of one pass; `references_sha256` names, by column, the photos compared with."""
    values = [Value(metric=name, value=value) for name, value in scores.segmentation.items()]
    values += [
        Value(metric="iou", class_name=name, value=value)
        for name, value in scores.per_class_iou.items()
    ]
    for distance in distances:
        compared = {
            "num_reference_images": distance.used_images(num_images),
            "features": distance.title,
            "features_sha256": distance.sha256,
            "fid_profile": distance.profile_name,
            "reference_sha256": references_sha256[distance.column],
        }
        values += [
            Value(
                metric=name,
                column=column,
                value=scores.distances[column],
                fields=compared,
            )
            for name, column in distance.columns.items()
        ]
    return values


def measurements(values: Sequence[Value], common: Mapping[str, Any]) -> list[Measurement]:
    """The records of one job."""
    return [
        Measurement(
            metric=item.column or item.metric,
            class_name=item.class_name,
            value=item.value,
            label=_label(item),
            unit=METRICS[item.metric].unit,
            larger_is_better=METRICS[item.metric].larger_is_better,
            job_size=len(values),
            **{**common, **item.fields},
        )
        for item in values
    ]


def _label(item: Value) -> str:
    label = METRICS[item.metric].label
    if item.column in ("", item.metric):
        return label
    return f"{label} ({item.fields['fid_profile']})"
