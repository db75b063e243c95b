# SPDX-License-Identifier: Apache-2.0
"""`--table N` and `--seeds N`: jobs of a paper's table, or of any rows with several seeds."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli.console.conditions import IN_STUDIES, ON_SLURM, OUTSIDE_STUDIES
from spade_eval.cli.console.output import say, show
from spade_eval.cli.console.topics import OUTPUT, SEVERAL
from spade_eval.cli.report import show_written
from spade_eval.errors import UserError
from spade_eval.progress import tell

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.jobs.launch import Outcome
    from spade_eval.jobs.study import Study
    from spade_eval.rows import Request
    from spade_eval.workplace import Workplace

Table = Annotated[
    str | None,
    typer.Option(
        metavar="N|NAME",
        help="Train and score what a table of a paper needs: 1, 3, 4 or 5 of the SPADE paper, in "
        "full park2019-3, or oasis2021-1; systems compares methods, norms normalisations. For "
        "several datasets: --dataset cocostuff,ade20k.",
        rich_help_panel=SEVERAL,
    ),
]
Seeds = Annotated[
    str,
    typer.Option(
        metavar="N|auto[:N]",
        help="Train and score every row with so many seeds, from --seed on; auto adds seeds until "
        "every pair of rows is decided, at most 10 or N.",
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
_OWN = {"table", "seeds", "jobs", "launcher", "sbatch", "report", "dataset", "seed", "model", "out",
        "quiet", "json"}  # fmt: skip
# Flags of the rows that are given, which the job of the references scores.
_GIVEN = {
    "images",
    "checkpoint",
    "style_input",
    "arch",
    "upsampling",
    "label_layout",
    "sampling_steps",
    "guidance",
    "state",
}
FIRST_LOOK = 3  # seeds: before, no difference is tested (`reports/statistics/seed_tests.py`)
_MOST_SEEDS = 10
_INTERRUPTED = 130  # as shells count a program that Ctrl-C ended


@dataclass(frozen=True)
class SeedPlan:
    """How many seeds there are: `most`, or as many up to it as decide every pair of rows."""

    most: int
    is_auto: bool = False

    @classmethod
    def parse(cls, text: str) -> "SeedPlan":
        """Read '3', 'auto' or 'auto:6'."""
        word, _, number = text.partition(":")
        if word == "auto" and (number.isdecimal() or text == "auto"):
            most = int(number or _MOST_SEEDS)
            if most < FIRST_LOOK:
                raise UserError(
                    f"--seeds {text}: a verdict takes {FIRST_LOOK} seeds, expected at least as many"
                )
            return cls(most, is_auto=True)
        if not text.isdecimal() or not int(text):
            raise UserError(
                f"--seeds {text!r}: expected a number from 1 on, auto or auto:N, for example auto:6"
            )
        return cls(int(text))

    @property
    def looks(self) -> Sequence[int]:
        """Numbers of seeds after which it is looked at what is decided."""
        return range(FIRST_LOOK, self.most + 1) if self.is_auto else [self.most]


@dataclass(frozen=True)
class Asked:
    """What the flags of several jobs say."""

    table: str | None
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    first_seed: int
    seeds: SeedPlan
    jobs: int | None
    launcher: str
    sbatch: tuple[str, ...]
    out: Path | None
    given: "Request"


def run_jobs(
    context: typer.Context,
    asked: Asked,
    config_for: Callable[[str, int], "RunConfig"],
    place_for: Callable[["RunConfig", Path], "Workplace"],
) -> None:
    """Compute what is missing, print the table and where it is; exit code 2 if a job failed."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError(
            f"{'--seeds' if asked.table is None else '--table'} was started by torchrun, expected "
            "one process, which starts the jobs: start it without torchrun, and give --gpus N for "
            "N processes a job"
        )
    if asked.seeds.is_auto and asked.launcher == "slurm":
        raise UserError(
            "--seeds auto with --launcher slurm: nobody waits for the jobs, so nobody looks at "
            "what is decided; give a number of seeds, or another launcher"
        )
    if asked.seeds.is_auto and len(asked.models) < 2 and (asked.table is None or asked.models):
        raise UserError(
            f"--seeds auto decides the differences of trained rows, found {len(asked.models)}; "
            "add --model NAME, or give a number of seeds"
        )
    study, outcome = _look_by_look(context, asked, config_for, place_for)
    if outcome.submitted:
        show(f"submitted to Slurm: {', '.join(outcome.submitted)}", submitted=outcome.submitted)
        say(f"the last of them writes the table into {study.folder}")
        return
    recorded = [folder for folder in study.run_folders if (folder / "records.jsonl").is_file()]
    if recorded:
        _show(study, recorded)
    if outcome.failures:
        titles = "; ".join(failure.job.title for failure in outcome.failures)
        logs = dict.fromkeys(str(failure.job.log) for failure in outcome.failures)
        raise UserError(
            f"{len(outcome.failures)} jobs failed ({titles}); see {', '.join(logs)}; all others "
            "are recorded: start the same command again to compute what is missing"
        )


