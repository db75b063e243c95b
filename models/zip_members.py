# SPDX-License-Identifier: Apache-2.0
"""Members of zip files of strangers, read without trusting what the directory says of them.

For `.npz` and `.pth` files and bundles, which are all zip files. Every error is a `ValueError`, or
what `zipfile` raises on damage.
"""

import zipfile

from spade_eval.models.limits import MOST_UNPACKING, UNPACKING_GRACE

_CHUNK = 1 << 20


def require_bounded(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that states more than its size can hold, or is packed in a rare way.

    LZMA and bzip2 are never written here, and a few bytes of either ask for gigabytes.
    """
    assert archive.fp is not None
    size = archive.fp.seek(0, 2)
    unpacked = sum(entry.file_size for entry in archive.infolist())
    most = UNPACKING_GRACE + MOST_UNPACKING * size
    if unpacked > most:
        raise ValueError(
            f"its {size:,} bytes unpack to {unpacked:,}, expected at most {most:,} "
            f"({MOST_UNPACKING} times as many and {UNPACKING_GRACE >> 20} MiB)"
        )
    for entry in archive.infolist():
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename!r:.80} is packed by method {entry.compress_type}")


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytearray:
    """Return a member of at most so many bytes, of the stated size and checksum; else raise."""
    entry = archive.getinfo(name)
    if entry.file_size > most:
        raise ValueError(f"{name!r:.80} has {entry.file_size:,} bytes, expected at most {most:,}")
    data = bytearray(entry.file_size)
    filled = 0
    with archive.open(entry) as file, memoryview(data) as view:
        try:
            while part := file.read(min(_CHUNK, len(data) - filled)):
                view[filled : filled + len(part)] = part
                filled += len(part)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{name!r:.80} does not have its checksum") from error
    if filled < len(data):
        raise ValueError(f"{name!r:.80} has another size than the archive says")
    return data
