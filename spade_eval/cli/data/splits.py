# SPDX-License-Identifier: Apache-2.0
"""What the commands of `spade-eval data` have in common: flags, splits, and a bar."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli.console.conditions import WITH_SCENES
from spade_eval.cli.console.topics import DATA

if TYPE_CHECKING:
    from spade_eval.datasets.base import Dataset
    from spade_eval.datasets.parallel import Progress

Workers = Annotated[int | None, typer.Option(min=1, help="Threads [default: cores, at most 8].")]

Split = Annotated[
    str | None,
    typer.Option(
        metavar="train|val", help="One split [default: those there].", rich_help_panel=DATA
    ),
]

SizeOfScenes = Annotated[
    str | None,
    typer.Option(
        metavar="N|HxW", help="Pixels of what is drawn [default: 64].", rich_help_panel=DATA
    ),
    WITH_SCENES,
]


@contextmanager
def bar(title: str) -> "Iterator[Progress]":
    """Progress that begins with the first file and starts over with the next split."""
    from spade_eval.progress import Progress

    with contextlib.ExitStack() as stack:
        bars: list[Progress] = []

        def count(done: int, total: int) -> None:
            if done == 1:
                bars.append(stack.enter_context(Progress(title, total, "file")))
            bars[-1].advance()

        yield count


def workers_of(given: int | None) -> int:
    from spade_eval.datasets.parallel import DEFAULT_WORKERS

    return given or DEFAULT_WORKERS


def opened_splits(
    dataset: str, root: Path, split: str | None, size: tuple[int, int]
) -> "Iterator[Dataset]":
    """The split that is named, or those that are there; the first one's error if none is."""
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.file_dataset import SPLITS, AbsentSplitError

    if split is not None:
        yield open_dataset(dataset, split, size, root)
        return
    absent = []
    for name in SPLITS:
        try:
            opened = open_dataset(dataset, name, size, root)
        except AbsentSplitError as error:
            absent.append(error)
            continue
        yield opened
    if len(absent) == len(SPLITS):
        raise absent[0]
