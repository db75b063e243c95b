# SPDX-License-Identifier: Apache-2.0
"""The dataset `scenes` with so few samples a split that tests can go through all of them."""

from pathlib import Path

from spade_eval.datasets.scenes import Scenes
from spade_eval.models.labels import Size


def few_scenes(count: int) -> type[Scenes]:
    """An entry of `DATASETS`."""

    class FewScenes(Scenes):
        @classmethod
        def opened(cls, split: str, size: Size, data_root: Path) -> Scenes:
            return cls(split, size, length=count)

    return FewScenes
