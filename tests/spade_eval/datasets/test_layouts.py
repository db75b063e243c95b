# SPDX-License-Identifier: Apache-2.0
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.cityscapes import Cityscapes
from spade_eval.datasets.class_tables import CLASS_TABLES
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.layouts import LAYOUTS, layout_for, require_channels
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.models.semantics import SemanticLayout, SemanticMap
from spade_eval.segmenters import label_spaces

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


def semantic_layout(dataset: str, name: str) -> SemanticLayout:
    return SemanticLayout(**dataclasses.asdict(LAYOUTS[dataset][name]))


@pytest.mark.parametrize(("dataset", "name"), PUBLISHED)
def test_channels_are_the_published_ones(dataset: str, name: str) -> None:
    parameters = LAYOUTS[dataset][name]
    assert parameters.num_labels == PUBLISHED[dataset, name]
    assert semantic_layout(dataset, name).num_labels == parameters.num_labels


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
    layout = dataclasses.replace(semantic_layout(dataset, name), edges=False)
    labels = torch.tensor([[[255, 0, 149]]])
    assert SemanticMap(labels, layout).labels_at((1, 3)).tolist() == [[channels]]


def test_cityscapes_ids_are_their_channels() -> None:
    labels = torch.tensor([[[0, 33]]])
    full = SemanticMap(labels, semantic_layout("cityscapes", "oasis")).full
    assert full[0, 0, 0, 0] == full[0, 33, 0, 1] == 1
    assert full[0, 34].sum() == 0


def test_channels_are_checked_with_the_names_that_fit(
    tmp_path: Path, write_ade: Callable[..., str], write_cityscapes: Callable[..., None]
) -> None:
    write_ade(tmp_path, 1, [1])
    ade = Ade20k("val", (20, 30), tmp_path)
    assert require_channels(ade, "sdm", 151).unknown == "last"
    with pytest.raises(UserError, match=r"takes 184 channels, .* has 151 .*: none"):
        require_channels(ade, "spade", 184)
    with pytest.raises(UserError, match="no layout of ade20k is called 'spad'; did you mean spade"):
        layout_for(ade, "spad")
    write_cityscapes(tmp_path, "ulm_000001_000019")
    with pytest.raises(UserError, match=r"takes 35 channels, .* has 36 .*layouts with 35: oasis"):
        require_channels(Cityscapes("val", (20, 40), tmp_path), "spade", 35)


def test_missing_instance_maps_are_named_as_the_cause(
    tmp_path: Path, write_sample: Callable[..., Any]
) -> None:
    write_sample(tmp_path, "000001", instances=False)
    dataset = CocoStuff("val", (32, 32), tmp_path)
    assert layout_for(dataset).num_labels == 183
    with pytest.raises(UserError, match=r"with instance maps, which are missing: spade, sdm"):
        require_channels(dataset, "spade", 184)


def test_other_datasets_follow_the_conventions() -> None:
    scenes = Scenes("val", (32, 32), length=1)
    space = scenes.label_space
    assert layout_for(scenes).num_labels == space.num_classes + space.has_unlabelled + 1
    assert not layout_for(scenes, "oasis").edges


def test_class_tables_agree_with_the_segmenters() -> None:
    ade, city, coco = (CLASS_TABLES[name] for name in ("ade20k", "cityscapes", "cocostuff"))
    assert [label_spaces.ADE20K.classes[value] for value in ade.file_values] == list(range(150))
    train_ids = [255 if number is None else number for number in city.numberings["train id"]]
    assert [label_spaces.CITYSCAPES.classes[value] for value in city.file_values] == train_ids
    used = [k for k, number in enumerate(coco.numberings["171 classes"]) if number is not None]
    assert used == list(label_spaces.COCO_STUFF_USED)


@pytest.mark.parametrize("name", sorted(CLASS_TABLES))
def test_class_tables_are_whole(name: str) -> None:
    table = CLASS_TABLES[name]
    count = len(table.class_names)
    assert len(table.colours) == count == len(set(table.palette))
    assert {len(numbers) for numbers in table.numberings.values()} == {count}
    assert set(table.unlabelled) == set(table.numberings)
    for numbers in table.numberings.values():
        given = [number for number in numbers if number is not None]
        assert given == sorted(set(given)) or name == "cityscapes"
    lines = list(table.lines())
    assert len(lines) == count + 2
    assert (
        len(
            {
                len(line) - len(name)
                for line, name in zip(lines[1:], table.class_names, strict=False)
            }
        )
        == 1
    )
