# SPDX-License-Identifier: Apache-2.0
"""A split of a few scenes, as sources of somebody else's images are opened for it."""

import torch

from spade_eval.datasets.scenes import Scenes
from spade_eval.protocol import protocol_for
from spade_eval.sources.given import Split


def split_of(count: int = 4, first: int = 2, seed: int = 0) -> Split:
    dataset = Scenes("val", (64, 64), length=count)
    return Split(
        name="mine",
        dataset=dataset,
        count=count,
        first=range(first),
        device=torch.device("cpu"),
        seed=seed,
        protocol=protocol_for("in-domain", "scenes", None, None, None),
        training=lambda: Scenes("train", (64, 64), length=3),
    )
