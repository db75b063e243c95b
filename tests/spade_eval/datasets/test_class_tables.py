# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spade_eval.batches import layout_of
from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.class_tables import CLASS_TABLES
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.segmenters import label_spaces


def test_a_wrong_name_is_answered_with_the_nearest(
    tmp_path: Path, write_ade: Callable[..., str]
) -> None:
    write_ade(tmp_path, 1, [1])
    ade = Ade20k("val", (20, 30), tmp_path)
    with pytest.raises(UserError, match="no layout of ade20k is called 'spad'; did you mean spade"):
        layout_of(ade, "spad")


def test_edges_need_instance_maps(tmp_path: Path, write_sample: Callable[..., Any]) -> None:
    write_sample(tmp_path, "000001", instances=False)
    dataset = CocoStuff("val", (32, 32), tmp_path)
    assert layout_of(dataset).num_labels == 183


def test_other_datasets_follow_the_conventions() -> None:
    scenes = Scenes("val", (32, 32), length=1)
    space = scenes.label_space
    assert layout_of(scenes).num_labels == space.num_classes + space.has_unlabelled + 1
    assert not layout_of(scenes, "oasis").edges


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
