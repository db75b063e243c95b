# SPDX-License-Identifier: Apache-2.0
"""Where numbers come from, in words: their facts, the command that repeats one, what it took."""

import shlex
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spade_eval.records import Measurement

_FACTS = {
    "metric": "metric",
    "class_name": "class",
    "draws": "of several images a label map",
    "source": "row",
    "source_kind": "kind of row",
    "source_sha256": "SHA-256 of the source",
    "style_input": "style input",
    "sampling_steps": "sampling steps",
    "guidance": "guidance",
    "sampler": "sampler",
    "text_input": "text input",
    "condition_palette": "palette of the condition images",
    "num_draws": "images of each label map",
    "trained_with_segmenter": "segmenter in the training",
    "file_format": "kind of file",
    "parameters": "parameters",
    "train_steps": "training steps",
    "train_batch_size": "training batch size",
    "train_config_sha256": "SHA-256 of the training configuration",
    "train_way_sha256": "SHA-256 of the training configuration without its seed",
    "train_perceptual": "network of the perceptual loss",
    "checkpoint_rule": "checkpoint chosen by",
    "seed": "seed",
    "dataset": "dataset",
    "split": "split",
    "dataset_sha256": "SHA-256 of the data",
    "num_images": "images scored",
    "until": "scoring stopped by",
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
    "settings": "--settings",
    "rate_scale": "--rate-scale",
    "rate_decay": "--rate-decay",
    "ema_decay": "--ema",
    "perceptual": "--perceptual",
    "label_input": "--label-input",
    "segmenter_steps": "--segmenter-steps",
    "val_limit": "--limit",
}
_BUDGET_SWITCHES = {"channels_last": "--channels-last", "one_synthesis": "--one-synthesis"}
_OWN_FILES = {
    "checkpoint": ("--checkpoint", "FILE"),
    "images": ("--images", "DIR"),
    "callable": ("--generator", "MODULE:FACTORY"),
    "program": ("--generator", "COMMAND"),
    "diffusers": ("--generator", "diffusers:DIR"),
}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a number on a page comes from: records, or facts where no record holds it.

    One record is the number's own; several are the seeds of a mean. With `heading` the number is a
    fact that the record states beside its score.
    """

    records: tuple[Measurement, ...] = ()
    heading: str = ""
    exact: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


def provenance_lines(item: Measurement) -> dict[str, str]:
    """Return {what: value} of everything recorded with a number, in a fixed order."""
    lines = {"value": "no value" if item.value is None else repr(item.value)}
    for name, label in _FACTS.items():
        value = getattr(item, name, None)
        if value is not None:
            lines[label] = str(value)
    lines["image size (height x width)"] = f"{item.height}x{item.width}"
    lines |= {f"version of {name}": text for name, text in sorted(item.versions.items())}
    return lines


def command_to_repeat(config: Mapping[str, Any], item: Measurement | None = None) -> str:
    """Return the command line of a run; with a measurement, that of its one row.

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
    if config.get("until"):
        words += ["--until", config["until"]]
    for name in config.get("further_segmenters") or ():
        words += ["--segmenter", str(name)]
    if config.get("samples"):
        words += ["--samples", str(config["samples"])]
    if config.get("given_maps"):
        words += _words_of_maps(str(config["given_maps"]))
    if config.get("draws"):
        words += ["--draws", str(config["draws"])]
    if config.get("best_draw"):
        words.append("--best-draw")
    if config.get("filled_weights"):
        words.append("--filled-weights")
    return shlex.join([*words, *_row_words(item)])


def shared_provenance(measurements: Sequence[Measurement], models: Collection[str]) -> list[str]:
    """Return the time that these models took, then machine, versions and code, a line each."""
    jobs = {(item.job_sha256, item.started): item for item in measurements}
    generators = [item for item in jobs.values() if item.source_kind == "generator"]
    trained = [item for item in generators if item.source in models]
    return [*_times(trained), *machines(trained)]


def _budget_words(budget: Any) -> list[str]:
    if not isinstance(budget, Mapping):
        return []
    size = budget.get("size") or []
    words = ["--size", "x".join(map(str, size))] if len(size) == 2 else []
    for name, flag in _BUDGET_FLAGS.items():
        if budget.get(name) is not None:
            words += [flag, str(budget[name])]
    return [*words, *(flag for name, flag in _BUDGET_SWITCHES.items() if budget.get(name))]


def _words_of_maps(given_maps: str) -> list[str]:
    return ["--masks" if given_maps in ("large", "few") else "--damage", given_maps]


def _is_implied(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether it is the segmenter of the profile in-domain, which is no name of a flag."""
    return name == "segmenter" and config.get(name) == config.get("profile")


def _row_words(item: Measurement | None) -> list[str]:
    if item is None:
        return []
    if item.source_kind == "generator":
        return ["--model", item.source]
    if item.source_kind == "shipped":
        return ["--train", "none"]
    if item.source_kind == "cheat":
        return ["--red-team"]
    if item.source_kind in _OWN_FILES:
        flag, place = _OWN_FILES[item.source_kind]
        return [flag, f"{item.source}={place}"]
    return []


def _times(trained: Sequence[Measurement]) -> list[str]:
    if not trained:
        return []
    minutes = [item.seconds / 60 for item in trained]
    steps = sorted({item.train_steps for item in trained if item.train_steps is not None})
    of_steps = f"of {', '.join(map(str, steps))} steps with"
    resumed = "A training that was stopped and continued counts from its last start."
    if len(trained) == 1:
        (one,) = trained
        return [f"1 training {of_steps} its scoring: {minutes[0]:.1f} minutes, started "
                f"{one.started}. {resumed}"]  # fmt: skip
    return [
        f"{len(trained)} trainings {of_steps} their scoring: {min(minutes):.1f} to "
        f"{max(minutes):.1f} minutes each (median {statistics.median(minutes):.1f}), "
        f"{sum(minutes) / 60:.1f} hours in all, started {min(item.started for item in trained)} to "
        f"{max(item.started for item in trained)}. {resumed}"
    ]


def machines(jobs: Sequence[Measurement]) -> list[str]:
    """Return a line for each machine, version and commit that measured."""
    lines = dict.fromkeys(
        f"{item.device}, {item.platform}, {_versions(item)}, {_code(item)}" for item in jobs
    )
    return [f"measured on {line}." for line in lines]


def _versions(item: Measurement) -> str:
    names = ("python", "torch", "numpy")
    return ", ".join(f"{name} {item.versions[name]}" for name in names if name in item.versions)


def _code(item: Measurement) -> str:
    if item.commit is None:
        return "code outside of a repository"
    return f"commit {item.commit[:8]}" + ("" if item.commit_clean else " with changes")
