# SPDX-License-Identifier: Apache-2.0
"""Positional maps of label files: from the files that `data prepare` writes, or computed.

They are those of the label map as stored, and are placed with it. A file is taken where the mark of
its folder says that it was made of this very label file, and it has the size of it; any other is
left alone and the map computed, so that no file decides a number.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.json_fields import parsed_json
from spade_eval.models.labels import IGNORE_INDEX, SemanticLayout, layouts_of
from spade_eval.models.positions import positional_map

MARK = ".made_by_spade_eval.json"
SOURCES = "sources"  # in the mark: SHA-256 of what each file was made from, by stem

Positions = Callable[[], NDArray[np.float32]]
"""Makes (2, H, W), in [-1, 1]: only some networks ask for them."""


def skipped_value(layouts: Mapping[str, SemanticLayout], num_classes: int) -> int:
    """Return the label value without positions: that of channel 0, as in the published files."""
    known = layouts_of(layouts, num_classes, has_unlabelled=True, has_instances=False)
    return IGNORE_INDEX if known["spade"].unknown == "first" else 0


@dataclass(frozen=True)
class PositionalMaps:
    """Those of one split; each folder's mark is read once."""

    skipped: int
    _marks: dict[Path, Mapping[str, str]] = field(default_factory=dict)

    def of(
        self, stem: str, label_file: Path, stored: Path, label_map: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Return (2, H, W) of label values (H, W), from the file `stored` where it is theirs."""
        made_from = self._sources(stored.parent).get(stem)
        if made_from and made_from == hashlib.sha256(label_file.read_bytes()).hexdigest():
            found = read_positions(stored, label_map.shape)
            if found is not None:
                return found
        return positional_map(label_map, self.skipped)

    def _sources(self, folder: Path) -> Mapping[str, str]:
        if folder not in self._marks:
            self._marks[folder] = sources_in(folder)
        return self._marks[folder]


def sources_in(folder: Path) -> Mapping[str, str]:
    """Return what the files in a folder were made from, as far as its mark tells."""
    with suppress(OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return dict(parsed_json((folder / MARK).read_bytes())[SOURCES].items())
    return {}


def encoded(positions: NDArray[np.float32]) -> bytes:
    """Return (2, H, W) as the content of an .npy file."""
    return _header(positions.shape) + positions.astype("<f4").tobytes()


def read_positions(path: Path, size: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Read (2, H, W) of label maps of this size; None unless that is what the file holds."""
    header = _header((2, *size))
    expected = len(header) + 4 * 2 * int(np.prod(size))
    try:
        if path.stat().st_size != expected:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != expected or not content.startswith(header):
        return None
    values = np.frombuffer(content, "<f4", offset=len(header)).reshape(2, *size)
    return values if np.abs(values).max(initial=0) <= 1 else None


def _header(shape: tuple[int, ...]) -> bytes:
    """Return what an .npy file of float32 in C order begins with."""
    text = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(text, described)
    return text.getvalue()
