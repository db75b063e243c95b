# SPDX-License-Identifier: Apache-2.0
"""What surrounds a command: the home folder in its words, and who reads what it prints."""

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError

# At the start of a word, of a value (--out=~/x) and of a path with a name (mine=~/x, hf:~/x).
_HOME = re.compile(r"(?:^|(?<=[=:]))~(?=/|$)")


def with_home(word: str) -> str:
    """Expand each `~` as a shell does that sees it alone; `UserError` where no home is known."""
    if not _HOME.search(word):
        return word
    home = os.path.expanduser("~")
    if home.startswith("~"):
        raise UserError(f"{word}: no home folder is known; set HOME, or write the folder out")
    return _HOME.sub(lambda _: home, word)


def is_unreadable(place: str | os.PathLike[str]) -> bool:
    """Return whether a path is there but may not be read, or lies in a folder that may not be.

    What may not be written is readable, or is not there yet.
    """
    path = Path(place)
    for part in (path, *path.parents):
        if os.path.lexists(part):
            allowed = os.X_OK if part != path else os.R_OK | (os.X_OK if part.is_dir() else 0)
            return not os.access(part, allowed)
    return False


class _Outlasting(io.FileIO):
    """A standard stream whose reader may leave: what is printed then goes nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def outlast_readers() -> None:
    """Let a command do all its work, and end with code 0, after `| head` has closed its pipe.

    Tables hold arrows, which must not end it in an ASCII pipe either.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace" if name == "stdout" else stream.errors)
        if stream is None or stream is not getattr(sys, f"__{name}__"):  # a test's or a notebook's
            continue
        stream.flush()
        lasting = io.TextIOWrapper(
            io.BufferedWriter(_Outlasting(stream.fileno(), "w", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering or stream.write_through,
            write_through=stream.write_through,
        )
        setattr(sys, name, lasting)
