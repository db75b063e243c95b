# SPDX-License-Identifier: Apache-2.0
"""Any program as a generator: label maps are files that it reads, images are files that it writes.

It is started once a batch, without a shell, in a process group of its own.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from spade_eval.datasets.images import ImageFolder
from spade_eval.datasets.jpeg import JPEGEncoding
from spade_eval.errors import UserError
from spade_eval.sources.map_batch import MapBatch
from spade_eval.sources.value_range import ValueRange

LABEL, INSTANCE, STYLE, OUT = "{label}", "{instance}", "{style}", "{out}"
DRAW = "{draw}"
_LAST_LINES, _LAST_BYTES = 3, 500


class Program:
    """A command whose words hold `{label}` and `{out}`, folders of one PNG a label map.

    Label maps are 8-bit ids with 255 where no class is known; `{instance}` is a folder of 16-bit
    ids, `{style}` one of photos where the row is given any, `{draw}` the number of the image, from
    0, where there are several of each label map. Raises `UserError` with the last lines
    that it wrote where it fails or takes too long.
    """

    value_range: ValueRange = "uint8"  # of PNG, and of every other kind of file that is read

    def __init__(
        self, name: str, command: str, seconds: float | None = None, with_photos: bool = False
    ) -> None:
        self.name, self.words, self.seconds = name, _words(name, command), seconds
        self._formats: set[str] = set()
        self.jpeg: JPEGEncoding | None = None  # of the first batch that has any
        self.num_jpeg = 0
        if self._wants(STYLE) != with_photos:
            raise UserError(
                f"program {name}: {STYLE} in a command and photos as --style-input belong together;"
                f" give both, as --style-input {name}='another photo', or none"
            )

    def __call__(self, batch: MapBatch) -> list[NDArray[np.uint8]]:
        """Return (H, W, 3) RGB images."""
        with tempfile.TemporaryDirectory(prefix="spade-eval-program-") as scratch:
            folders = {
                word: Path(scratch) / word.strip("{}") for word in (LABEL, INSTANCE, STYLE, OUT)
            }
            for folder in folders.values():
                folder.mkdir()
            _write(batch.label_map, np.uint8, batch.names, folders[LABEL])
            if self._wants(INSTANCE):
                _write(_instances(self.name, batch), np.uint16, batch.names, folders[INSTANCE])
            if batch.style is not None:
                photos = ((batch.style + 1) * 127.5).round().permute(0, 2, 3, 1)
                _write(photos, np.uint8, batch.names, folders[STYLE])
            draw = str(batch.draw)
            words = [_filled(word, folders).replace(DRAW, draw) for word in self.words]
            self._run(words, batch.names)
            return self._written(folders[OUT], batch)

    @property
    def file_format(self) -> str | None:
        """What kinds of file it has written so far."""
        return ", ".join(sorted(self._formats)) or None

    def require_draws(self, draws: int) -> None:
        """Refuse several images of each label map for a command that is not told which to make."""
        if draws > 1 and not self._wants(DRAW):
            raise UserError(
                f"--draws {draws}: the command of program {self.name} has no {DRAW}, so that it "
                f"would write the same image {draws} times; hand it the number, as a seed, by "
                f"{DRAW}"
            )

    def _wants(self, placeholder: str) -> bool:
        return any(placeholder in word for word in self.words)

    def _written(self, folder: Path, batch: MapBatch) -> list[NDArray[np.uint8]]:
        try:
            images = ImageFolder(folder, batch.names, batch.size)
        except UserError as error:
            raise UserError(f"program {self.name}, what it wrote into {OUT}: {error}") from error
        self._formats |= set(images.file_formats().split(", "))
        encoding, count = images.jpeg_encoding()
        self.jpeg, self.num_jpeg = self.jpeg or encoding, self.num_jpeg + count
        return [images[place] for place in range(len(images))]

    def _run(self, words: Sequence[str], names: Sequence[str]) -> None:
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise UserError(
                    f"program {self.name}: {words[0]} cannot be started ({error.strerror}); name "
                    "another program"
                ) from error
            try:
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired as error:
                raise UserError(
                    f"program {self.name}: no end after {self.seconds:g} s for the label maps from "
                    f"{names[0]} on, {_ending(said)}; give it more with --generator-timeout"
                ) from error
            finally:
                _end(process)
            if code:
                raise UserError(
                    f"program {self.name}: exit code {code} for the label maps from {names[0]} on, "
                    f"{_ending(said)}"
                )


def _words(name: str, command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"program {name}: {command!r} cannot be read ({error})") from error
    for placeholder in (LABEL, OUT):
        if not any(placeholder in word for word in words):
            raise UserError(
                f"program {name}: {command!r} has no {placeholder}; expected a command with "
                f"{LABEL} and {OUT}, the folders that it reads and writes"
            )
    if shutil.which(words[0]) is None:
        raise UserError(
            f"program {name}: there is no program {words[0]!r}; expected one in PATH, or its file"
        )
    return words


def _filled(word: str, folders: dict[str, Path]) -> str:
    for placeholder, folder in folders.items():
        word = word.replace(placeholder, str(folder))
    return word


def _write(maps: Tensor, kind: type, names: Sequence[str], folder: Path) -> None:
    for name, ids in zip(names, maps.cpu().numpy().astype(kind), strict=True):
        Image.fromarray(ids).save(folder / f"{name}.png")


def _instances(name: str, batch: MapBatch) -> Tensor:
    if batch.instance_map is None:
        raise UserError(
            f"program {name}: {INSTANCE} is asked for, but the dataset has no instance maps; leave "
            "it out"
        )
    most = int(batch.instance_map.max())
    if most >= 1 << 16:
        raise UserError(f"program {name}: instance id {most} does not fit into 16-bit files")
    return batch.instance_map


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that still runs, and those that it started: its process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ending(said: IO[bytes]) -> str:
    """Return the last lines of a program's output, of which no more than these are read."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _LAST_BYTES))
    lines = said.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
    return f"its last lines: {' | '.join(lines)}" if lines else "it said nothing"
