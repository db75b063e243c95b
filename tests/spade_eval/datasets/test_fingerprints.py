# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spade_eval.datasets import fingerprints
from spade_eval.datasets.files import UnreadableImageError
from spade_eval.datasets.fingerprints import content_hashes

Reads = list[str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; files need not have rested before their hashes are remembered."""
    monkeypatch.setattr(fingerprints, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(fingerprints, "SETTLED_NS", 0)
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Names of the files whose content has been read."""
    names: Reads = []
    read = fingerprints._sha256

    def counted(path: Path) -> str:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(fingerprints, "_sha256", counted)
    return names


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "data" / name for name in ("a.png", "b.png")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def expected(paths: list[Path]) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_files_are_read_once(cache: Path, reads: Reads, paths: list[Path]) -> None:
    assert content_hashes(paths) == expected(paths)
    assert content_hashes(paths) == expected(paths)
    assert sorted(reads) == ["a.png", "b.png"]
    assert len(list(cache.iterdir())) == 1


def test_parts_of_a_folder_share_its_memory(cache: Path, reads: Reads, paths: list[Path]) -> None:
    for part in (paths[:1], paths[1:], paths):
        assert content_hashes(part) == expected(part)
    assert reads == ["a.png", "b.png"]


def test_the_memory_of_a_folder_is_read_once(
    cache: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not once a file, which takes minutes for 118,000 of them."""
    content_hashes(paths)
    texts = []
    read_text = Path.read_text

    def counted(self: Path, encoding: str) -> str:
        texts.append(self)
        return read_text(self, encoding)

    monkeypatch.setattr(Path, "read_text", counted)
    content_hashes(paths)
    assert len(texts) == 1


def same_size(path: Path) -> None:
    path.write_bytes(b"c.png")


def same_size_and_time(path: Path) -> None:
    """Mend a file in place, then set its times back as a tool that keeps them does."""
    before = path.stat()
    path.write_bytes(b"c.png")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def other_file_of_same_size_and_time(path: Path) -> None:
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(b"c.png")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("edit", [same_size, same_size_and_time, other_file_of_same_size_and_time])
def test_an_edit_is_seen(
    cache: Path, reads: Reads, paths: list[Path], edit: Callable[[Path], None]
) -> None:
    first = content_hashes(paths)
    time.sleep(0.02)  # more than one step of the kernel's clock
    edit(paths[0])
    second = content_hashes(paths)
    assert second == expected(paths) != first
    assert sorted(reads) == ["a.png", "a.png", "b.png"]


def test_a_file_that_was_just_changed_is_not_remembered(
    cache: Path, reads: Reads, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could change again within the same step of the file system's clock."""
    monkeypatch.setattr(fingerprints, "SETTLED_NS", 10**12)
    content_hashes(paths)
    content_hashes(paths)
    assert len(reads) == 4


@pytest.mark.parametrize("damage", [b"", b"\xff\x00", b"[" * 10000, b"{}\n{}", b"cut"])
def test_a_damaged_cache_is_ignored(
    cache: Path, reads: Reads, paths: list[Path], damage: bytes
) -> None:
    content_hashes(paths)
    (memory,) = cache.iterdir()
    memory.write_bytes(memory.read_bytes()[:-9] if damage == b"cut" else damage)
    assert content_hashes(paths) == expected(paths)
    assert len(reads) == 4
    content_hashes(paths)
    assert len(reads) == 4, "it was written anew"


def test_one_wrong_digit_in_the_cache_is_no_other_hash(cache: Path, paths: list[Path]) -> None:
    content_hashes(paths)
    (memory,) = cache.iterdir()
    digest = expected(paths)[paths[0]]
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    text = memory.read_text()
    assert digest in text
    memory.write_text(text.replace(digest, wrong))
    assert content_hashes(paths) == expected(paths)


def test_no_cache_can_be_written(
    cache: Path, reads: Reads, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    assert content_hashes(paths) == expected(paths)

    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "expanduser", homeless)
        assert content_hashes(paths) == expected(paths)
    assert len(reads) == 4


def test_removed_files_are_forgotten(cache: Path, paths: list[Path]) -> None:
    content_hashes(paths[:1])
    paths[0].unlink()
    content_hashes(paths[1:])
    (memory,) = cache.iterdir()
    assert "b.png" in memory.read_text()
    assert "a.png" not in memory.read_text()


def test_what_an_interrupted_command_has_read_is_kept(
    cache: Path, reads: Reads, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = fingerprints._sha256

    def stopped(path: Path) -> str:
        if path.name == "b.png":
            raise KeyboardInterrupt
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(fingerprints, "_sha256", stopped)
        with pytest.raises(KeyboardInterrupt):
            content_hashes(paths)
    content_hashes(paths)
    assert reads == ["a.png", "b.png"]


def test_what_is_no_readable_file_is_named(cache: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    for name in ("pipe.png", "dangling.png"):
        with pytest.raises(UnreadableImageError, match=name):
            content_hashes([tmp_path / name])
