# SPDX-License-Identifier: Apache-2.0
"""Stored samples are the computed ones, whatever happens to the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spade_eval.datasets.base import Sample
from spade_eval.datasets.scenes import Scenes, stored
from spade_eval.datasets.scenes.stored import StoredScenes

SIZE = (32, 48)


def scenes() -> Scenes:
    return Scenes("train", SIZE, length=5)


def same(first: Sample, second: Sample) -> bool:
    names = ("label_map", "instance_map", "photo")
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    return first.name == second.name and all(
        one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs
    )


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the samples that are computed from here on."""
    found: list[int] = []
    render = StoredScenes._render

    def watched(self: StoredScenes, index: int) -> Sample:
        found.append(index)
        return render(self, index)

    monkeypatch.setattr(StoredScenes, "_render", watched)
    return found


def test_samples_are_the_same_before_and_after(tmp_path: Path, rendered: list[int]) -> None:
    plain, kept = scenes(), StoredScenes(scenes(), tmp_path / "cache")
    assert all(same(kept[index], plain[index]) for index in range(5))
    kept.fill(range(4))
    rendered.clear()
    for index in range(4):
        assert same(kept[index], plain[index])
        for epoch in range(4):  # mirrored in some
            found = kept.training_sample(index, epoch, 3)
            assert same(found, plain.training_sample(index, epoch, 3))
    assert rendered == []
    assert same(kept[-1], plain[4])
    assert rendered == [4]
    assert kept.fingerprint() == plain.fingerprint()


def test_a_second_training_renders_nothing(tmp_path: Path, rendered: list[int]) -> None:
    StoredScenes(scenes(), tmp_path).fill([3, 1])
    StoredScenes(scenes(), tmp_path).fill([1, 2, 3])
    assert rendered == [3, 1, 2]


def torn(data: bytes) -> bytes:
    return data[: len(data) - 100]


def flipped(data: bytes) -> bytes:
    return data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]


@pytest.mark.parametrize("damage", [torn, flipped])
def test_a_damaged_record_is_rendered_again(
    tmp_path: Path, rendered: list[int], damage: Callable[[bytes], bytes]
) -> None:
    kept = StoredScenes(scenes(), tmp_path)
    kept.fill(range(5))
    kept.path.write_bytes(damage(kept.path.read_bytes()))
    rendered.clear()
    assert same(kept[4], scenes()[4])
    assert rendered == [4]
    kept.fill(range(5))
    rendered.clear()
    assert same(kept[4], scenes()[4])
    assert rendered == []


def test_other_data_has_another_file(tmp_path: Path) -> None:
    first = StoredScenes(scenes(), tmp_path)
    others = [Scenes("val", SIZE, length=5), Scenes("train", SIZE, seed=1, length=5)]
    assert first.path not in {StoredScenes(other, tmp_path).path for other in others}


def test_what_does_not_fit_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = StoredScenes(scenes(), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "MOST_BYTES", 1000)
        kept.fill(range(5))
    assert not kept.path.exists()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored.os, "pwrite", full)
    kept.fill(range(5))
    assert same(kept[0], scenes()[0])
