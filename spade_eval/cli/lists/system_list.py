# SPDX-License-Identifier: Apache-2.0
"""Every system as a row of facts: what its classes know, and what its file says of the original.

A publication is shown by its first row of GENERATORS, with the settings of its release.
"""

from typing import Any

import torch
from torch import nn

from spade_eval.cli.lists.model_list import DATASETS, layout_on, listed_models
from spade_eval.models.systems.base import Optimizer, Preset, Settings, System
from spade_eval.models.systems.presets import GENERATORS, systems
from spade_eval.models.systems.scaling import network_config
from spade_eval.models.systems.settings import resolved
from spade_eval.reports.tables.systems import SystemFacts

_KINDS = {"adam": "Adam", "adamw": "AdamW"}


def listed_systems() -> list[SystemFacts]:
    """Return the facts of every publication, in the order of GENERATORS."""
    firsts: dict[str, type[System]] = {}
    for system in systems().values():
        firsts.setdefault(system.original.paper, system)
    return [_facts(system) for system in firsts.values()]


def _facts(system: type[System]) -> SystemFacts:
    names = [name for name, row in GENERATORS.items() if row.system.original is system.original]
    preset = GENERATORS[names[0]]
    (listed,) = listed_models(names[:1])
    own = system.original
    return SystemFacts(
        model=names[0],
        others=tuple(names[1:]),
        paper=own.paper,
        sees="; ".join(_seen(system, preset)),
        trained=_training(system, preset, own.objective),
        released=own.released,
        parameters=listed.parameters,
        protocol=own.protocol,
        licence=own.licence,
    )


def _seen(system: type[System], preset: Preset) -> list[str]:
    """Say what reaches the scored network."""
    network = _without_weights(system, preset)
    config: Any = network.config
    read = getattr(resolved(preset, "release"), "label_input", "colours")
    in_colours = hasattr(config, "palette") and read == "colours"
    seen = ["label map in colours" if in_colours else "label map, one-hot"]
    edges = [title for title in DATASETS if layout_on(system, title).edges]
    if edges:
        seen.append(f"instance edges ({', '.join(edges)})")
    style = system.style_input(network)
    if style == "random":
        size = getattr(config, "z_dim", None)
        seen.append(system.drawn if size is None else f"noise of {size} numbers")
    if style == "class means":
        seen.append("a style for each label, by default class means of training images")
    if "another photo" in system.style_inputs(network):
        seen.append("or a style photo in its place")
    elif style == "real image":
        seen.append("style photo")
    return seen


def _without_weights(system: type[System], preset: Preset) -> nn.Module:
    layout = layout_on(system, next(iter(DATASETS)))
    with torch.device("meta"):
        return preset.network(network_config(preset, layout.num_labels, edges=layout.edges))


def _training(system: type[System], preset: Preset, objective: str) -> str:
    settings: Settings = resolved(preset, "release")
    parts = [objective, "paired" if system.paired else "unpaired", _rates(settings.optimizers)]
    if system.whole_steps is not None:
        parts.append(f"{system.whole_steps:,} steps")
    else:
        ways = {optimizer.decay for optimizer in settings.optimizers.values()}
        word = "fine-tuning" if "fine-tuning" in ways else "decaying"
        decaying = f" + {settings.decay_epochs} {word}" if settings.decay_epochs else ""
        parts.append(f"{settings.constant_epochs}{decaying} epochs")
    parts.append(f"batch {settings.batch_size}")
    if settings.ema_decay is not None:
        parts.append(f"average of weights, {settings.ema_decay}")
    return "; ".join(parts)


def _rates(optimizers: dict[str, Optimizer]) -> str:
    """Say kind and rate of every update, or the rate once where all share it."""
    kinds = "/".join(dict.fromkeys(_KINDS[item.kind] for item in optimizers.values()))
    rates = {f"{item.rate:g}" for item in optimizers.values()}
    if len(rates) == 1:
        return f"{kinds} {rates.pop()}"
    return f"{kinds} " + ", ".join(f"{name} {item.rate:g}" for name, item in optimizers.items())
