# SPDX-License-Identifier: Apache-2.0
"""The description that a check proposes is accepted by the check, whatever the layout."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spade_eval.datasets.folder import Folder
from spade_eval.datasets.folder_description import FILE_NAME
from spade_eval.datasets.tools.check import check_files
from spade_eval.datasets.tools.proposal import propose
from spade_eval.errors import UserError

FORMS = ("{name}/{split}", "{split}/{name}", "{split}_{name}", "{name}")
SPELLED = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
STEMS = {"train": ("a", "b", "caf\u00e9"), "val": ("c", "d e")}


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, tuple[str, dict[str, str], str]]:
    """For each role its folder, the names of its splits in it, and a folder inside or none."""
    roles = {"photos": ("images", "imgs"), "labels": ("labels", "masks", "ids")}
    if draw(st.booleans()):
        roles["instances"] = ("instances", "inst")
    return {
        role: (
            draw(st.sampled_from(FORMS)).replace("{name}", draw(st.sampled_from(names))),
            {split: draw(st.sampled_from(spelled)) for split, spelled in SPELLED.items()},
            draw(st.sampled_from(["", "part1", "part1/more"])),
        )
        for role, names in roles.items()
    }


@given(
    layouts(),
    st.lists(st.sampled_from([0, 1, 2, 9, 200, 254, 255, 300, 40000]), min_size=1, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_a_proposal_is_accepted(
    roles: dict[str, tuple[str, dict[str, str], str]], values: list[int]
) -> None:
    ids = np.resize(np.array(values, np.uint16 if max(values) > 255 else np.uint8), (4, 4))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for role, (pattern, spelled, inside) in roles.items():
            array = np.zeros((4, 4, 3), np.uint8) if role == "photos" else ids
            for split, stems in STEMS.items():
                place = root / pattern.replace("{split}", spelled[split]) / inside
                for stem in stems:
                    write(place / f"{stem}.png", array)
                    (place / f"._{stem}.png").write_bytes(b"\0\5\x16\7")
        (root / FILE_NAME).write_text(propose(root).toml, encoding="utf-8")
        report = check_files(Folder, root)
        masks = [line for line in report.problems if "black and white" not in line]
        assert masks == []
        assert sum(split.num_samples for split in report.splits) == 5
        has_instances = {split.num_instance_maps > 0 for split in report.splits}
        assert has_instances == {"instances" in roles}


def test_a_split_may_be_absent(tmp_path: Path) -> None:
    for folder, values in (("images", np.zeros((4, 4, 3), np.uint8)), ("labels", np.eye(4))):
        write(tmp_path / folder / "val" / "a.png", values.astype(np.uint8))
    (tmp_path / FILE_NAME).write_text(propose(tmp_path).toml)
    assert check_files(Folder, tmp_path).problems == []


def test_instance_maps_of_some_samples_are_left_out(tmp_path: Path) -> None:
    for folder, stems in (("images", "abc"), ("labels", "abc"), ("instances", "ab")):
        for stem in stems:
            write(tmp_path / folder / f"{stem}.png", np.zeros((4, 4), np.uint8))
    proposal = propose(tmp_path)
    assert "hint: instances has not one file for each label map" in "\n".join(proposal.lines())
    assert "instances" not in proposal.toml


def test_more_values_than_classes_can_be_get_no_description(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", np.zeros((20, 20), np.uint8))
    write(tmp_path / "labels" / "a.png", np.arange(400, dtype=np.uint16).reshape(20, 20))
    lines = propose(tmp_path).lines()
    assert lines[-1] == "problem: 254 classes at most can be described"


@pytest.mark.parametrize("ending", [".npy", ".jpg"])
def test_label_files_of_another_format_are_named(tmp_path: Path, ending: str) -> None:
    write(tmp_path / "images" / "a.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / f"a{ending}").touch()
    with pytest.raises(UserError, match=rf"labels: no label maps .* 1 \{ending} files were found"):
        propose(tmp_path)


def test_a_root_below_is_named(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    with pytest.raises(UserError, match=r"or give --data-root .*mine$"):
        propose(tmp_path)
