# SPDX-License-Identifier: Apache-2.0
"""What reaches a system besides its weights: label maps, photos, a style, and noise by name.

Noise is a pure function of where it is asked for (seed and image, or seed and step) and of a name,
never of a global random state: batching, resuming and the number of processes cannot move it.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.models.choices import NoisePer
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.distributed import ALONE

CPU = torch.device("cpu")
Floats = NDArray[np.float32]
_Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


@dataclass(frozen=True)
class _Stream:
    """Numbers for the rows of a batch that are drawn together, of which some are this process's."""

    words: tuple[int, ...]
    rows: int = 1
    taken: slice | None = None

    def draw(self, name: tuple[int, ...], shape: tuple[int, ...], draw: _Draw) -> Floats:
        sequence = np.random.SeedSequence((*self.words, *name))
        random = np.random.Generator(np.random.PCG64(sequence))
        return draw(random, (self.rows, *shape))[self.taken or slice(None)]


@dataclass(frozen=True)
class Noise:
    """Random numbers by name for the images of a batch; the same on every machine."""

    streams: tuple[_Stream, ...]
    # The name whose numbers are those of the bare stream: they were drawn before there were names.
    unnamed: str | None = None
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32

    @classmethod
    def of_images(
        cls,
        seed: int,
        indices: Sequence[int],
        draw: int = 0,
        device: torch.device = CPU,
    ) -> "Noise":
        """Return noise for scoring: row i depends on `seed`, `indices[i]` and `draw` alone."""
        streams = tuple(_Stream((seed, index, draw)) for index in indices)
        return cls(streams, unnamed="z", device=device)

    @classmethod
    def of_step(
        cls,
        seed: int,
        step: int,
        micro: int,
        rows: int,
        taken: slice | None = None,
        device: torch.device = CPU,
    ) -> "Noise":
        """Return noise for training: drawn for the `rows` images of all processes.

        `taken` are those of this process.
        """
        return cls((_Stream((seed, step, micro), rows, taken),), device=device)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Draw (N, *shape) from N(0, 1)."""
        return self._drawn(name, shape, lambda random, size: random.standard_normal(size, "f4"))

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Draw (N, *shape), uniform in [0, 1)."""
        return self._drawn(name, shape, _uniform)

    def uniform_of_step(self, name: str, *shape: int) -> Tensor:
        """Draw (*shape), uniform in [0, 1), once for all images and processes of a step."""
        (step,) = self.streams
        drawn = replace(step, rows=1, taken=None).draw(_code(name), shape, _uniform)
        return torch.from_numpy(drawn[0]).to(self.device, self.dtype)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Noise":
        """Return the same numbers on another device, in another float type."""
        return replace(self, device=device, dtype=dtype)

    def _drawn(self, name: str, shape: tuple[int, ...], draw: _Draw) -> Tensor:
        code = () if name == self.unnamed else _code(name)
        parts = [stream.draw(code, shape, draw) for stream in self.streams]
        return torch.from_numpy(np.concatenate(parts)).to(self.device, self.dtype)


def _code(name: str) -> tuple[int]:
    return (zlib.crc32(name.encode()),)


def _uniform(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return random.random(shape, "f4")


@dataclass(frozen=True)
class Style:
    """Photos whose look is to be taken, with the label maps that belong to them."""

    photos: Tensor  # (N, 3, H, W) in [-1, 1]
    semantics: SemanticMap

    def to(self, dtype: torch.dtype) -> "Style":
        """Return the same photos and maps as floats of another type."""
        return Style(self.photos.to(dtype), self.semantics.to(dtype=dtype))


@dataclass(frozen=True)
class Inputs:
    """All that a system may look at to synthesize a batch; nothing else reaches it."""

    semantics: SemanticMap
    noise: Noise
    style: Style | None = None  # one photo for each image; given only where the run allows it
    noise_per: NoisePer = "image"  # read by systems that name more in `noise_levels`
    shows_progress: bool = False  # of methods whose images take many passes through a network

    def to(self, dtype: torch.dtype) -> "Inputs":
        """Return the same inputs as floats of another type."""
        style = None if self.style is None else self.style.to(dtype)
        noise = self.noise.to(self.noise.device, dtype)
        semantics = self.semantics.to(dtype=dtype)
        return replace(self, semantics=semantics, noise=noise, style=style)


@dataclass(frozen=True)
class Batch:
    """Label maps and photos of one micro batch, and the noise of its step."""

    semantics: SemanticMap
    photos: Tensor  # (N, 3, H, W) in [-1, 1]; of other scenes where the system trains unpaired
    noise: Noise
    mirrored: Tensor | None = None  # (N,) bool, on the CPU: samples mirrored left to right
    made: dict[str, Any] = field(default_factory=dict)  # what an update leaves for the next one
    # Sums integers over the processes that share the batch, so that statistics are the batch's.
    summed: Callable[[Tensor], Tensor] = ALONE.summed
    # Its rows of what is made of the rows of all those processes; see `World.together`.
    together: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor] = ALONE.together
