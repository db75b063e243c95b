# SPDX-License-Identifier: Apache-2.0
"""On what, when and for how long something was measured, in a few lines for a page."""

import statistics
from collections.abc import Collection, Sequence

from spade_eval.records import Measurement


def measured_with(measurements: Sequence[Measurement], models: Collection[str]) -> list[str]:
    """Time that these models took, then machine, versions and code, each as one line."""
    jobs = {(item.job_sha256, item.started): item for item in measurements}
    generators = [item for item in jobs.values() if item.source_kind == "generator"]
    trained = [item for item in generators if item.source in models]
    return [*_times(trained), *_machines(trained)]


def _times(trained: Sequence[Measurement]) -> list[str]:
    if not trained:
        return []
    minutes = [item.seconds / 60 for item in trained]
    steps = sorted({item.train_steps for item in trained if item.train_steps is not None})
    return [
        f"{len(trained)} trainings of {', '.join(map(str, steps))} steps with their scoring: "
        f"{min(minutes):.1f} to {max(minutes):.1f} minutes each (median "
        f"{statistics.median(minutes):.1f}), {sum(minutes) / 60:.1f} hours in all, started "
        f"{min(item.started for item in trained)} to {max(item.started for item in trained)}. A "
        "training that was stopped and continued counts from its last start."
    ]


def _machines(jobs: Sequence[Measurement]) -> list[str]:
    found = dict.fromkeys(
        f"{item.device}, {item.platform}, {_versions(item)}, {_code(item)}" for item in jobs
    )
    return [f"measured on {line}." for line in found]


def _versions(item: Measurement) -> str:
    names = ("python", "torch", "numpy")
    return ", ".join(f"{name} {item.versions[name]}" for name in names if name in item.versions)


def _code(item: Measurement) -> str:
    if item.commit is None:
        return "code outside of a repository"
    return f"commit {item.commit[:8]}" + ("" if item.commit_clean else " with changes")
