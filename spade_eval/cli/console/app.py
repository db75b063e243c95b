# SPDX-License-Identifier: Apache-2.0
"""An application of commands: the flags that all of them have, and help by topic."""

import copy
import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer
import typer.core

from spade_eval.cli.console.effects import Effect, effects_of, require_effects
from spade_eval.cli.console.output import current
from spade_eval.cli.console.topics import ARGUMENTS, OTHERS, OUTPUT, TOPICS
from spade_eval.errors import installed_version

_METAVARS = {int: "N", float: "X", Path: "PATH"}
_WIDEST_NAMES = 34  # columns, of flags in help
SEVERAL_ROWS = "ROW ROW..."
"""Stands for the value of an option that takes all words up to the next flag, or ROW,ROW."""


def show_version(asked: bool) -> None:
    """Print the version and end, where it was asked for."""
    if asked:
        typer.echo(f"spade-eval {installed_version('spade-eval')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=show_version,
        is_eager=True,
        help="Print the version.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print errors and what was asked for, nothing else.",
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object, errors too; all else goes to standard error.",
        rich_help_panel=OUTPUT,
    ),
]
_COMMON: dict[str, Any] = {"quiet": Quiet, "json": Json, "version": Version}


class App(typer.Typer):
    """Typer, with `Command` for its commands."""

    def __init__(self, **settings: Any) -> None:
        context = {"help_option_names": ["-h", "--help"], "max_content_width": 1000}
        super().__init__(
            context_settings=context,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command with the flags that all commands have."""
        register = super().command(name, cls=Command, **settings)

        def registered(function: Callable[..., None]) -> Callable[..., None]:
            register(completed(function))
            return function

        return registered


class Command(typer.core.TyperCommand):
    """A command whose help shows flags by topic, and whose options may take several words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, words of `SEVERAL_ROWS` joined by commas."""
        flags = {
            flag
            for parameter in self.get_params(ctx)
            if parameter.metavar == SEVERAL_ROWS
            for flag in parameter.opts
        }
        return super().parse_args(ctx, _joined(args, flags) if flags else args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each topic that the command has."""
        topics: dict[str, list[tuple[str, str]]] = {topic: [] for topic in TOPICS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                topics[_topic(parameter)].append((_names(parameter), record[1]))
        for topic, rows in topics.items():
            if rows:
                with formatter.section(topic):
                    formatter.write_dl(rows, col_max=_WIDEST_NAMES)


def _joined(words: Sequence[str], flags: set[str]) -> list[str]:
    """Join the words behind each of these flags by commas; one with a comma is a whole list."""
    rest, joined = list(words), []
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] not in flags:
            continue
        names = rest[:1]
        del rest[:1]
        while names and rest and "," not in names[0] and not rest[0].startswith("-"):
            names.append(rest.pop(0))
        joined += [",".join(names)] if names else []
    return joined


def _topic(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return ARGUMENTS
    if parameter.name == "help":
        return OUTPUT
    return getattr(parameter, "rich_help_panel", None) or OTHERS


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar}{'...' if parameter.nargs != 1 else ''}"
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.secondary_opts:
        return f"{names} / {', '.join(parameter.secondary_opts)}"
    return f"{names} {parameter.metavar}" if parameter.metavar else names


def completed(function: Callable[..., None]) -> Callable[..., None]:
    """Give a function the flags of all commands, and refuse flags that have no effect."""
    signature = inspect.signature(function)
    own = [name for name, item in signature.parameters.items() if item.annotation is typer.Context]

    @functools.wraps(function)
    def called(**values: Any) -> None:
        given = values[own[0]] if own else values.pop("context")
        current().command = given.command_path.partition(" ")[2]
        require_effects(called, given)
        function(**{name: value for name, value in values.items() if name not in _COMMON})

    effects = dict(effects_of(function))
    parameters = [_described(item, effects) for item in signature.parameters.values()]
    parameters += [] if own else [_keyword("context", typer.Context)]
    parameters += [_keyword(name, kind, default=False) for name, kind in _COMMON.items()]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {item.name: item.annotation for item in parameters}
    return called


def _keyword(name: str, kind: Any, **default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, **default)


def _described(parameter: inspect.Parameter, effects: Mapping[str, Effect]) -> inspect.Parameter:
    """Name what a flag takes after its type, and end its help with its condition."""
    if get_origin(parameter.annotation) is not Annotated:
        return parameter
    kind, first, *others = get_args(parameter.annotation)
    flag = copy.copy(first)
    flag.metavar = flag.metavar or _metavar(kind)
    if parameter.name in effects:
        flag.help = f"{flag.help} (only {effects[parameter.name].only})"
    parts = (kind, flag, *others)
    return parameter.replace(annotation=Annotated[parts])


def _metavar(kind: Any) -> str | None:
    """Return choices or the kind of a value; None for switches and for text, which says itself."""
    if get_origin(kind) in (list, Union, types.UnionType):
        return next((_metavar(item) for item in get_args(kind) if item is not type(None)), "")
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(item.value) for item in kind)
    return _METAVARS.get(kind)