def _look_by_look(
    context: typer.Context,
    asked: Asked,
    config_for: Callable[[str, int], "RunConfig"],
    place_for: Callable[["RunConfig", Path], "Workplace"],
) -> tuple["Study", "Outcome"]:
    """Run the jobs of each look, until every pair of rows is decided or the seeds end."""
    for count in asked.seeds.looks:
        seeds = range(asked.first_seed, asked.first_seed + count)
        study = _study(context, asked, seeds, config_for, place_for)
        outcome = _run(study, asked)
        if not asked.seeds.is_auto or outcome.failures or outcome.submitted:
            break
        decided, pairs, metrics = _decided(study)
        if not pairs:
            say(f"{count} seeds: {metrics} ranks no row here, as the table warns; no seed is added")
            break
        so_far = f"{count} seeds: {decided} of {pairs} pairs of rows are decided by {metrics}"
        if decided == pairs:
            say(so_far)
            break
        is_last = count == asked.seeds.most
        rest = f"{count} is the most" if is_last else f"seed {seeds[-1] + 1} is added"
        say(f"{so_far}; {rest}")
    return study, outcome


def _decided(study: "Study") -> tuple[int, int, str]:
    """Count the pairs that the seeds decide and all that the table is about; name the metric."""
    from spade_eval.reports import merged_report, paper_report
    from spade_eval.reports.runs import open_run

    runs = [open_run(folder) for folder in study.run_folders]
    if study.table is None:
        return merged_report.decided_pairs(runs)
    return paper_report.decided_pairs(study.table, runs)


def _study(
    context: typer.Context,
    asked: Asked,
    seeds: range,
    config_for: Callable[[str, int], "RunConfig"],
    place_for: Callable[["RunConfig", Path], "Workplace"],
) -> "Study":
    from spade_eval.jobs.study import SEEDS, Study, paper_table, run_folder, table_folder

    table = None if asked.table is None else paper_table(asked.table, asked.models)
    configs = [config_for(name, seed) for name in asked.datasets for seed in seeds]
    return Study(
        table=table,
        runs=tuple(
            (config, place_for(config, run_folder(asked.out, config))) for config in configs
        ),
        folder=table_folder(asked.out, SEEDS if table is None else table.stem, configs),
        models=asked.models,
        given=asked.given,
        flags=given_flags(context, besides=_OWN | _GIVEN),
        given_flags=given_flags(context, besides=set(context.params) - _GIVEN),
        processes=(context.params["gpus"] or 1) * context.params["nodes"],
    )


def _run(study: "Study", asked: Asked) -> "Outcome":
    from spade_eval.jobs.launch import visible_gpus
    from spade_eval.jobs.study import run_study

    gpus = visible_gpus(study.runs[0][1].device)
    try:
        return run_study(study, asked.launcher, asked.jobs, gpus, asked.sbatch, say)
    except KeyboardInterrupt:
        tell("interrupted; start the same command again to compute what is missing")
        raise typer.Exit(_INTERRUPTED) from None


def _show(study: "Study", run_folders: list[Path]) -> None:
    from spade_eval.reports.merged_report import write_merged_report
    from spade_eval.reports.paper_report import write_table_of_runs
    from spade_eval.reports.runs import open_run

    runs = [open_run(folder) for folder in run_folders]
    if study.table is None:
        written = write_merged_report(runs, study.folder)
    else:
        written = write_table_of_runs(study.table, runs, study.folder)
    show_written(written, study.folder, "The table is in")
    say("Each run has its own report: spade-eval report RUN, where RUN is one of")
    for run_folder in run_folders:
        say(f"  {run_folder}")


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
