# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, so that a killed command leaves no half file behind.

And files that say who is at work, held by a lock that ends with its process, however it ends.
"""

import fcntl
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.progress import tell

_LONGEST_ROW = 200  # bytes of the name of a row, behind which hashes and endings stand in files
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def lfs_pointer(path: Path) -> str:
    """Say what to do where a small text of Git LFS stands for the file; an empty text elsewhere."""
    with suppress(OSError), path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            return "a Git LFS pointer, not the file itself, which `git lfs pull` fetches"
    return ""


def require_folder_name(what: str, name: str) -> None:
    """Refuse a name of a row that no folder, page or shell should have; `what` is the culprit."""
    plain = all(character.isalnum() or character in "._- +" for character in name)
    if not name or not plain or name.startswith(".") or len(name.encode()) > _LONGEST_ROW:
        raise UserError(
            f"{what}: the name {name!r:.100} becomes a folder; expected letters, digits, '.', '_', "
            f"'-', '+' or spaces, at most {_LONGEST_ROW} bytes, not starting with a dot"
        )


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder; one that is not there yet can be made."""
    return os.access(folder, os.W_OK) or not folder.exists()


@contextmanager
def replaced(path: Path, keep: Path | None = None, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` when the block succeeds.

    The file that stood there becomes `keep`. A `durable` one is on the disk before it gets its
    name, so that a loss of power leaves no empty file under it. What fails is an `OSError` with the
    name of `path`; then both are as they were. Several processes may write a file at once; where
    one is kept, a single one writes, and what a kill leaves of its temporary file is written over
    by the next.
    """
    process = "" if keep else f".{os.getpid()}"
    temporary = path.with_name(f".{path.name}{process}.part")  # hidden from listings of images
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _flush(temporary)
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):  # the one above says what is wrong
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Do as `replaced` for what a user can have made again; what fails is a `UserError`."""
    try:
        with replaced(path, durable=False) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "make the folder writable or free space, then repeat"
        ) from error


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Let one process at a time into the block, whose name stands in `path` meanwhile.

    Who comes second waits, with a line on stderr, or gets a `UserError` that says who is at work.
    The file stays: a lock on a file that is removed holds nobody off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            worker = path.read_text("utf-8", "replace").strip() or "another process"
            if not wait:
                raise UserError(
                    f"{worker} is at work on {path.stem} in {path.parent.parent}; wait until it "
                    "ends, or choose another folder with --out"
                ) from None
            tell(f"waiting for {worker}, which is at work on {path.stem}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system that knows no locks (Lustre without `flock`) holds nobody
            pass
        file.truncate(0)
        with suppress(OSError):  # a full disk is told by what is to be written
            file.write(_this_process().encode("utf-8", "replace"))
        try:
            yield
        finally:
            file.truncate(0)


def _this_process() -> str:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    command = shlex.join(["spade-eval", *sys.argv[1:]])
    return f"process {os.getpid()} on {socket.gethostname()} (since {since}: {command})"
