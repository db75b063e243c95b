# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.cityscapes import Cityscapes
from spade_eval.datasets.cityscapes_classes import CLASS_NAMES, TRAIN_IDS
from spade_eval.datasets.tools.check import check_files
from spade_eval.errors import UserError

WriteCityscapes = Callable[..., None]
SIZE = (20, 40)


def test_classes() -> None:
    assert len(CLASS_NAMES) == 34
    assert sorted(number for number in TRAIN_IDS if number is not None) == list(range(19))
    assert [CLASS_NAMES[index] for index in (0, 7, 26, 33)] == [
        "unlabeled",
        "road",
        "car",
        "bicycle",
    ]


def test_frames_of_all_cities_are_paired(tmp_path: Path, write_cityscapes: WriteCityscapes) -> None:
    for name in ("ulm_000002_000019", "aachen_000010_000019", "ulm_000001_000019"):
        write_cityscapes(tmp_path, name)
    dataset = Cityscapes("val", SIZE, tmp_path)
    assert dataset.names == ["aachen_000010_000019", "ulm_000001_000019", "ulm_000002_000019"]
    sample = dataset[0]
    assert set(np.unique(sample.label_map)) == set(range(34))
    assert sample.instance_map is not None
    assert set(np.unique(sample.instance_map)) == {7, 26001, 33999, 65535}, "16 bits, no wrap"


def test_training_samples_are_flipped_but_not_cropped(
    tmp_path: Path, write_cityscapes: WriteCityscapes
) -> None:
    write_cityscapes(tmp_path, "ulm_000001_000019", split="train")
    dataset = Cityscapes("train", SIZE, tmp_path)
    plain = dataset[0].photo
    drawn = {dataset.training_sample(0, epoch, seed=0).photo.tobytes() for epoch in range(12)}
    assert drawn == {plain.tobytes(), plain[:, ::-1].tobytes()}


def test_instance_maps_are_optional_but_not_for_some(
    tmp_path: Path, write_cityscapes: WriteCityscapes
) -> None:
    write_cityscapes(tmp_path, "ulm_000001_000019", instances=False)
    assert not Cityscapes("val", SIZE, tmp_path).has_instances
    write_cityscapes(tmp_path, "ulm_000002_000019")
    with pytest.raises(UserError, match=r"instanceIds\.png: 1 files are missing .*ulm_000001"):
        Cityscapes("val", SIZE, tmp_path)


def test_train_id_files_are_refused_by_name_and_by_value(
    tmp_path: Path, write_cityscapes: WriteCityscapes
) -> None:
    name = "ulm_000001_000019"
    write_cityscapes(tmp_path, name, kind="labelTrainIds")
    with pytest.raises(UserError, match=r"labelTrainIds.*34 or 35 classes"):
        Cityscapes("val", SIZE, tmp_path)
    train_ids = np.resize(np.array([0, 18, 255], dtype=np.uint8), SIZE)
    path = tmp_path / "gtFine" / "val" / "ulm" / f"{name}_gtFine_labelIds.png"
    Image.fromarray(train_ids).save(path)
    with pytest.raises(UserError, match=r"255 were found, 0\.\.33 were expected; .*labelTrainIds"):
        Cityscapes("val", SIZE, tmp_path)[0]
    assert "labelTrainIds" in check_files(Cityscapes, tmp_path).problems[0]


def test_missing_partner_is_named(tmp_path: Path, write_cityscapes: WriteCityscapes) -> None:
    write_cityscapes(tmp_path, "ulm_000001_000019")
    write_cityscapes(tmp_path, "ulm_000002_000019")
    (tmp_path / "leftImg8bit" / "val" / "ulm" / "ulm_000002_000019_leftImg8bit.png").unlink()
    with pytest.raises(UserError, match=r"leftImg8bit\.png: 1 files are missing .*ulm_000002"):
        Cityscapes("val", SIZE, tmp_path)


def test_two_files_of_one_frame_are_refused(
    tmp_path: Path, write_cityscapes: WriteCityscapes
) -> None:
    write_cityscapes(tmp_path, "ulm_000001_000019")
    folder = tmp_path / "leftImg8bit" / "val" / "ulm"
    (folder / "ulm_000001_000019_copy_leftImg8bit.png").touch()
    with pytest.raises(UserError, match="share ulm_000001_000019"):
        Cityscapes("val", SIZE, tmp_path)
