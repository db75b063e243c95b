# SPDX-License-Identifier: Apache-2.0
"""Work over many files: in threads, in order, and with results that are whole or absent.

Threads, since decoding and encoding release the interpreter lock. A file is written beside its
place and moved there, so what exists is complete and a command that was stopped can go on.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets.image_memory import piece_of_work
from spade_eval.files import replaced

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Called with (items done, items in all) after every item."""

DEFAULT_WORKERS = min(8, os.cpu_count() or 1)


def run_parallel(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Return results in the order of the items; few wait, so memory does not grow with them.

    An item that opens images waits until there is memory for them beside those of the others.
    """

    def bounded(item: Item) -> Result:
        with piece_of_work():
            return work(item)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting: list[Future[Result]] = []
        submitted = 0
        try:
            for done in range(len(items)):
                while submitted < len(items) and len(waiting) < 4 * workers:
                    waiting.append(pool.submit(bounded, items[submitted]))
                    submitted += 1
                yield waiting.pop(0).result()
                if progress is not None:
                    progress(done + 1, len(items))
        finally:
            for future in waiting:
                future.cancel()


def write_png(path: Path, array: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W) or (H, W, 3) as PNG, whole or not at all, without waiting for the disk."""
    with replaced(path, durable=False) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
