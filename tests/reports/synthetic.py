# SPDX-License-Identifier: Apache-2.0
"""Measurements as the engine would record them, with values drawn from a seed."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from spade_eval.records import Measurement, sha256_of_json
from spade_eval.reports.measured.grouping import ProtocolGroup, by_protocol

METRICS = {
    "miou": ("mIoU", "%", True),
    "acc_valid": ("pixel accuracy (valid)", "%", True),
    "acc_all": ("pixel accuracy (all)", "%", True),
    "fwiou": ("frequency-weighted IoU", "%", True),
    "mean_accuracy": ("mean accuracy", "%", True),
    "fd_in_domain": ("FD (in-domain)", "", False),
}
IN_DOMAIN = "Scores of the in-domain segmenter are not comparable with a paper's."
TOO_FEW = "8 images are far too few for FID or mIoU to be compared with anything."
DISTANCE = "FD (in-domain) stands in for FID: the Inception weights are not in the weights folder."


def measurement(**changes: Any) -> Measurement:
    """One complete measurement; every field can be changed."""
    fields: dict[str, Any] = {
        "metric": "miou",
        "value": 0.5,
        "label": "mIoU",
        "unit": "%",
        "larger_is_better": True,
        "source": "spade",
        "source_kind": "generator",
        "source_sha256": "a" * 64,
        "parameters": 1_234_567,
        "train_steps": 400,
        "seed": 0,
        "dataset": "scenes",
        "dataset_sha256": "d" * 64,
        "split": "val",
        "height": 64,
        "width": 64,
        "num_images": 500,
        "profile": "in-domain",
        "protocol_version": 1,
        "protocol_sha256": "b" * 64,
        "segmenter": "scenes-small",
        "segmenter_sha256": "c" * 64,
        "notes": (IN_DOMAIN,),
        "job_sha256": "job",
        "job_size": 1,
        "device": "cpu",
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "commit": None,
        "commit_clean": None,
    }
    return Measurement(**{**fields, **changes})


def job(
    source: str = "spade",
    kind: str = "generator",
    classes: Sequence[str] = (),
    metrics: Sequence[str] = tuple(METRICS),
    **changes: Any,
) -> list[Measurement]:
    """All measurements of one source; better for real and oracle than for the others."""
    numbers = random.Random(source)
    level = {"real": 0.85, "oracle": 0.8}.get(kind, numbers.uniform(0.3, 0.6))
    common: dict[str, Any] = {
        "source": source,
        "source_kind": kind,
        "source_sha256": sha256_of_json(source),
        "job_sha256": sha256_of_json([source, kind, sorted(map(str, changes.items()))]),
        "job_size": len(metrics) + len(classes),
    }
    if kind in ("real", "oracle"):
        common |= {"parameters": None, "train_steps": None}
    common |= changes
    found = []
    for name in metrics:
        label, unit, larger = METRICS[name]
        value = level + numbers.uniform(-0.05, 0.1)
        about = {"metric": name, "label": label, "unit": unit, "larger_is_better": larger}
        if not larger:
            networks = {"segmenter": None, "segmenter_sha256": None, "notes": (IN_DOMAIN, DISTANCE)}
            about |= {**networks, "features": "scenes-small", "features_sha256": "c" * 64}
            value = (1 - value) * 40
        found.append(measurement(**{**common, **about, "value": value}))
    for name in classes:
        value = min(1.0, max(0.0, numbers.gauss(level, 0.2)))
        about = {"metric": "iou", "label": "IoU", "class_name": name, "value": value}
        found.append(measurement(**{**common, **about}))
    return found


def run(
    models: Sequence[str] = ("spade", "concat", "pix2pixhdpp"), **changes: Any
) -> list[Measurement]:
    """A whole run: the models first, so that the order of rows is the tables' doing."""
    found = [item for model in models for item in job(model, **changes)]
    return [*found, *job("oracle", "oracle", **changes), *job("real", "real", **changes)]


def group(measurements: Iterable[Measurement]) -> ProtocolGroup:
    """The one group of measurements of one protocol."""
    (only,) = by_protocol(measurements)
    return only
