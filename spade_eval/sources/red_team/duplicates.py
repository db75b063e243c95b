# SPDX-License-Identifier: Apache-2.0
"""Ten images, again and again."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from spade_eval.batches import photos
from spade_eval.datasets.base import Sample
from spade_eval.sources.red_team.base import Cheat
from spade_eval.sources.red_team.nearest_maps import NearestMaps

_IMAGES = 10


class Duplicates(Cheat):
    """A generator whose modes have collapsed."""

    name = "duplicates"
    about = (
        f"knows {_IMAGES} images, the first val photos, and gives the one whose label map agrees "
        "in most pixels"
    )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"cheat": self.name}

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return photos([self._pool.of(sample) for sample in samples]).float() / 255

    @cached_property
    def _pool(self) -> NearestMaps:
        return NearestMaps(self.loot.dataset, range(min(_IMAGES, self.loot.count)))
