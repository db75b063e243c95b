# SPDX-License-Identifier: Apache-2.0
"""When a flag has an effect, stated beside the flag; given at other times, it is refused."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import typer

from spade_eval.errors import UserError

Values = Mapping[str, Any]
"""The values of all flags of a command, by the names of its parameters."""


@dataclass(frozen=True)
class Effect:
    """An annotation of a flag: what else must be given, or not, for it to do anything."""

    only: str  # the condition in words, behind "has an effect only"
    holds: Callable[[Values], bool]
    among: str = ""  # a flag without which a command knows no such condition


def effects_of(command: Callable[..., Any]) -> Iterator[tuple[str, Effect]]:
    """Yield the condition of each flag of a command that has one, by parameter; the last counts."""
    parameters = inspect.signature(command).parameters
    for name, parameter in parameters.items():
        stated = [item for item in get_args(parameter.annotation)[1:] if isinstance(item, Effect)]
        if stated and (not stated[-1].among or stated[-1].among in parameters):
            yield name, stated[-1]


def require_effects(command: Callable[..., Any], context: typer.Context) -> None:
    """Refuse the first flag on the command line that the others leave without effect."""
    flags = {parameter.name: parameter for parameter in context.command.params}
    for name, effect in effects_of(command):
        if not _is_given(context, name) or effect.holds(context.params):
            continue
        flag, value = flags[name].opts[0], context.params[name]
        if value is False and flags[name].secondary_opts:
            flag = flags[name].secondary_opts[0]
        raise UserError(
            f"{flag}{_shown(value)} has an effect only {effect.only}; leave it out, or change that"
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return ""
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return f" {getattr(first, 'value', first)}"
