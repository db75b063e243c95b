# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can cause, and the one look-up by name that every table shares.

A `UserError` is one line: the value, what was expected, what to do. The command line prints it and
exits with code 2; anything else that is raised is a fault of the program and keeps its traceback.
"""

import difflib
import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


_LONGEST = 1500  # characters of a line; the longest that the suite itself writes has about 700


class UserError(ValueError):
    """A wrong value, file or flag of the user's; the message says what to do."""

    def __str__(self) -> str:
        """Write one line that can be read, whatever a stranger's file put into it."""
        line = " ".join(super().__str__().split())
        if len(line) > _LONGEST:
            line = f"{line[: _LONGEST // 2]} [...] {line[-_LONGEST // 2 :]}"
        return line.encode(errors="backslashreplace").decode()


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return `table[name]`, or answer a wrong name with the nearest names and the whole list."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else "."
    raise UserError(f"no {kind} is called {name!r}{meant} Known: {', '.join(sorted(table))}")


@contextmanager
def as_user_error(what: str) -> Iterator[None]:
    """Turn a `ValueError` of a network, which knows no flags, into a `UserError` about `what`."""
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{what}: {error}") from error


@contextmanager
def torchvision_that_fits() -> Iterator[None]:
    """Say what to install where torchvision, imported inside, was built for another torch."""
    try:
        yield
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"torchvision {installed_version('torchvision')} cannot be imported beside torch "
            f"{installed_version('torch')} ({reason}); reinstall torchvision to match the "
            "installed torch"
        ) from error


def installed_version(package: str) -> str:
    """Return the version of a package, without importing what may be broken."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
