# SPDX-License-Identifier: Apache-2.0
"""A small batch of label and instance maps that every network of this folder can be tried on."""

from collections.abc import Callable

import pytest
import torch

from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

MakeSemantics = Callable[..., SemanticMap]


@pytest.fixture
def layout() -> SemanticLayout:
    return SemanticLayout(num_classes=5, unknown="last", edges=True)


@pytest.fixture
def make_semantics(layout: SemanticLayout) -> MakeSemantics:
    """Blocks of random labels: (batch size, height, width) -> semantic map."""

    def make(batch_size: int = 2, height: int = 64, width: int = 64, seed: int = 0) -> SemanticMap:
        random = torch.Generator().manual_seed(seed)
        coarse = torch.randint(0, 5, (batch_size, height // 8, width // 8), generator=random)
        labels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
        instances = labels * 1000
        labels[:, :4, :4] = 255
        return SemanticMap(labels, layout, instances)

    return make
