# SPDX-License-Identifier: Apache-2.0
"""Zips of images: flat, bounded, inside their folder."""

import zipfile
from pathlib import Path

import pytest

from spade_eval.errors import UserError
from spade_eval.sources.zipped_images import unpack_images


def unpacked(tmp_path: Path, *members: tuple[str, bytes]) -> dict[str, bytes]:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    folder = tmp_path / "inside" / "folder"
    folder.mkdir(parents=True)
    unpack_images(tmp_path / "a.zip", folder)
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - {tmp_path / "a.zip"}
    assert {path.parent for path in written} <= {folder}
    return {path.name: path.read_bytes() for path in written}


def test_images_come_out_flat_and_alone(tmp_path: Path) -> None:
    found = unpacked(
        tmp_path, ("out/", b""), ("out/a.png", b"1"), ("out/b.JPG", b"2"), ("out/readme.txt", b"3"),
        ("__MACOSX/out/._a.png", b"4"),
    )  # fmt: skip
    assert found == {"a.png": b"1", "b.JPG": b"2"}


@pytest.mark.parametrize("name", ["../up.png", "/root.png", "a/../../up.png"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    assert list(unpacked(tmp_path, (name, b"1"))) == [Path(name).name]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'a\.png' is there twice"):
        unpacked(tmp_path, ("x/a.png", b"1"), ("y/a.png", b"2"))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unpack to"):
        unpacked(tmp_path, ("a.png", bytes(200 << 20)))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(UserError, match=r"b\.zip: not a zip of images"):
        unpack_images(tmp_path / "b.zip", tmp_path)


@pytest.mark.parametrize("form", ["{}/a.png", "out/group_{}/a.png"])
def test_folders_of_draws_stay(tmp_path: Path, form: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(2):
            archive.writestr(form.format(number), bytes([number]))
    folder = tmp_path / "folder"
    folder.mkdir()
    unpack_images(tmp_path / "a.zip", folder)
    found = {path.parent.name[-1]: path.read_bytes() for path in folder.rglob("*.png")}
    assert found == {"0": b"\0", "1": b"\1"}
    assert all(path.parent.parent == folder for path in folder.rglob("*.png"))
