# SPDX-License-Identifier: Apache-2.0
"""`spade-eval benchmark` and `score`: measure what is missing, show the table, compare rows."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options, tables
from spade_eval.cli.benchmark.estimate import Estimate, Rates
from spade_eval.cli.benchmark.flags import Compare, RowFlags, ScoredFlags
from spade_eval.cli.benchmark.one_run import estimate_run, measure_run
from spade_eval.cli.benchmark.outside import require_no_generator
from spade_eval.cli.console.conditions import OUTSIDE_STUDIES, is_checkpoint
from spade_eval.cli.flags import BudgetFlags, RunFlags, grouped
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.rows import Request


@grouped
def benchmark(
    context: typer.Context,
    *,
    run: RunFlags,
    budget: BudgetFlags,
    rows: RowFlags,
    asked: ScoredFlags,
    table: tables.Table = None,
    seeds: tables.Seeds = "1",
    jobs: tables.Jobs = None,
    launcher: tables.Launcher = "local",
    sbatch: tables.Sbatch = None,
    estimate: Annotated[Estimate, OUTSIDE_STUDIES] = False,
    rates: Rates = None,
) -> None:
    """Train and score models; prints the table and writes CSV, plots and a picture grid."""
    if rows.more_baselines and not rows.compare:
        words = " ".join(rows.more_baselines)
        raise UserError(f"unexpected {words!r}; expected flags, or names behind --compare")
    _require_one_process(asked)
    plan = tables.SeedPlan.parse(seeds)
    if table is None and plan == tables.SeedPlan(1):
        if estimate:
            estimate_run(run, budget, rows, asked, rates)
        else:
            measure_run(context, run, budget, rows, asked)
        return
    given = asked.request(rows)
    _require_usual(given)
    models = given.models if table is None else tuple(rows.model or ())
    of_jobs = tables.Asked(
        table=table, datasets=tables.datasets_of(run.dataset), models=models,
        first_seed=run.seed, seeds=plan, jobs=jobs, launcher=launcher,
        sbatch=tuple(sbatch or ()), out=asked.place.out, given=replace(given, models=()),
    )  # fmt: skip
    tables.run_jobs(
        context,
        of_jobs,
        lambda name, seed: asked.config(replace(run, dataset=name, seed=seed), budget),
        partial(asked.workplace, tracker=rows.tracker),
    )


def _require_one_process(asked: ScoredFlags) -> None:
    """Refuse a rule for processes that are still to be started, by this command or by its jobs."""
    from spade_eval.metrics.stopping import require_one_process

    processes = asked.processes
    require_one_process(asked.scoring.until or "", (processes.gpus or 1) * processes.nodes)


def _require_usual(given: "Request") -> None:
    """Refuse styles and sampling of the models of several jobs, which all have the same flags."""
    for name in given.style_inputs:
        if name in given.models:
            raise UserError(
                f"--style-input {name}=...: --table and --seeds score models in their usual style; "
                f"give another to the checkpoints afterwards: `spade-eval score {name}=FILE "
                f"--style-input {name}=STYLE`"
            )
    if given.sampling.flags and not given.checkpoints:
        flag, value = next(iter(given.sampling.flags.items()))
        raise UserError(
            f"{flag} {value}: --table and --seeds sample as each model was made to; give another "
            f"to its checkpoint afterwards: `spade-eval score NAME=FILE {flag} {value}`"
        )


@grouped
def score(
    context: typer.Context,
    *,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=PATH", help="Folders of images, or checkpoints."),
    ] = None,
    compare: Compare = None,
    run: RunFlags,
    asked: ScoredFlags,
) -> None:
    """Score folders of images, checkpoints or generators of others; trains no generator."""
    _require_one_process(asked)
    # An option takes one word: the second baseline and all after it arrive as arguments.
    more = [word for word in images or () if compare and "=" not in word]
    words = [word for word in images or () if word not in more]
    require_no_generator(words)
    if not words and not asked.outside.generator:
        raise UserError(
            "score: nothing to score; give NAME=PATH (a folder of images or a checkpoint), or "
            "--generator NAME=package.module:factory"
        )
    named = options.named_paths("score", words, "file or folder")
    files = [f"{name}={path}" for name, path in named.items() if is_checkpoint(path)]
    folders = [f"{name}={path}" for name, path in named.items() if not is_checkpoint(path)]
    rows = RowFlags(
        model=[], images=folders, checkpoint=files, compare=compare, more_baselines=more
    )
    measure_run(context, run, BudgetFlags(), rows, asked)
