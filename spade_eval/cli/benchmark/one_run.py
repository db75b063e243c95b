# SPDX-License-Identifier: Apache-2.0
"""One run of `benchmark` or `score`: what its flags describe, measured or estimated, and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spade_eval.cli import options
from spade_eval.cli.benchmark.chosen import Chosen, Comparing, chosen_rows, comparing
from spade_eval.cli.benchmark.estimate import show_estimate, tell_before
from spade_eval.cli.benchmark.flags import RowFlags, ScoredFlags
from spade_eval.cli.console.output import current, say
from spade_eval.cli.flags import BudgetFlags, RunFlags
from spade_eval.cli.report import show_report, show_written

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.engine import Benchmark
    from spade_eval.models.training.distributed import World
    from spade_eval.reports.run_report import RunReport
    from spade_eval.rows import Request


@dataclass(frozen=True)
class _Planned:
    """What the flags of one run describe."""

    config: "RunConfig"
    request: "Request"
    chosen: Chosen
    given: tuple[str, ...]
    asked: ScoredFlags
    tracker: Sequence[str] | None

    def suite(self, world: "World | None") -> "Benchmark":
        from spade_eval.engine import Benchmark

        place = self.asked.workplace(self.config, self.asked.place.out, world, self.tracker)
        return Benchmark(self.config, place)


def _planned(run: RunFlags, budget: BudgetFlags, rows: RowFlags, asked: ScoredFlags) -> _Planned:
    config = asked.config(run, budget, red_team=rows.red_team)
    request = asked.request(rows)
    given = (*request.checkpoints, *request.images, *request.given)
    compared = comparing(rows.compare, rows.more_baselines, given, rows.train or rows.model)
    chosen = chosen_rows(config, rows.model, rows.train, compared, given)
    request = asked.request(rows, chosen.models, tuple(chosen.shipped))
    return _Planned(config, request, chosen, given, asked, rows.tracker)


def estimate_run(
    run: RunFlags, budget: BudgetFlags, rows: RowFlags, asked: ScoredFlags, rates: Path | None
) -> None:
    """Say what the run would take; the models are those that it would train."""
    planned = _planned(run, budget, rows, asked)
    suite, processes = planned.suite(None), asked.processes
    devices = (processes.gpus or 1) * processes.nodes
    show_estimate(suite, planned.request.models, devices, rates, scores=True)


def measure_run(
    context: typer.Context,
    run: RunFlags,
    budget: BudgetFlags,
    rows: RowFlags,
    asked: ScoredFlags,
) -> None:
    with options.processes(context, device=asked.place.device, **vars(asked.processes)) as world:
        planned = _planned(run, budget, rows, asked)
        request, chosen, compared = planned.request, planned.chosen, planned.chosen.compared
        suite = planned.suite(world)
        place = suite.place
        names = {*planned.given, *request.models, *chosen.shipped.values()}
        compared.require(names, suite.recorded)
        if world.is_first:
            say("\n".join([*suite.protocol.lines(), *chosen.lines(), ""]))
        tell_before(suite, request.models, world, scores=True)
        measured = suite.run(request)
        if compared.baselines:
            suite.keep_images(request, world.on_first(lambda: _shown(place.run_folder, compared)))
        if world.is_first:
            listed = ", ".join(measured) or "nothing, all rows were recorded"
            say(f"measured now: {listed}\n")
            _show(place.run_folder, compared, rows.report, measured)


def _show(run_folder: Path, compared: "Comparing", report: bool, measured: list[str]) -> None:
    """Print the tables of a run once all their files are written."""
    current().fields |= {"measured": measured, "folder": run_folder}
    comparison = _comparison(run_folder, compared)
    if report:
        show_report(run_folder)
    if comparison is not None:
        say("")
        show_written(comparison, run_folder, "The comparison is in")


def _shown(run_folder: Path, compared: Comparing) -> list[str]:
    """Return the names of the images that the comparisons show."""
    from spade_eval.reports.comparison_report import compared_images

    return compared_images(run_folder, compared.subjects, compared.baselines)


def _comparison(run_folder: Path, compared: Comparing) -> "RunReport | None":
    """Write the comparisons of a run; None where none was asked for."""
    if not compared.baselines:
        return None
    from spade_eval.reports.comparison_report import write_comparisons

    return write_comparisons(run_folder, compared.subjects, compared.baselines)
