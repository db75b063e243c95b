# SPDX-License-Identifier: Apache-2.0
"""The data set `scenes`: train and val splits of a procedural outdoor world, at any size.

Sample i is a pure function of (seed, split, i, size): three independent streams of random numbers,
named by integers, draw the layout, the style of its photo and the style of the oracle's photo.
"""

import hashlib
import json
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.base import Facts, Sample
from spade_eval.datasets.flips import perhaps_mirrored
from spade_eval.datasets.scenes.classes import LABEL_SPACE
from spade_eval.datasets.scenes.layout import draw_layout
from spade_eval.datasets.scenes.render import render
from spade_eval.datasets.scenes.style import draw_style
from spade_eval.errors import UserError
from spade_eval.models.labels import Size

VERSION = 1
"""Of the generator: raise it with every change of a pixel, for scores before and after differ."""

LENGTHS = {"train": 4000, "val": 500}
_LAYOUT, _PHOTO, _ORACLE = range(3)  # 3 draws flips
_SMALLEST = 16  # below, most things are less than a pixel


class Scenes(Facts):
    """One split of the procedural world; it holds no data and computes each sample when asked."""

    name = "scenes"
    label_space = LABEL_SPACE
    has_instances = True
    budgets: ClassVar = MappingProxyType({
        "smoke": {"size": (64, 64), "steps": 10, "segmenter_steps": 1, "segmenter_batch_size": 16,
                  "val_limit": 40},
        "default": {"size": (64, 64), "steps": 300, "batch_size": 8, "width": 0.125,
                    "rate_scale": 4.0, "segmenter_steps": 2000},
        # Chosen by pilots: docs/ablations.md.
        "miniature": {"size": (64, 64), "steps": 1000, "batch_size": 8, "width": 0.125,
                      "rate_scale": 4.0, "ema_decay": 0.99, "perceptual": "lite0",
                      "channels_last": True, "one_synthesis": True, "segmenter_steps": 2000},
        "large": {"size": (128, 128), "segmenter_steps": 2000},
        "paper": None,
    })  # fmt: skip

    def __init__(
        self,
        split: str,
        size: Size = (128, 128),
        seed: int = 0,
        length: int | None = None,
        first: int = 0,
    ) -> None:
        """Take samples from number `first` on: from `LENGTHS` on they are new to everybody."""
        if split not in LENGTHS:
            raise UserError(f"scenes has no split {split!r}; choose one of {', '.join(LENGTHS)}")
        if min(size) < _SMALLEST:
            raise UserError(f"size {size[0]}x{size[1]} is too small for scenes; use 16x16 or more")
        if seed < 0:
            raise UserError(f"seed {seed} is negative; scenes takes seeds from 0")
        if length is not None and length < 1:
            raise UserError(f"length {length} leaves scenes empty; ask for 1 sample or more")
        self.split = split
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        self._length = LENGTHS[split] if length is None else length
        self.first = first

    @classmethod
    def opened(cls, split: str, size: Size, data_root: Path) -> "Scenes":
        """Return a split as the suite scores it; nothing is read from the data root."""
        return cls(split, size)

    def __len__(self) -> int:
        return self._length

    @property
    def names(self) -> list[str]:
        """Stems in split order: "train_00000" and on."""
        return [self._name(index) for index in range(len(self))]

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; negative indices count from the end."""
        index = self._checked(index)
        label_map, instance_map = self._maps(index)
        photo = self._photo(label_map, instance_map, index, _PHOTO)
        return Sample(
            name=self._name(index), label_map=label_map, instance_map=instance_map, photo=photo
        )

    def training_sample(self, index: int, epoch: int, seed: int) -> Sample:
        """Sample `index`, mirrored or not as (seed, epoch, index) draw."""
        return perhaps_mirrored(self[index], self._checked(index), epoch, seed)

    def oracle_photo(self, index: int) -> NDArray[np.uint8]:
        """Render (H, W, 3) RGB: the maps of sample `index` in a style and light drawn afresh."""
        index = self._checked(index)
        return self._photo(*self._maps(index), index, _ORACLE)

    def fingerprint(self) -> str:
        """Hash all that the samples depend on (SHA-256)."""
        content = {
            "dataset": self.name,
            "version": VERSION,
            "seed": self.seed,
            "split": self.split,
            "size": self.size,
            "length": len(self),
            **({"first": self.first} if self.first else {}),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _name(self, index: int) -> str:
        return f"{self.split}_{self.first + index:05d}"

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a split of {len(self)}")
        return index % len(self)

    def _stream(self, index: int, purpose: int) -> np.random.Generator:
        key = [self.seed, list(LENGTHS).index(self.split), self.first + index, purpose]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def _maps(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        return draw_layout(self.size, self._stream(index, _LAYOUT))

    def _photo(
        self,
        label_map: NDArray[np.uint8],
        instance_map: NDArray[np.int32],
        index: int,
        purpose: int,
    ) -> NDArray[np.uint8]:
        rng = self._stream(index, purpose)
        return render(label_map, instance_map, draw_style(rng), rng)
