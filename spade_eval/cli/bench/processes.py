# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench processes`: the same scoring and training in 1, 2, 4 processes."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Model, NetworkWidth, Save
from spade_eval.cli.bench.lines import Column, optional, print_lines, print_table, spread
from spade_eval.cli.console.output import say
from spade_eval.errors import UserError
from spade_eval.jobs.job import PROGRAM, last_lines, python_path

if TYPE_CHECKING:
    from spade_eval.bench.processes import Measured
    from spade_eval.bench.timing import Row

SCORING, WHOLE, EACH = "scoring", "training, batch of all", "training, batch of each"
_VERDICTS = {True: "same", False: "OTHER", None: "-"}
COLUMNS = (
    Column("work", 23, lambda row: f"{row['work']}", "<"),
    Column("processes", 9, lambda row: f"{row['processes']}"),
    Column("threads", 7, lambda row: f"{row['threads']}"),
    Column("of", 8, lambda row: f"{row['used']} {row['of']}"),
    Column("batch", 5, lambda row: f"{row['batch']}"),
    Column("median", 9, lambda row: f"{row['seconds']:.2f} s"),
    spread(15),
    Column("images/s", 8, lambda row: f"{row['images_per_second']:.2f}"),
    Column("speed-up", 8, lambda row: f"{row['speedup']:.2f}"),
    Column("efficiency", 10, lambda row: f"{row['efficiency']:.0%}"),
    Column("deviation", 9, lambda row: optional(row["deviation"], ".1e")),
    Column("results", 7, lambda row: _VERDICTS[row["passed"]]),
)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is measured; flags are words of the command line that every start has."""

    scoring: tuple[str, ...]
    training: tuple[str, ...]
    processes: tuple[int, ...]
    images: int
    batch: int
    cores: int
    threads: int | None  # of each process; None: its part of the cores

    def starts(self) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """Yield work, number of processes and command of every start, in turn."""
        each = self.batch // max(self.processes)
        for work, bench, flags in (
            (SCORING, "score", self.scoring), (WHOLE, "train", self.training),
            (EACH, "train", self.training),
        ):  # fmt: skip
            for count in self.processes:
                batch = count * each if work == EACH else self.batch
                size = ("--images", self.images) if work == SCORING else ("--batch-size", batch)
                yield work, count, ("bench", bench, "--gpus", str(count), *flags, *map(str, size))


def bench_processes(
    processes: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Numbers of processes, the first of which the others are compared with "
            "[default: 1, 2, 4]. Repeatable.",
        ),
    ] = None,
    model: Model = "spade",
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    size: options.ImageSize = "64",
    width: NetworkWidth = 0.125,
    images: Annotated[int, typer.Option(min=2, help="Images to score.")] = 160,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1,
            help="Of a training step in all processes; where each has its own, that of the most.",
        ),
    ] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Training steps that count.")] = 5,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of each process [default: the cores divided by their number]."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Starts of each; medians count.")] = 3,
    device: options.Device = "auto",
    weights_dir: options.WeightsDir = None,
    save: Save = None,
) -> None:
    """Score and train in several processes: a table, then a line of JSON for each row."""
    from spade_eval.bench.processes import rows_of
    from spade_eval.devices import resolve_device
    from spade_eval.errors import lookup
    from spade_eval.jobs.launch import num_cpus
    from spade_eval.models.systems.presets import GENERATORS
    from spade_eval.progress import followed

    lookup(GENERATORS, model, "generator")
    options.run_config(dataset, "default", 0, size)
    counts = tuple(dict.fromkeys(processes or [1, 2, 4]))
    if any(batch_size % count for count in counts):
        raise UserError(
            f"--batch-size {batch_size} with {', '.join(map(str, counts))} processes: expected a "
            "number that each of them divides"
        )
    place, cores = resolve_device(device).type, num_cpus()
    on_gpus = place == "cuda"
    given = {"model": model, "dataset": dataset, "size": size, "width": width, "device": place,
             "data-root": data_root, "weights-dir": weights_dir}  # fmt: skip
    shared = [f"--{name}={value}" for name, value in given.items() if value is not None]
    plan = _Plan(
        scoring=(*shared, "--repeats=1"),
        training=(*shared, f"--steps={steps}", "--perceptual=none"),
        processes=counts, images=images, batch=batch_size, cores=cores, threads=threads,
    )  # fmt: skip
    starts = [start for _ in range(repeats) for start in plan.starts()]
    measured = [
        _measured(plan, *start) for start in followed(starts, "bench processes", len(starts), "run")
    ]
    facts = {"model": model, "dataset": dataset, "size": size, "base_width": width}
    rows = print_table(COLUMNS, (row | facts for row in rows_of(measured, cores, on_gpus)))
    say(_note(cores, on_gpus))
    print_lines("processes", rows, save)


def _note(cores: int, on_gpus: bool) -> str:
    share = "" if on_gpus else f"the processes share {cores} cores, so more of them are no faster; "
    return f"{share}efficiency is images/s for each {'GPU' if on_gpus else 'core'} in use"


def _measured(plan: _Plan, work: str, count: int, words: Sequence[str]) -> "Measured":
    from spade_eval.bench.processes import Measured, shared_threads

    threads = plan.threads or shared_threads(plan.cores, count)
    line = _line_of(words, threads)
    numbers = line["numbers"] if work == SCORING else line["first_step"]
    return Measured(
        work=work,
        processes=count,
        threads=threads,
        batch=line["batch"],
        images=line["images"],
        seconds=line["seconds"],
        numbers=None if work == EACH else numbers,
    )


def _line_of(words: Sequence[str], threads: int) -> "Row":
    """Run another `bench` command through torchrun; returns its one line of JSON."""
    from spade_eval.json_fields import parsed_json

    with tempfile.TemporaryDirectory() as folder:
        lines, log = Path(folder) / "lines.jsonl", Path(folder) / "log"
        with log.open("wb") as output:
            done = subprocess.run(
                [*PROGRAM, *words, "--save", str(lines)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": str(threads)},
            )
        if done.returncode:
            (said,) = last_lines(log, 1) or ["nothing was said"]
            raise UserError(f"spade-eval {' '.join(words)}: {said.removeprefix('error: ')}")
        line: Row = parsed_json(lines.read_text(encoding="utf-8").splitlines()[-1])
        return line
