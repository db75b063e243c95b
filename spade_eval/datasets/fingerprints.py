# SPDX-License-Identifier: Apache-2.0
"""SHA-256 of many files' bytes, remembered between runs while nothing touches the files.

Names and byte counts say little about data: mended labels and swapped photos often keep both. What
was hashed is remembered in a cache of the user, one small file for each folder of files. A file is
read again when its byte count, times of modification and of change, or inode differ. The cache
holds nothing that reading the files again does not give: it may be deleted or lie where nothing
can be written, and one that is damaged is ignored.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from spade_eval.datasets import files
from spade_eval.datasets.parallel import run_parallel, write_text
from spade_eval.json_fields import parsed_json
from spade_eval.progress import Progress

CACHE = Path("~/.cache/spade_eval/hashes")
# File systems count time in steps of up to two seconds (FAT). A file that was changed within the
# last step could change again and look the same, so its hash is not remembered.
SETTLED_NS = 2_000_000_000


def content_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file's bytes; only files that the cache lacks are read.

    What cannot be read is an `UnreadableImageError`. A bar appears when it takes over a second.
    """
    states = {path: _state(path) for path in paths}
    memories = {folder: _Memory(folder) for folder in {path.parent for path in states}}
    hashes = {path: memories[path.parent].recall(path.name, states[path]) for path in states}
    missing = [path for path in states if not hashes[path]]
    results = zip(missing, run_parallel(_sha256, missing), strict=True)
    try:
        with Progress("hashing files", len(missing), "file", delay=1.0) as progress:
            for path, digest in results:
                hashes[path] = digest
                memories[path.parent].keep(path.name, states[path], digest)
                progress.advance()
    finally:  # what an interrupted command has read need not be read again
        for memory in memories.values():
            memory.save()
    return hashes


class _Memory:
    """The hashes of the files in one folder, by name, each with the state of its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_new = False
        self._entries: dict[str, str] = {}
        # RuntimeError: there is no home folder, or JSON is nested deeply.
        with suppress(OSError, ValueError, RuntimeError):
            checksum, _, text = self._path().read_text(encoding="utf-8").partition("\n")
            if checksum == _checksum(text):
                self._entries = dict(parsed_json(text))

    def recall(self, name: str, state: str) -> str:
        """Return the hash of a file that still is in this state, or an empty text."""
        known_state, _, digest = self._entries.get(name, "").rpartition(" ")
        return digest if known_state == state else ""

    def keep(self, name: str, state: str, digest: str) -> None:
        """Remember a hash, unless the file was changed a moment before it was read."""
        if state:
            self._entries[name] = f"{state} {digest}"
            self._is_new = True

    def save(self) -> None:
        """Write the hashes of the files that are there, if there are new ones and it can be."""
        if self._is_new:
            with suppress(OSError, RuntimeError):
                present = set(os.listdir(self._folder))
                kept = {name: entry for name, entry in self._entries.items() if name in present}
                text = json.dumps(kept)
                write_text(self._path(), f"{_checksum(text)}\n{text}")

    def _path(self) -> Path:
        name = hashlib.sha256(os.fsencode(self._folder.resolve())).hexdigest()[:32]
        return CACHE.expanduser() / f"{name}.json"


def _state(path: Path) -> str:
    """Return what changes with a file, or an empty text where a change might not show."""
    now = time.time_ns()
    with files.decoding(path):
        status = files.regular_status(path)
    modified, changed = status.st_mtime_ns, status.st_ctime_ns
    if now - max(modified, changed) < SETTLED_NS:
        return ""
    return f"{status.st_size} {modified} {changed} {status.st_ino}"


def _sha256(path: Path) -> str:
    with files.decoding(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
