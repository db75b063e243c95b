# SPDX-License-Identifier: Apache-2.0
"""`run_benchmark.py --checkpoint mine=FILE --compare spade concat`: a row against baselines."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spade_eval.errors import UserError

Compare = Annotated[
    list[str] | None,
    typer.Option(
        help="Rows that the given checkpoints and image folders are compared with, as in "
        "--compare spade concat; they are trained where they are missing."
    ),
]
# An option takes one word, so the second baseline and all after it arrive as arguments.
MoreBaselines = Annotated[
    list[str] | None, typer.Argument(help="More baselines of --compare.", show_default=False)
]


@dataclass(frozen=True)
class Comparing:
    """Who is compared with whom; nobody where --compare was not given."""

    subjects: tuple[str, ...]
    baselines: tuple[str, ...]

    def models(self, asked: Sequence[str] | None, given: Collection[str]) -> Sequence[str] | None:
        """Models to train: those of --model, else the baselines that are no given rows."""
        if asked is not None or not self.baselines:
            return asked
        return [name for name in self.baselines if name not in (*given, *_BOUNDS)]


_BOUNDS = ("real", "oracle", "grey", "label colours")


def comparing(
    compare: Sequence[str] | None,
    more: Sequence[str] | None,
    given: Collection[str],
    models: Sequence[str] | None,
) -> Comparing:
    """Who the flags compare; `given` are the rows of --checkpoint and --images."""
    if not compare:
        if more:
            raise UserError(
                f"unexpected {' '.join(more)!r}; expected flags, or names behind --compare"
            )
        return Comparing((), ())
    baselines = tuple(dict.fromkeys([*compare, *(more or ())]))
    subjects = tuple(name for name in given if name not in baselines)
    subjects = subjects or tuple(name for name in models or () if name not in baselines)
    if not subjects:
        raise UserError(
            f"--compare {' '.join(baselines)} has nothing to compare with them; give --checkpoint "
            "NAME=FILE, --images NAME=DIR or --model NAME"
        )
    return Comparing(subjects, baselines)


def show_comparison(run_folder: Path, asked: Comparing) -> None:
    """Write and print the comparisons of a run; nothing where none was asked for."""
    if not asked.baselines:
        return
    from spade_eval.cli.report import show_paths
    from spade_eval.reports.run_comparison import write_comparisons

    written = write_comparisons(run_folder, asked.subjects, asked.baselines)
    typer.echo(f"\n{written.text}")
    show_paths(written, run_folder, "The comparison is in")
