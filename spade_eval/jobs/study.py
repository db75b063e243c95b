# SPDX-License-Identifier: Apache-2.0
"""Rows of several seeds, or a table of a paper, as jobs: what is not recorded yet is computed.

Each dataset and seed has a run folder of its own,
which tables share: a model that two tables name is trained once. Rows of which the suite has no
generator are shown with the paper's numbers; rows that are another row's network are not trained.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from spade_eval.config import RunConfig
from spade_eval.engine import Benchmark
from spade_eval.errors import lookup
from spade_eval.jobs import LAUNCHERS
from spade_eval.jobs.job import PROGRAM, REFERENCES, Job
from spade_eval.jobs.launch import Failure, Launch, Outcome
from spade_eval.models.choices import PerceptualNetwork
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.training.distributed import ALONE
from spade_eval.papers.tables import UNTRAINED, PaperTable, paper_table_called
from spade_eval.records import sha256_of_json
from spade_eval.rows import Request
from spade_eval.training.perceptual import resolved
from spade_eval.workplace import Workplace, at_work, claim_folder

SEEDS = "seeds"
"""What the report of rows that are of no paper's table is called."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A table of a paper, or any rows, on some datasets with some seeds."""

    table: PaperTable | None = None  # None: the models and the rows that are given
    runs: tuple[tuple[RunConfig, Workplace], ...]  # datasets in order, of each all seeds
    folder: Path  # of the finished table
    models: tuple[str, ...] = ()  # of a table's models only these; empty for all
    given: Request = field(default_factory=Request)  # rows of checkpoints and images, no models
    flags: tuple[str, ...] = ()  # of the command line, for every job
    given_flags: tuple[str, ...] = ()  # those of the given rows, scored beside the references
    processes: int = 1  # that train one model

    @property
    def title(self) -> str:
        """Name in a launcher's own files."""
        return SEEDS if self.table is None else self.table.stem

    @property
    def run_folders(self) -> list[Path]:
        return [place.run_folder for _, place in self.runs]

    def trained_models(self, weights_dir: Path) -> tuple[str, ...]:
        """Return those that have to be trained: each network once."""
        if self.table is None:
            return self.models
        perceptual = self._perceptual(weights_dir)
        holds = {
            "one process": self.processes == 1,
            "no perceptual loss": perceptual == "none",
            "no VGG-19": perceptual != "vgg19",
        }
        instead = {name: row.same_as for name, row in UNTRAINED.items() if holds[row.when]}
        networks = [instead.get(name, name) for name in self.models or self.table.models]
        return tuple(dict.fromkeys(name for name in networks if name is not None))

    def _perceptual(self, weights_dir: Path) -> PerceptualNetwork:
        """Return whose features the full model's loss compares."""
        run, _ = self.runs[0]
        system = GENERATORS["spade"].system
        return resolved(run.budget.perceptual, system, run.dataset, weights_dir)


def paper_table(name: str, models: Sequence[str] = ()) -> PaperTable:
    """Return a paper's table by its name; `UserError` for others, and for models it has not."""
    table = paper_table_called(name)
    for model in models:
        lookup(dict.fromkeys(table.known), model, f"model of {table.name}")
    return table


def run_folder(out: Path | None, config: RunConfig) -> Path:
    """Return where a dataset and seed are measured; without `--out`, as for a plain benchmark."""
    if out is None:
        return Path("runs") / config.run_name
    return out / f"{config.dataset}-seed{config.seed}"


def table_folder(out: Path | None, stem: str, configs: Sequence[RunConfig]) -> Path:
    """Return where the table goes: more seeds of the same runs do not change its folder."""
    if out is not None:
        return out / stem
    firsts = [config for config in configs if config.seed == configs[0].seed]
    names = "-".join(config.dataset for config in firsts)
    identity = sha256_of_json([config.sha256 for config in firsts])[:8]
    return Path("runs") / f"{stem}-{names}-{configs[0].budget_name}-{identity}"


def run_study(
    study: Study,
    launcher: str,
    at_once: int | None,
    gpus: tuple[str, ...],
    sbatch: tuple[str, ...],
    say: Callable[[str], None],
) -> Outcome:
    """Compute what is missing; failures are printed, not raised, so that the rest can be shown."""
    launch_jobs = lookup(LAUNCHERS, launcher, "launcher")
    stages = _stages(study)
    launch = Launch(
        title=study.title,
        stages=stages,
        report=_report_command(study),
        folder=study.folder,
        at_once=at_once,
        gpus=gpus,
        processes=study.processes,
        sbatch=sbatch,
        say=say,
    )
    if not stages:
        return Outcome()
    say(f"{launch.num_jobs} jobs to run; everything else is recorded")
    with ExitStack() as held:
        for folder in study.run_folders:  # refused now, not by the jobs, of which each would fail
            held.enter_context(at_work(folder, ["a table"], ALONE))
        outcome = launch_jobs(launch)
    if outcome.submitted:
        return outcome
    failed = {failure.job for failure in outcome.failures}
    ended_early = [
        Failure.of(job, "ended before anything was recorded")
        for stage in _stages(study)
        for job in stage
        if job not in failed
    ]
    for failure in ended_early:
        say(failure.text())
    return Outcome((*outcome.failures, *ended_early))


def _stages(study: Study) -> tuple[tuple[Job, ...], ...]:
    """Order the missing jobs so that no two of a stage write the same shared file.

    The first job on a dataset trains its in-domain segmenter where there is none yet, the first in
    a run folder makes the reference statistics and the real and oracle rows, which all rows share.
    """
    first: list[Job] = []
    references: list[Job] = []
    models: list[Job] = []
    datasets: set[str] = set()
    for config, place in study.runs:
        benchmark = Benchmark(config, place)
        trained = study.trained_models(place.weights_dir)
        benchmark.require(replace(study.given, models=trained))
        lacking = missing(benchmark, (REFERENCES, *trained), study.given)
        claim_folder(place.run_folder, config)
        for name in lacking:
            job = Job(
                dataset=config.dataset,
                model=name,
                seed=config.seed,
                run_folder=place.run_folder,
                flags=study.flags + (study.given_flags if name == REFERENCES else ()),
            )
            if name != REFERENCES:
                models.append(job)
            elif config.dataset not in datasets:
                first.append(job)
            else:
                references.append(job)
        datasets.add(config.dataset)
    return tuple(tuple(stage) for stage in (first, references, models) if stage)


def missing(benchmark: Benchmark, names: Sequence[str], given: Request | None = None) -> list[str]:
    """Return those of some models, and of all other rows (REFERENCES), not fully recorded.

    Other rows are the references and the `given` ones.
    """
    if not list(benchmark.store):
        # Asking for a row's identity opens the segmenter, which may still have to be trained.
        return list(names)
    models = tuple(name for name in names if name != REFERENCES)
    rows = benchmark.rows(replace(given or Request(), models=models))
    unknown = [row.name for row in benchmark.missing(rows)]
    named = [name for name in unknown if name in models]
    return [*([REFERENCES] if len(unknown) > len(named) else []), *named]


def _report_command(study: Study) -> tuple[str, ...]:
    folders = [str(folder) for folder in study.run_folders]
    table = [] if study.table is None else ["--table", study.table.short]
    return (*PROGRAM, "report", *folders, *table, "--out", str(study.folder))
