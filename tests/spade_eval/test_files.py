# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all; what stood there is kept, and nothing else lies about."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spade_eval.errors import UserError
from spade_eval.files import locked, replaced


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


HOLDER = """
import pathlib, sys, time
from spade_eval.files import locked
with locked(pathlib.Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_names_its_process_and_ends_with_it_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "run" / "locks" / "spade.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), "--seed", "7"], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError) as told, locked(path, wait=False):
            pass
        assert f"process {holder.pid} on " in str(told.value)
        assert "--seed 7" in str(told.value)
        assert f"at work on spade in {tmp_path / 'run'}" in str(told.value)
        holder.kill()
        holder.wait()
    with locked(path, wait=False):
        assert path.read_text().startswith("process ")
    assert path.read_text() == ""


def test_a_file_system_without_locks_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    path = tmp_path / "locks" / "spade.lock"
    with locked(path, wait=False), locked(path, wait=True):
        assert path.read_text().startswith("process ")


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("named"), replace(*paths)))
    with replaced(tmp_path / "config.json", durable=durable) as temporary:
        temporary.write_text("{}")
    inode = (tmp_path / "config.json").stat().st_ino
    assert steps == ([inode, "named"] if durable else ["named"])
