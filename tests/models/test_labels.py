# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest
import torch

from spade_eval.models.labels import LAYOUTS
from spade_eval.models.semantics import SemanticMap

PUBLISHED = {
    ("cocostuff", "spade"): 184,
    ("cocostuff", "oasis"): 183,
    ("cocostuff", "sdm"): 184,
    ("ade20k", "spade"): 151,
    ("ade20k", "oasis"): 151,
    ("ade20k", "sdm"): 151,
    ("cityscapes", "spade"): 36,
    ("cityscapes", "oasis"): 35,
    ("cityscapes", "sdm"): 36,
}


@pytest.mark.parametrize(("dataset", "name"), PUBLISHED)
def test_channels_are_the_published_ones(dataset: str, name: str) -> None:
    assert LAYOUTS[dataset][name].num_labels == PUBLISHED[dataset, name]


@pytest.mark.parametrize(
    ("dataset", "name", "channels"),
    [
        ("ade20k", "spade", [0, 1, 150]),  # the values of the files
        ("ade20k", "sdm", [150, 0, 149]),
        ("cocostuff", "spade", [182, 0, 149]),
        ("cocostuff", "oasis", [0, 1, 150]),
    ],
)
def test_where_unlabelled_first_and_150th_class_go(
    dataset: str, name: str, channels: list[int]
) -> None:
    layout = dataclasses.replace(LAYOUTS[dataset][name], edges=False)
    labels = torch.tensor([[[255, 0, 149]]])
    assert SemanticMap(labels, layout).labels_at((1, 3)).tolist() == [[channels]]


def test_cityscapes_ids_are_their_channels() -> None:
    labels = torch.tensor([[[0, 33]]])
    full = SemanticMap(labels, LAYOUTS["cityscapes"]["oasis"]).full
    assert full[0, 0, 0, 0] == full[0, 33, 0, 1] == 1
    assert full[0, 34].sum() == 0
