# SPDX-License-Identifier: Apache-2.0
"""`scenes` with its samples kept in a file: rendering takes a tenth of a training step on a CPU.

One record a sample, at a place that its index gives: checksum, label map, instance map, photo. A
record that is missing or torn does not have its checksum and is rendered, so several processes may
share a file, and a kill or a full disk costs time only.
"""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from spade_eval.datasets.base import Sample
from spade_eval.datasets.scenes.dataset import Scenes

_CHECKSUM_BYTES = 4
_PIXEL_BYTES = 1 + 4 + 3  # uint8 label, int32 instance, three uint8 colours
MOST_BYTES = 4 << 30
"""A split that would take more is rendered every time."""


class StoredScenes(Scenes):
    """The same samples, bit for bit; those that were asked for before come from the file."""

    def __init__(self, scenes: Scenes, folder: Path) -> None:
        super().__init__(scenes.split, scenes.size, scenes.seed, len(scenes))
        height, width = self.size
        self._pixels = height * width
        self._record_bytes = _CHECKSUM_BYTES + _PIXEL_BYTES * self._pixels
        name = f"{self.name}-{self.split}-{height}x{width}-{self.fingerprint()[:16]}.samples"
        self.path = folder / name

    def __getitem__(self, index: int) -> Sample:
        index = self._checked(index)
        stored = self._read(index)
        return self._render(index) if stored is None else stored

    def fill(self, indices: Iterable[int]) -> None:
        """Render those of the samples that are not in the file, and write them there."""
        if len(self) * self._record_bytes > MOST_BYTES:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for index in indices:
            if self._read(index) is None and not self._write(index, self._render(index)):
                return

    def _render(self, index: int) -> Sample:
        return super().__getitem__(index)

    def _read(self, index: int) -> Sample | None:
        try:
            with self.path.open("rb", buffering=0) as file:
                record = os.pread(file.fileno(), self._record_bytes, index * self._record_bytes)
        except OSError:
            return None
        content = record[_CHECKSUM_BYTES:]
        if len(record) < self._record_bytes or _checksum(content) != record[:_CHECKSUM_BYTES]:
            return None
        pixels, size = self._pixels, self.size
        values = np.frombuffer(content, np.uint8)
        return Sample(
            name=self._name(index),
            label_map=values[:pixels].reshape(size),
            instance_map=values[pixels : 5 * pixels].view("<i4").reshape(size),
            photo=values[5 * pixels :].reshape(*size, 3),
        )

    def _write(self, index: int, sample: Sample) -> bool:
        """Write a sample and return whether there was room."""
        assert sample.instance_map is not None
        content = (
            sample.label_map.tobytes()
            + sample.instance_map.astype("<i4").tobytes()
            + sample.photo.tobytes()
        )
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, _checksum(content) + content, index * self._record_bytes)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def _checksum(content: bytes) -> bytes:
    # Of zeros, such as a hole in the file holds, it is not zero.
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little")
