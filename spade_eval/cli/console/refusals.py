# SPDX-License-Identifier: Apache-2.0
"""One line for a command line that cannot be read: what is wrong, what was meant, where help is."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import typer

# Typer raises its parser's errors, by whatever name it imports that parser.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
UnreadableError: type[Exception] = typer.BadParameter.__mro__[2]

_NOT_A_CHOICE = re.compile(r"(?:Value error, )?'(?P<given>[^']*)' is not one of (?P<known>.+?)\.?$")


def refusal(error: Any) -> str:
    """Return the line."""
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    name = getattr(error, "option_name", None)
    if context is not None and name is not None and message.startswith("No such option"):
        message = f"no such option: {name}{_meant(name, _options(context))}"
    elif (choice := _NOT_A_CHOICE.search(message)) is not None:
        known = re.findall(r"'(.*?)'", choice["known"])
        message = f"{message[: choice.start()]}{choice['given']!r} is not one of "
        message += f"{', '.join(known)}{_meant(choice['given'], known)}"
    message = message[:1].lower() + message[1:].rstrip(".")
    return message if context is None else f"{message}; see {context.command_path} -h"


def is_help(error: Any) -> bool:
    """Return whether a group of commands was called alone, which shows its help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _options(context: Any) -> list[str]:
    return [
        name
        for parameter in context.command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    ]


def _meant(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, list(known), n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""
