# SPDX-License-Identifier: Apache-2.0
"""A network as plain values, and back: its class and its complete configuration.

A checkpoint that names a preset and a width would mean another network once the preset changes; one
that names a class with every field of its `Config` does not.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.json_fields import require_types
from spade_eval.models.checkpoints.bounds import require_buildable
from spade_eval.models.checkpoints.published import refuse_absurd, refuse_mismatch
from spade_eval.models.systems.presets import networks

Described = Mapping[str, Any]
"""{"network": class name, "config": every field of its `Config`}."""


def describe(network: nn.Module) -> dict[str, Any]:
    """Return class and configuration as JSON holds them."""
    config: Any = network.config
    return {"network": type(network).__name__, "config": dataclasses.asdict(config)}


def rebuild(description: Described, weights: Mapping[str, Tensor]) -> nn.Module:
    """Build the described network with these weights, in eval mode, or raise `ValueError`.

    The weights are compared with the description before any memory is taken for them.
    """
    name, settings = description.get("network"), description.get("config")
    known = networks()
    if not isinstance(name, str) or name not in known or not isinstance(settings, Mapping):
        raise ValueError(f"the description names the network {name!r}; known: {', '.join(known)}")
    try:
        with torch.device("meta"):
            network = known[name](_config(known[name], settings))
    except (TypeError, AssertionError, RuntimeError, LookupError, ArithmeticError) as error:
        raise ValueError(f"the configuration of {name} cannot be built: {error}") from error
    refuse_mismatch(weights, network.state_dict())
    refuse_absurd(weights)
    network.to_empty(device="cpu")
    network.load_state_dict(dict(weights))
    return network.eval()


def _config(network: type[nn.Module], settings: Mapping[str, Any]) -> Any:
    """Return the `Config`.

    Every field must be there, because a default may change after the writing.
    """
    config: Any = network.Config  # type: ignore[attr-defined]
    fields = {field.name for field in dataclasses.fields(config)}
    if set(settings) != fields:
        differing = ", ".join(sorted(fields ^ set(settings)))
        raise ValueError(
            f"the configuration of {network.__name__} lacks or adds {differing}; expected the "
            f"fields {', '.join(sorted(fields))}"
        )
    require_types(config, settings)
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    made = config(**values)
    require_buildable(network, made)
    return made
