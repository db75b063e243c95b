# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all; what stood there is kept, and nothing else lies about."""

from pathlib import Path

import pytest

from spade_eval.files import replaced


def test_the_former_file_is_kept_and_a_killed_ones_rest_is_written_over(tmp_path: Path) -> None:
    path, former = tmp_path / "new folder" / "state", tmp_path / "new folder" / "former"
    for text in ("first", "second"):
        with replaced(path, former) as temporary:
            assert temporary.name.startswith("."), "no listing takes it for data"
            temporary.write_text(text)
            rest = temporary
    rest.write_text("as a kill leaves it, longer than the next")
    with replaced(path, former) as temporary:
        temporary.write_text("third")
    assert (path.read_text(), former.read_text()) == ("third", "second")
    assert {item.name for item in path.parent.iterdir()} == {"state", "former"}


def test_a_full_disk_is_named_by_the_file_and_changes_none(tmp_path: Path) -> None:
    path, former = tmp_path / "state", tmp_path / "former"
    path.write_text("last")
    former.write_text("before")

    def fill_the_disk() -> None:
        with replaced(path, former) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as full:
        fill_the_disk()
    assert full.value.filename == str(path)
    assert (path.read_text(), former.read_text()) == ("last", "before")
    assert {item.name for item in tmp_path.iterdir()} == {"state", "former"}


def test_two_processes_write_into_two_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shared"
    with replaced(path) as first:
        first.write_text("first")
        with monkeypatch.context() as other:
            other.setattr("os.getpid", lambda: 1)
            with replaced(path) as second:
                second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
