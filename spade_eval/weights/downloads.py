# SPDX-License-Identifier: Apache-2.0
"""Fetching weight files: only when asked, with a progress bar, resumed where it was cut off."""

import os
import urllib.request
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError, URLError

from spade_eval.errors import UserError
from spade_eval.files import locked
from spade_eval.progress import Progress
from spade_eval.weights import WeightFile, installed, is_installed

_PIECE = 1 << 18


def fetch(weights: WeightFile, folder: Path) -> Path:
    """Download a file unless it is there; what lies under its name is whole and checked."""
    if is_installed(weights, folder):
        return installed(weights, folder)
    if not weights.has_address:
        raise UserError(
            f"{weights.file_name} has no address of its own: look for it at {weights.origin} and "
            f"put it into {(folder / weights.file_name).parent}"
        )
    path = folder / weights.file_name
    with locked(path.with_name(path.name + ".lock"), wait=True):
        if not is_installed(weights, folder):  # who was waited for may have fetched it
            _download(weights, path)
    try:
        return installed(weights, folder)
    except UserError:
        path.unlink()  # what is not the file must not stand under its name
        raise


def _download(weights: WeightFile, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    try:
        _resume(weights.origin, part)
    except HTTPError as error:
        # Nothing is left to send: the partial file is whole, which its hash will tell.
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _failed(weights, path, error) from error
    except (URLError, OSError, ValueError) as error:
        raise _failed(weights, path, error) from error
    os.replace(part, path)


def _failed(weights: WeightFile, path: Path, error: Exception) -> UserError:
    return UserError(
        f"{weights.origin} could not be downloaded ({error}); start again to resume, "
        f"or fetch it by another way and put it at {path}"
    )


def _resume(address: str, part: Path) -> None:
    """Continue a partial file; a server that cannot sends the whole file again."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
        rest = int(answer.headers.get("Content-Length") or 0)
        begin = start if resumed else 0
        with (
            part.open("ab" if resumed else "wb") as file,
            Progress(part.stem, begin + rest if rest else 0, "byte", done=begin) as progress,
        ):
            while piece := answer.read(_PIECE):
                file.write(piece)
                progress.advance(len(piece))
        if rest and part.stat().st_size < begin + rest:
            raise OSError(f"the connection ended after {part.stat().st_size} bytes")
