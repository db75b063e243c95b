# SPDX-License-Identifier: Apache-2.0
"""A folder of synthesized images as a source: paired with a split by stem, scored as they are.

Stems are those of the split; SIMS's numbers are known as well.

Nothing is resized, sorted by luck or left out: whether both sides hold the same stems, and whether
every image has the expected size, is settled from names and headers before a pixel is scored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.files import (
    PHOTO_EXTENSIONS,
    files_by_stem,
    read_format,
    read_photo,
    read_size,
    shortened,
    text_of_size,
)
from spade_eval.datasets.jpeg import JPEGEncoding, encoding_of
from spade_eval.datasets.numbered_images import numbered
from spade_eval.errors import UserError
from spade_eval.models.labels import Size


class ImageFolder:
    """Image i belongs to `names[i]`; any of the usual file types, extensions in any case."""

    def __init__(
        self,
        directory: Path | str,
        names: Sequence[str],
        size: Size,
        count: int | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> None:
        """`count` reads only the first so many; images of the other names may then be absent.

        `files` are those of a folder by the stem of their label map, where they are not called so.
        `numbering` is the sample of each file, by stem, where SIMS's numbers are their names.
        """
        self.directory = Path(directory)
        self.size = size
        files = _images_in(self.directory) if files is None else files
        self.numbering = numbered(files, names)
        files = {self.numbering.get(stem, stem): path for stem, path in files.items()}
        unread = set() if count is None else set(names[count:])
        names = names[:count]
        read = {stem: path for stem, path in files.items() if stem not in unread}
        _require_same_stems(self.directory, read, names)
        self._paths = [files[name] for name in names]
        _require_size(self.directory, self._paths, size)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Read (H, W, 3) RGB exactly as stored."""
        return read_photo(self._paths[index])

    def file_formats(self) -> str:
        """Name the kinds of file that the images are, by their content: "JPEG, PNG"."""
        return ", ".join(sorted({read_format(path) for path in self._paths}))

    def jpeg_encoding(self) -> tuple[JPEGEncoding | None, int]:
        """Return how the JPEG files among the images were encoded, and how many there are."""
        return encoding_of(self._paths)

    def content_sha256(self) -> str:
        """Hash stem and SHA-256 of the bytes of every file by SHA-256, in the order of stems."""
        digest = hashlib.sha256()
        for path in sorted(self._paths, key=lambda path: path.stem):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.stem} {content}\n".encode())
        return digest.hexdigest()


def _images_in(directory: Path) -> dict[str, Path]:
    if not directory.is_dir():
        kind = "is a file" if directory.exists() else "does not exist"
        raise UserError(f"{directory} {kind}; the folder of synthesized images was expected")
    files = files_by_stem(directory, PHOTO_EXTENSIONS)
    if not files:
        entries = sum(1 for _ in directory.iterdir())
        raise UserError(
            f"{directory} holds 0 images among {entries} entries; files ending in "
            f"{', '.join(PHOTO_EXTENSIONS)} were expected"
        )
    return files


def _require_same_stems(directory: Path, files: Mapping[str, Path], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in files]
    extra = sorted(set(files) - set(names))
    if not missing and not extra:
        return
    faults = []
    if missing:
        faults.append(f"{len(missing)} images are missing ({shortened(missing)})")
    if extra:
        faults.append(f"{len(extra)} belong to no sample ({shortened(extra)})")
    raise UserError(
        f"{directory}: {' and '.join(faults)}; {len(files)} images were found, one per sample of "
        f"the split was expected ({len(names)}, such as {names[0]}.png); name images after the "
        "label maps they were made from"
    )


def _require_size(directory: Path, paths: Sequence[Path], size: Size) -> None:
    by_size: dict[Size, list[Path]] = {}
    for path in paths:
        by_size.setdefault(read_size(path), []).append(path)
    if set(by_size) <= {size}:
        return
    expected = text_of_size(size)
    kinds = [
        f"{len(group)} of {text_of_size(present)} (such as {group[0].name})"
        for present, group in sorted(by_size.items(), key=lambda item: -len(item[1]))
    ]
    mixed = "images of different sizes, " if len(kinds) > 1 else ""
    raise UserError(
        f"{directory}: {mixed}{shortened(kinds)}, height x width, {expected} was expected; images "
        f"are scored as they are, so generate or resize them to {expected}"
    )
