# SPDX-License-Identifier: Apache-2.0
"""Zip archives of strangers, read without trusting them.

Nothing is written before every entry has been judged by its directory record: plain relative
names, regular files only, bounded number and sizes. Sizes are counted again while reading, since
the record may lie. Archives written here are the same bytes for the same content.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from spade_eval.errors import UserError
from spade_eval.files import lfs_pointer
from spade_eval.models.zip_members import require_bounded

MAX_FILES = 20_000
MAX_FILE_BYTES = 512 << 20
MAX_TOTAL_BYTES = 4 << 30
_MAX_NAME = 240
_MAX_PART = 255  # bytes of a file's name, on every system
# A wrong offset in a directory is an `OSError` or `ValueError` of seeking there.
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, OSError, ValueError)
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of the zip format: no time of writing in the bytes
_ENCRYPTED = 0x1
# Names that mean a device on Windows whatever follows the first dot.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def write_zip(path: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write files (content, or a path to copy from) by name, sorted."""
    for name in files:
        if not _is_plain(name):
            raise UserError(f"the file name {name!r} is not portable; rename it before bundling")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = files[name]
            data = content if isinstance(content, bytes) else content.read_bytes()
            archive.writestr(entry, data)


@contextmanager
def opened_zip(path: Path) -> Iterator["SafeZip"]:
    """Open an archive and judge its every entry; `UserError` names the first bad one."""
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise UserError(
            f"{path}: not a zip archive that can be read ({lfs_pointer(path) or error}); copy the "
            "file again"
        ) from error
    with archive:
        yield SafeZip(path, archive)


class SafeZip:
    """The entries of an archive by name."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        entries = archive.infolist()
        if len(entries) > MAX_FILES:
            raise self._refused(f"{len(entries):,} files", f"at most {MAX_FILES:,}")
        try:
            require_bounded(archive)
        except ValueError as error:
            raise self._refused(f"what a bundle does not ({error})", "one of this suite") from error
        for entry in entries:
            self._judge(entry)
        total = sum(entry.file_size for entry in entries)
        if total > MAX_TOTAL_BYTES:
            raise self._refused(f"{total:,} bytes unpacked", f"at most {MAX_TOTAL_BYTES:,}")
        self._entries = {entry.filename: entry for entry in entries}
        folded = {name.casefold() for name in self._entries}
        if len(folded) != len(entries):
            raise self._refused("two entries of one name", "each file once")
        folders = {str(above) for name in folded for above in PurePosixPath(name).parents}
        if both := sorted(folded & folders):
            raise self._refused(f"{both[0]!r} as a file and as a folder", "one of the two")

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def read(self, name: str) -> bytes:
        """Read the content of an entry; more of it than its record says is an error."""
        if name not in self._entries:
            raise UserError(f"{self.path} holds no {name}, expected it there; ask for it again")
        entry = self._entries[name]
        try:
            with self._archive.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except _DAMAGE as error:
            raise UserError(
                f"{self.path}: {name} cannot be unpacked ({error}); copy the file again"
            ) from error
        if len(data) != entry.file_size:
            raise self._refused(f"{name!r} of another size than it says", "an unchanged archive")
        return data

    def extract(self, name: str, folder: Path) -> Path:
        """Write an entry below `folder`, which must not hold it yet."""
        target = folder.joinpath(*PurePosixPath(name).parts)
        data = self.read(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                out.write(data)
        except OSError as error:
            raise UserError(
                f"{target}: cannot be written ({error.strerror or error}); give a new folder, or "
                "free space"
            ) from error
        return target

    def _judge(self, entry: zipfile.ZipInfo) -> None:
        name, mode = entry.filename, entry.external_attr >> 16
        if not _is_plain(name):
            raise self._refused(f"the name {name!r}", "relative names of files in the archive")
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise self._refused(f"{name!r}, which is a link or device", "regular files")
        if entry.flag_bits & _ENCRYPTED:
            raise self._refused(f"{name!r}, which is encrypted", "plain files")
        if entry.file_size > MAX_FILE_BYTES:
            raise self._refused(
                f"{name!r} of {entry.file_size:,} bytes", f"at most {MAX_FILE_BYTES:,} bytes a file"
            )

    def _refused(self, content: str, expected: str) -> UserError:
        return UserError(
            f"{self.path} holds {content}, expected {expected}; nothing was unpacked: ask for the "
            "bundle again"
        )


def _is_plain(name: str) -> bool:
    """Return whether a name stays inside its folder on every system."""
    parts = name.split("/")
    return (
        0 < len(name) <= _MAX_NAME
        and "\\" not in name
        and ":" not in name
        and name.isprintable()
        and all(len(part.encode()) <= _MAX_PART for part in parts)
        and all(part not in ("", ".", "..") for part in parts)
        and not any(part.endswith((" ", ".")) or _DEVICE.fullmatch(part) for part in parts)
    )
