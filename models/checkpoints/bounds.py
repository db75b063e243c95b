# SPDX-License-Identifier: Apache-2.0
"""Which configurations are built at all: those within reach of a preset's.

Building takes time for every layer, on whatever device, so a number of layers from a file is
compared before, by one rule for every field of every network.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from torch import nn

from spade_eval.models.limits import MOST_LABELS, MOST_TIMES_PRESET
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.scaling import network_config


def require_buildable(network: type[nn.Module], config: Any) -> None:
    """Raise `ValueError` for a field beyond `MOST_TIMES_PRESET` times what any preset needs."""
    most = _most(network)  # type: ignore[arg-type]  # mypy: modules are hashable
    for name, value in dataclasses.asdict(config).items():
        numbers = value if isinstance(value, tuple) else (value,)
        longest, largest = most[name]
        if len(numbers) > longest:
            raise ValueError(f"{name} has {len(numbers):,} numbers, expected at most {longest}")
        for number in numbers:
            if isinstance(number, int | float) and not 0 <= number <= largest:
                raise ValueError(
                    f"{name} is {number}, expected 0 to {largest} "
                    f"({MOST_TIMES_PRESET} times the largest of any preset)"
                )


@cache
def _most(network: type[nn.Module]) -> Mapping[str, tuple[int, int]]:
    """Return how many numbers each field may have, and how large they may be."""
    needed = [dataclasses.asdict(config) for config in _configs(network)]
    return {
        name: _limits(name, [config[name] for config in needed])
        for name in (needed[0] if needed else {})
    }


def _limits(name: str, values: list[Any]) -> tuple[int, int]:
    if name == "num_labels":
        return 1, MOST_LABELS
    tuples = [value if isinstance(value, tuple) else (value,) for value in values]
    numbers = [number for value in tuples for number in value if isinstance(number, int | float)]
    longest = max(map(len, tuples))
    return (
        longest if longest == 1 else MOST_TIMES_PRESET * longest,
        MOST_TIMES_PRESET * math.ceil(max(1, *numbers, 1)),
    )


def _configs(network: type[nn.Module]) -> Iterator[Any]:
    """Yield the defaults of a network and the configurations of all presets with its fields."""
    config: Any = network.Config  # type: ignore[attr-defined]
    fields = {field.name: field.default for field in dataclasses.fields(config)}
    required = [name for name, default in fields.items() if default is dataclasses.MISSING]
    yield config(**dict.fromkeys(required, 1))
    for preset in GENERATORS.values():
        if preset.network is network:
            yield network_config(preset, num_labels=1)
