# SPDX-License-Identifier: Apache-2.0
"""Threads that open images take no more memory together than is allowed, and all come to an end."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets import files, image_memory
from spade_eval.datasets.image_memory import Budget
from spade_eval.datasets.parallel import run_parallel

PIXELS = 100


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small budgets; the list collects how many pixels were held whenever an image was opened."""
    seen: list[int] = []

    class Seen(Budget):
        def _add(self, thread: int, amount: int) -> None:
            super()._add(thread, amount)
            seen.append(self._taken)

    monkeypatch.setattr(files, "PIXELS", Seen(3 * PIXELS))
    monkeypatch.setattr(files, "BYTES_READ", Budget(1000))
    return seen


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for path in paths:
        Image.fromarray(np.zeros((10, PIXELS // 10), np.uint8)).save(path)
    return paths


def read_slowly(path: Path) -> int:
    photo = files.read_photo(path)
    time.sleep(0.01)  # the array lives on
    return int(photo.sum())


def test_the_images_of_all_threads_count_together(budgets: list[int], images: list[Path]) -> None:
    assert list(run_parallel(read_slowly, images, workers=8)) == [0] * len(images)
    assert max(budgets) == 3 * PIXELS, "threads work side by side, up to the limit"
    assert budgets[-1] == 0


def test_an_image_counts_until_its_piece_of_work_ends(
    budgets: list[int], images: list[Path]
) -> None:
    held: list[int] = []

    def work(path: Path) -> None:
        files.read_photo(path)
        held.append(files.PIXELS._taken)

    list(run_parallel(work, images, workers=1))
    assert held == [PIXELS] * len(images)
    files.read_photo(images[0])
    assert files.PIXELS._taken == 0, "elsewhere it counts while it is decoded"


def test_whoever_holds_memory_never_waits_for_more(budgets: list[int], images: list[Path]) -> None:
    """A photo and its label map: were the second waited for, two threads could wait for ever."""

    def work(path: Path) -> None:
        read_slowly(path)
        read_slowly(path)

    files.PIXELS.most = PIXELS
    list(run_parallel(work, images, workers=8))
    assert max(budgets) == 2 * PIXELS


def test_an_image_above_the_limit_is_opened_alone(budgets: list[int], images: list[Path]) -> None:
    files.PIXELS.most = files.BYTES_READ.most = 1
    list(run_parallel(read_slowly, images, workers=8))
    assert max(budgets) == PIXELS


def test_a_faulty_image_gives_its_memory_back(budgets: list[int], images: list[Path]) -> None:
    images[0].write_bytes(images[0].read_bytes()[:-30])
    with pytest.raises(files.UnreadableImageError):
        files.read_photo(images[0])
    assert files.PIXELS._taken == files.BYTES_READ._taken == 0


def test_a_file_larger_than_any_image_is_not_read(
    images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = images[0].stat().st_size
    monkeypatch.setattr(files, "MOST_IMAGE_BYTES", size)
    files.read_photo(images[0])
    monkeypatch.setattr(files, "MOST_IMAGE_BYTES", size - 1)
    with pytest.raises(files.UnreadableImageError, match=rf"{size} bytes were found, an image of"):
        files.read_photo(images[0])


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    with (path := tmp_path / "a.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(files.UnreadableImageError, match="1,099,511,627,776 bytes were found"):
        files.read_photo(path)


def test_waiting_ends_when_others_end() -> None:
    budget, order = Budget(10), []

    def second() -> None:
        with budget.hold(6):
            order.append("second")

    thread = threading.Thread(target=second)
    with budget.hold(6):
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_the_limits_let_ordinary_images_side_by_side() -> None:
    """Eight threads with photos of 12 megapixels do not wait."""
    assert image_memory.PIXELS.most >= 8 * 12_000_000
