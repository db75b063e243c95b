# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, so that a killed command leaves no half file behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spade_eval.errors import UserError


@contextmanager
def replaced(path: Path, keep: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` when the block succeeds.

    The file that stood there becomes `keep`. What fails is an `OSError` with the name of `path`;
    then both are as they were. Several processes may write a file at once; where one is kept, a
    single one writes, and what a kill leaves of its temporary file is written over by the next.
    """
    process = "" if keep else f".{os.getpid()}"
    temporary = path.with_name(f".{path.name}{process}.part")  # hidden from listings of images
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):  # the one above says what is wrong
            temporary.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Do as `replaced` for what a user can have made again; what fails is a `UserError`."""
    try:
        with replaced(path) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "make the folder writable or free space, then repeat"
        ) from error
