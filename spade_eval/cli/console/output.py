# SPDX-License-Identifier: Apache-2.0
"""What a command says, in one of three forms: to a person, quietly, or as one object of JSON.

Commands `say` what a person likes to know, `show` what was asked for and name each file `written`.
With `--json` all text goes to standard error, and standard output gets one object at the end,
whatever the end is; docs/command_line.md lists its fields.
"""

import contextlib
import dataclasses
import json
import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import Any

from spade_eval.errors import installed_version
from spade_eval.jobs.processes import is_launched
from spade_eval.progress import be_quiet

STATES = {0: "done", 1: "problems", 2: "refused", 130: "interrupted"}
"""What exit codes are called; others are "failed"."""


@dataclass
class Output:
    """One command's output."""

    as_json: bool = False
    quiet: bool = False
    command: str = ""
    delegated: bool = False  # other processes do the work and say what came of it
    fields: dict[str, Any] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def finish(self, code: int, error: str | None = None, state: str | None = None) -> None:
        """Print the object, if one was asked for; by the first of several processes alone.

        A process that fails leaves it to the command that has started it, as one that is killed.
        """
        if not self.as_json or (self.delegated and error is None and code in (0, 2)):
            return
        if state == "failed" and is_launched():
            return
        if error is None and os.environ.get("RANK", "0") != "0":
            return
        if self.delegated:
            error = error or "a process of the run failed; standard error says which and how"
        said = {
            "command": self.command,
            "version": installed_version("spade-eval"),
            "state": state or STATES.get(code, "failed"),
            "exit_code": code,
            "error": error,
            "written": list(dict.fromkeys(self.written)),
            "notes": list(dict.fromkeys(self.notes)),
            "lines": self.lines,
            **self.fields,
        }
        print(json.dumps(plain(said), allow_nan=False), flush=True)


_output = Output()


@contextlib.contextmanager
def output_of(words: Sequence[str]) -> Iterator[Output]:
    """Hold the output of a command line, which says itself in which form it is wanted.

    It is read before anything can be refused, so that a refusal has the form as well.
    """
    global _output
    flags = words[: words.index("--")] if "--" in words else words
    _output = Output(as_json="--json" in flags, quiet="--quiet" in flags or "-q" in flags)
    be_quiet(_output.quiet)
    with contextlib.ExitStack() as stack:
        if _output.quiet:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield _output


@contextlib.contextmanager
def kept_apart() -> Iterator[None]:
    """With `--json`, send what is printed inside to standard error."""
    if not _output.as_json:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def current() -> Output:
    """Return the output of the running command."""
    return _output


def say(text: object) -> None:
    """Print what a person likes to know and nobody asked for."""
    if not _output.quiet:
        print(text, flush=True)


def show(text: object, **fields: Any) -> None:
    """Print what was asked for; `fields` are the same for `--json`, else its lines are."""
    _output.fields |= fields
    if not fields:
        _output.lines += str(text).split("\n")
    if not (_output.quiet and _output.as_json):
        print(text, flush=True)


def wrote(paths: Iterable[PurePath]) -> None:
    """Name files and folders that were written."""
    _output.written += map(str, paths)


def note(texts: Iterable[str]) -> None:
    """State what must be known of what is shown, for `--json`; the text has it already."""
    _output.notes += texts


def plain(value: Any) -> Any:
    """Return a value in the types of JSON; None for what is no finite number."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # a number of NumPy
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
