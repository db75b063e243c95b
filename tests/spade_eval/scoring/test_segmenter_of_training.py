# SPDX-License-Identifier: Apache-2.0
"""A model of the suite says by itself whether a segmenter had a part in its training."""

from types import SimpleNamespace
from typing import Any

import pytest

from spade_eval.datasets.scenes import Scenes
from spade_eval.records import sha256_of_file
from spade_eval.scoring.in_domain import SHIPPED
from spade_eval.scoring.recording import segmenter_of_training


@pytest.mark.parametrize(
    ("perceptual", "scored_by", "found"),
    [
        ("none", "shipped", {"trained_with_segmenter": "none"}),
        ("lite0", "shipped", {"trained_with_segmenter": "none"}),
        ("in-domain", "shipped", {"trained_with_segmenter": "scoring"}),
        ("in-domain", "another", {"trained_with_segmenter": "related"}),
        (None, "shipped", {}),  # a training that nobody knows
    ],
)
def test_what_the_perceptual_loss_looked_through(
    perceptual: str | None, scored_by: str, found: dict[str, str]
) -> None:
    digest = sha256_of_file(SHIPPED["scenes"]) if scored_by == "shipped" else "0" * 64
    source: Any = SimpleNamespace(provenance={"train_perceptual": perceptual})
    networks: Any = SimpleNamespace(
        dataset=Scenes("val", (64, 64), length=1),
        resolved=SimpleNamespace(segmenter_sha256=digest),
    )
    assert segmenter_of_training(source, networks) == found
