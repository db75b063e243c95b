# SPDX-License-Identifier: Apache-2.0
"""Paths of a command line, judged before any work starts: what stands there, and what could."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import typer

from spade_eval.errors import UserError

Kind = Literal["file", "folder", "file or folder"]
# Bytes of a name that is written: file systems have 255, and a temporary file a longer name.
_LONGEST_NAME = 230


def checked(kind: Kind, *, written: bool = False) -> Callable[..., Any]:
    """Return the callback of an option or argument that names files or folders, one or several."""

    def callback(param: typer.CallbackParam, value: Any) -> Any:
        flag = next((name for name in param.opts if name.startswith("-")), param.name or "")
        for path in value if isinstance(value, list | tuple) else [value]:
            if path is not None:
                require(flag, Path(path), kind, written=written)
        return value

    return callback


def require(flag: str, path: Path, kind: Kind, *, written: bool = False) -> None:
    """Refuse what is not of that kind, and where nothing of it can be; absence is no fault here.

    Who reads what is absent has more to say about it.
    """
    text = str(path)
    if not text.isascii() and text.encode("utf-8", "replace") != os.fsencode(path):
        raise UserError(f"{flag} {text!r}: a name that is not UTF-8; rename it, or name another")
    wrong = _wrong(path, kind)
    if written and len(os.fsencode(path.name)) > _LONGEST_NAME:
        wrong = f"its name has over {_LONGEST_NAME} bytes"
    if wrong:
        raise UserError(f"{flag} {_short(text)}: {wrong}; expected a {kind}, name another")


def _wrong(path: Path, kind: Kind) -> str:
    """Say what stands in the way; an empty text where nothing does."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _above(path)
    except NotADirectoryError:
        return "it lies below a file"
    except (OSError, ValueError) as error:
        return f"it cannot be looked at ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(mode):
        return "a folder was found" if kind == "file" else ""
    if stat.S_ISREG(mode):
        return "a file was found" if kind == "folder" else ""
    return "a pipe, socket or device was found"


def _above(path: Path) -> str:
    """Say why a path at which there is nothing could not be made either."""
    for place in (path, *path.parents):
        if place.exists():
            return ""
        if place.is_symlink():
            return f"the link {place} leads nowhere"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:60]}...{text[-40:]}"
