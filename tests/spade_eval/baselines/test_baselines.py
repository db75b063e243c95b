# SPDX-License-Identifier: Apache-2.0
"""The baselines that ship: as listed, together no larger than a clone should carry."""

import json
from pathlib import Path
from typing import Any

import pytest

from spade_eval import baselines
from spade_eval.baselines import FOLDER, LIST, MOST_BYTES, fitting, open_baseline, shipped
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_description
from spade_eval.records import sha256_of_file

ROW: dict[str, Any] = {
    "name": "spade", "file": "spade.safetensors", "sha256": "0" * 64, "command": "python",
    "train": {"dataset": "scenes", "size": [64, 64], "seed": 0}, "train_config_sha256": "1",
    "checkpoint_rule": "last", "weights": "plain", "source_sha256": "2", "made_on": {},
    "chosen_by": "miou", "seeds": {"0": 0.5}, "scored": {}, "scores": {"miou": 0.5}, "half": {},
}  # fmt: skip


def write(folder: Path, *rows: dict[str, Any]) -> None:
    (folder / LIST).write_text(json.dumps({"baselines": rows}))


def test_what_ships_is_as_listed_and_small() -> None:
    files = [path for path in FOLDER.iterdir() if path.suffix in (".safetensors", ".json")]
    weights = [path for path in files if path.name != LIST]
    assert sum(path.stat().st_size for path in weights) <= MOST_BYTES
    listed = {name for item in shipped().values() for name in item.files}
    assert {path.name for path in files} == {LIST, *listed}


def test_what_ships_was_trained_on_this_version_of_the_data() -> None:
    for item in shipped().values():
        described = load_description(item.path())
        assert described["train"] == item.train
        assert described["train_config_sha256"] == item.train_config_sha256
        if item.train["dataset"] == "scenes":
            assert item.train["dataset_sha256"] == Scenes("train", item.size).fingerprint()
            assert open_baseline(item.name, Scenes("val", item.size)).network is not None


def test_only_what_was_trained_at_this_size_fits(own_folder: Path) -> None:
    write(own_folder, ROW, {**ROW, "name": "wide", "train": {**ROW["train"], "size": [64, 128]}})
    assert list(fitting("scenes", (64, 64))) == ["spade"]
    assert fitting("scenes", (64, 64))["spade"].row == "spade (shipped)"
    assert list(fitting("scenes", (64, 128))) == ["wide"]
    assert fitting("cocostuff", (64, 64)) == {}
    with pytest.raises(UserError, match="no baseline 'wide' ships for scenes at 64x64"):
        open_baseline("wide", Scenes("val", (64, 64)))


def test_a_file_that_is_absent_or_changed_is_refused(own_folder: Path) -> None:
    write(own_folder, ROW)
    with pytest.raises(UserError, match=r"is absent beside baselines\.json"):
        shipped()["spade"].path()
    (own_folder / "spade.safetensors").write_bytes(b"changed")
    with pytest.raises(UserError, match="has another SHA-256 than"):
        open_baseline("spade", Scenes("val", (64, 64)))
    sound = sha256_of_file(own_folder / "spade.safetensors")
    write(own_folder, {**ROW, "sha256": sound, "encoder_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"spade-encoder\.safetensors is absent beside"):
        shipped()["spade"].path()


@pytest.mark.parametrize(
    "change",
    [{"file": "../x.safetensors"}, {"file": "a\\b"}, {"seeds": {"0": "x"}}, {"more": 1},
     {"train": {}}, {"train": {"dataset": "scenes", "size": [64]}}],
)  # fmt: skip
def test_a_list_that_was_changed_is_refused(change: dict[str, Any], own_folder: Path) -> None:
    write(own_folder, {**ROW, **change})
    with pytest.raises(UserError, match="is not the list of the baselines that ship"):
        baselines.shipped()


def test_no_list_and_other_json_are_refused(own_folder: Path) -> None:
    for text in ("", "[]", '{"baselines": [1]}', '{"baselines": [{"name": "x"}]}'):
        (own_folder / LIST).write_text(text)
        with pytest.raises(UserError, match="install the suite again"):
            shipped()
