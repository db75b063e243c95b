# SPDX-License-Identifier: Apache-2.0
"""`run_benchmark.py --table N`: a table of a paper, computed and shown beside the paper's."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli.console.conditions import IN_STUDIES, ON_SLURM, OUTSIDE_STUDIES
from spade_eval.cli.console.topics import OUTPUT, SEVERAL
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.jobs.launch import Outcome
    from spade_eval.jobs.study import Study
    from spade_eval.paper_tables import PaperTable
    from spade_eval.workplace import Workplace

Table = Annotated[
    str | None,
    typer.Option(
        metavar="N|NAME",
        help="Train and score what a table of a paper needs: 1, 3, 4 or 5 of the SPADE paper, in "
        "full park2019-3. For several datasets: --dataset cocostuff,ade20k.",
        rich_help_panel=SEVERAL,
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        min=1,
        help="Train and score every row with so many seeds, from --seed on.",
        rich_help_panel=SEVERAL,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Models side by side [default: 1; on a cluster, all].",
        rich_help_panel=SEVERAL,
    ),
    IN_STUDIES,
]
Launcher = Annotated[
    str,
    typer.Option(
        metavar="local|slurm|ray", help="Where models are trained.", rich_help_panel=SEVERAL
    ),
    IN_STUDIES,
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Of sbatch, as partition=gpu, gpus=1, time=24:00:00. Repeatable.",
        rich_help_panel=SEVERAL,
    ),
    ON_SLURM,
]
Report = Annotated[
    bool,
    typer.Option(help="Write tables and plots afterwards.", rich_help_panel=OUTPUT),
    OUTSIDE_STUDIES,
]

# Flags that every job gets in its own way, or that are not for jobs.
_OWN = ("table", "seeds", "jobs", "launcher", "sbatch", "report", "dataset", "seed", "model", "out")
_WITHOUT_TABLE = ("images", "checkpoint", "compare", "style_input")
_INTERRUPTED = 130  # as shells count a program that Ctrl-C ended


@dataclass(frozen=True)
class Asked:
    """What the flags of a table say."""

    table: str
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    seeds: range
    jobs: int | None
    launcher: str
    sbatch: tuple[str, ...]
    out: Path | None


def run_table(
    context: typer.Context,
    asked: Asked,
    config_for: Callable[[str, int], "RunConfig"],
    place_for: Callable[["RunConfig", Path], "Workplace"],
) -> None:
    """Compute what is missing, print the table and where it is; exit code 2 if a job failed."""
    for name in _WITHOUT_TABLE:
        if context.params.get(name):
            raise UserError(
                f"--{name.replace('_', '-')} was given with --table, which shows the paper's rows; "
                "expected one of them: use it in a run of its own, without --table"
            )
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError(
            "--table was started by torchrun, expected one process, which starts the jobs: start "
            "it without torchrun, and give --gpus N for N processes a job"
        )
    study = _study(context, asked, config_for, place_for)
    outcome = _run(study, asked)
    if outcome.submitted:
        typer.echo(f"submitted to Slurm: {', '.join(outcome.submitted)}")
        typer.echo(f"the last of them writes the table into {study.folder}")
        return
    recorded = [folder for folder in study.run_folders if (folder / "records.jsonl").is_file()]
    if recorded:
        _show(study.table, recorded, study.folder)
    if outcome.failures:
        titles = "; ".join(failure.job.title for failure in outcome.failures)
        raise UserError(
            f"{len(outcome.failures)} jobs failed ({titles}); their logs are named above and all "
            "others are recorded: start the same command again to compute what is missing"
        )


def _study(
    context: typer.Context,
    asked: Asked,
    config_for: Callable[[str, int], "RunConfig"],
    place_for: Callable[["RunConfig", Path], "Workplace"],
) -> "Study":
    from spade_eval.jobs.study import Study, paper_table, run_folder, table_folder

    table = paper_table(asked.table, asked.models)
    configs = [config_for(name, seed) for name in asked.datasets for seed in asked.seeds]
    return Study(
        table=table,
        runs=tuple(
            (config, place_for(config, run_folder(asked.out, config))) for config in configs
        ),
        folder=table_folder(asked.out, table, configs),
        models=asked.models,
        flags=given_flags(context, besides=_OWN),
        processes=(context.params["gpus"] or 1) * context.params["nodes"],
    )


def _run(study: "Study", asked: Asked) -> "Outcome":
    from spade_eval.jobs.launch import visible_gpus
    from spade_eval.jobs.study import run_study

    gpus = visible_gpus(study.runs[0][1].device)
    try:
        return run_study(study, asked.launcher, asked.jobs, gpus, asked.sbatch, typer.echo)
    except KeyboardInterrupt:
        typer.echo("interrupted; start the same command again to compute what is missing", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _show(table: "PaperTable", run_folders: list[Path], folder: Path) -> None:
    from spade_eval.reports.paper_report import write_paper_table

    written = write_paper_table(table, run_folders, folder)
    typer.echo(f"\n{written.text}")
    typer.echo(f"\nThe table is in {folder}:")
    for path in written.paths:
        typer.echo(f"  {path.name}")
    typer.echo("Each run has its own report: spade-eval report RUN, where RUN is one of")
    for run_folder in run_folders:
        typer.echo(f"  {run_folder}")


def datasets_of(text: str) -> tuple[str, ...]:
    """Split 'scenes,cocostuff' into names, each once."""
    return tuple(dict.fromkeys(name for name in text.split(",") if name)) or (text,)


def given_flags(context: typer.Context, besides: Collection[str]) -> tuple[str, ...]:
    """Return the flags of this command line as words, so that a job gets the same."""
    words = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in besides or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[parameter.name or ""]
        if isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            words.append(f"{parameter.opts[0]}={getattr(item, 'value', item)}")
    return tuple(words)
