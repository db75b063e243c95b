# SPDX-License-Identifier: Apache-2.0
"""Where a number comes from, in words: its facts, and the command that measures it again."""

import shlex
from collections.abc import Mapping
from typing import Any

from spade_eval.records import Measurement

_FACTS = {
    "metric": "metric",
    "class_name": "class",
    "source": "row",
    "source_kind": "kind of row",
    "source_sha256": "SHA-256 of the source",
    "style_input": "style input",
    "parameters": "parameters",
    "train_steps": "training steps",
    "train_batch_size": "training batch size",
    "train_config_sha256": "SHA-256 of the training configuration",
    "checkpoint_rule": "checkpoint chosen by",
    "seed": "seed",
    "dataset": "dataset",
    "split": "split",
    "dataset_sha256": "SHA-256 of the data",
    "num_images": "images scored",
    "num_reference_images": "photos compared with",
    "num_samples": "samples of each label map",
    "profile": "profile",
    "protocol_version": "protocol version",
    "protocol_sha256": "SHA-256 of the protocol",
    "segmenter": "segmenter",
    "segmenter_weights": "weights of the segmenter",
    "segmenter_sha256": "SHA-256 of the segmenter",
    "features": "feature network",
    "features_sha256": "SHA-256 of the feature network",
    "fid_profile": "FID profile",
    "reference_sha256": "SHA-256 of the photos' statistics",
    "job_sha256": "SHA-256 of the job",
    "device": "device",
    "platform": "platform",
    "started": "started (UTC)",
    "seconds": "seconds of the whole job",
    "images_per_second": "images a second of the generator alone",
    "commit": "commit",
    "commit_clean": "commit unchanged",
}
# Flags of a run's configuration, and of its budget; values that are None are left out.
_FLAGS = {"profile": "--profile", "segmenter": "--segmenter", "fid_profile": "--fid-profile"}
_BUDGET_FLAGS = {
    "steps": "--steps",
    "batch_size": "--batch-size",
    "width": "--width",
    "segmenter_steps": "--segmenter-steps",
    "val_limit": "--limit",
}
_OWN_FILES = {"checkpoint": ("--checkpoint", "FILE"), "images": ("--images", "DIR")}


def provenance_lines(item: Measurement) -> dict[str, str]:
    """{what: value} of everything recorded with a number, in a fixed order."""
    found = {"value": "no value" if item.value is None else repr(item.value)}
    for name, label in _FACTS.items():
        value = getattr(item, name, None)
        if value is not None:
            found[label] = str(value)
    found["image size (height x width)"] = f"{item.height}x{item.width}"
    found |= {f"version of {name}": text for name, text in sorted(item.versions.items())}
    return found


def command_to_repeat(config: Mapping[str, Any], item: Measurement | None = None) -> str:
    """The command line of a run; with a measurement, of the one row that it belongs to.

    FILE and DIR stand for the user's own files, which are known by their SHA-256 only.
    """
    words = ["python", "run_benchmark.py", "--dataset", str(config.get("dataset"))]
    if config.get("dataset") != "scenes":
        words += ["--data-root", "DIR"]
    words += ["--budget", str(config.get("budget_name")), "--seed", str(config.get("seed"))]
    words += _budget_words(config.get("budget"))
    for name, flag in _FLAGS.items():
        if config.get(name) is not None and not _is_implied(name, config):
            words += [flag, str(config[name])]
    if config.get("samples"):
        words += ["--samples", str(config["samples"])]
    if config.get("filled_weights"):
        words.append("--filled-weights")
    return shlex.join([*words, *_row_words(item)])


def _budget_words(budget: Any) -> list[str]:
    if not isinstance(budget, Mapping):
        return []
    size = budget.get("size") or []
    words = ["--size", "x".join(map(str, size))] if len(size) == 2 else []
    for name, flag in _BUDGET_FLAGS.items():
        if budget.get(name) is not None:
            words += [flag, str(budget[name])]
    return words


def _is_implied(name: str, config: Mapping[str, Any]) -> bool:
    """The profile in-domain has its own segmenter, which is no name of a flag."""
    return name == "segmenter" and config.get(name) == config.get("profile")


def _row_words(item: Measurement | None) -> list[str]:
    if item is None:
        return []
    if item.source_kind == "generator":
        return ["--model", item.source]
    if item.source_kind in _OWN_FILES:
        flag, place = _OWN_FILES[item.source_kind]
        return [flag, f"{item.source}={place}"]
    return []
