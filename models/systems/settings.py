# SPDX-License-Identifier: Apache-2.0
"""Settings resolved: of the paper or the release, then of the dataset, then of the preset."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from spade_eval.models.choices import SettingSet
from spade_eval.models.systems.base import Difference, Preset, Settings, System

S = TypeVar("S")


def resolved(preset: Preset, which: SettingSet, dataset: str = "") -> Any:
    """Return the settings with which a preset is trained on a dataset."""
    return changed(settings_of(preset.system, which, dataset), preset.changes)


def settings_of(system: type[System], which: SettingSet, dataset: str = "") -> Settings:
    """Return the settings of a method as its `paper` or its `release` has them."""
    if which not in get_args(SettingSet):
        known = ", ".join(get_args(SettingSet))
        raise ValueError(f"{system.name} has no settings called {which!r}; known: {known}")
    own = system.settings.get((which, dataset))
    return system.settings[which, ""] if own is None else own


def changed(settings: S, changes: Mapping[str, Any]) -> S:
    """Return settings with the values of dotted names replaced: {"optimizers.G.rate": 1e-4}."""
    for name, value in changes.items():
        settings = _with(settings, name.split("."), value)
    return settings


def _with(part: Any, path: list[str], value: Any) -> Any:
    first, *rest = path
    is_table = isinstance(part, dict)
    names = set(part) if is_table else {field.name for field in dataclasses.fields(part)}
    if first not in names:
        raise ValueError(f"there is no setting {first!r}; known: {', '.join(sorted(names))}")
    before = part[first] if is_table else getattr(part, first)
    after = _with(before, rest, value) if rest else value
    return {**part, first: after} if is_table else dataclasses.replace(part, **{first: after})


def difference(system: type[System], dataset: str = "") -> list[Difference]:
    """List where paper and release of a method differ: training first, then architecture."""
    paper = dict(_flat(settings_of(system, "paper", dataset)))
    release = dict(_flat(settings_of(system, "release", dataset)))
    differing: dict[str, set[tuple[str, str]]] = {}
    for name in {**paper, **release}:
        if paper.get(name) != release.get(name):
            # Optimizers share most of their settings: given once where they agree.
            pair = (str(paper.get(name)), str(release.get(name)))
            differing.setdefault(name.rpartition(".")[2], set()).add(pair)
    trained = [
        Difference(
            setting=name, paper=ours, release=theirs, note=system.setting_notes.get(name, "")
        )
        for name, pairs in differing.items()
        for ours, theirs in sorted(pairs)
    ]
    return [*trained, *system.printed_architecture]


def _flat(part: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every setting that holds no others."""
    items = part.items() if isinstance(part, dict) else vars(part).items()
    for name, value in items:
        if isinstance(value, dict) or dataclasses.is_dataclass(value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
