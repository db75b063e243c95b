# SPDX-License-Identifier: Apache-2.0
"""`spade-eval study`: the preference study of Table 2, from questions to a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import SEVERAL_ROWS, App
from spade_eval.cli.console.output import say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.report import show_written
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.pages.local_server import LocalServer

study_app = App(
    help="Ask people which of two rows' images fit the label maps better.", no_args_is_help=True
)

Study = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY",
        help="The folder that `study make` wrote.",
        callback=checked("folder"),
    ),
]
_RUNS = Path("runs")
_STUDY = Path("study")
_PORT = 8421


@study_app.command()
def make(
    rows: Annotated[
        str,
        typer.Option(
            metavar=SEVERAL_ROWS,
            help="Two rows or more, as spade concat, or spade,concat; all pairs are asked.",
        ),
    ],
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="A run folder with images of the rows [default: the newest in runs/ that has "
            "them].",
            callback=checked("folder"),
        ),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Images that each pair is asked of.")] = 500,
    each: Annotated[int, typer.Option(min=1, help="Answers about each question.")] = 5,
    per_person: Annotated[
        int, typer.Option(min=1, help="Questions of a person, without checks and repeats.")
    ] = 100,
    checks: Annotated[
        int, typer.Option(min=0, help="Questions of a person with the real photo against noise.")
    ] = 3,
    repeats: Annotated[
        int, typer.Option(min=0, help="Questions of a person that come again, sides exchanged.")
    ] = 3,
    ties: Annotated[bool, typer.Option("--ties", help="Allow the answer that both are alike.")] = (
        False
    ),
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Time that images are shown [default: until the answer]."),
    ] = None,
    seed: options.Seed = 0,
    out: Annotated[
        Path, typer.Option(callback=checked("folder", written=True), help="A new folder.")
    ] = _STUDY,
) -> None:
    """Write a page that asks which of two images fits a label map better, and the key to it."""
    from spade_eval.pages.study.making import make_study
    from spade_eval.pages.study.questions import Settings
    from spade_eval.progress import Progress
    from spade_eval.reports.html.galleries import class_colors
    from spade_eval.reports.html.study_page import study_page

    names = tuple(name.strip() for name in rows.split(",") if name.strip())
    settings = Settings(
        rows=names,
        questions=questions,
        each=each,
        per_person=per_person,
        checks=checks,
        repeats=repeats,
        ties=ties,
        seconds=seconds,
        seed=seed,
    )
    folder = run or _newest_run(names)
    with Progress("writing questions", 0, "question") as progress:
        made = make_study(
            folder, out, settings, class_colors([folder]), study_page, progress.advance
        )
    sheets = len(made.key.drawn.sheets)
    wrote([made.page, made.key_file])
    show(
        f"{made.page}: {len(made.key.drawn.questions)} questions on {sheets} sheets, one a person",
        study=made.key.study,
        sheets=sheets,
    )
    say(f"hand out the folder {made.page.parent}; keep {made.key_file}, which knows the rows")
    say(f"then: spade-eval study collect {out} FILE..., or first: spade-eval study serve {out}")


@study_app.command()
def serve(
    study: Study,
    people: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Links to give out [default: one a sheet]."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen; 0.0.0.0 lets other machines in, without encryption.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = _PORT,
) -> None:
    """Serve a study until Ctrl-C: a link for each person, answers kept in STUDY/answers.sqlite."""
    from spade_eval.pages.local_server import LocalServer
    from spade_eval.pages.study.database import FILE, Database
    from spade_eval.pages.study.key import open_key
    from spade_eval.pages.study.making import page_data
    from spade_eval.pages.study.server import StudyServer
    from spade_eval.reports.html.study_page import served_study_page

    key = open_key(study)
    page, policy = served_study_page(page_data(study))
    with Database.opened(study / FILE) as database:
        served = StudyServer(study, key, database, people or len(key.drawn.sheets))
        server = LocalServer(served.routes(page, policy), host, port)
        links = served.links(server.address)
        show("\n".join(links), links=links, address=server.address)
        say(f"one link a person; answers go into {study / FILE}; Ctrl-C ends it")
        _serve(server)


@study_app.command()
def collect(
    study: Study,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="Files that people sent; what `study serve` has is always taken.",
            callback=checked("file"),
        ),
    ] = None,
) -> None:
    """Check answers and bring them together in STUDY/answers; one wrong file stops all."""
    from spade_eval.pages.study.collecting import collect as collected
    from spade_eval.pages.study.key import open_key

    found = collected(study, open_key(study), files or [])
    wrote(found.written)
    count = sum(len(answers.answers) for answers in found.people)
    show(
        f"{study}: {count} answers of {len(found.people)} people, {found.added} of them new",
        people=len(found.people),
        answers=count,
        added=found.added,
    )


@study_app.command()
def report(
    study: Study,
    seed: options.Seed = 0,
) -> None:
    """Print the table of preferences, and write it in every form, with a plot and a page."""
    from spade_eval.reports.study_report import write_study_report

    folder = study / "report"
    show_written(write_study_report(study, folder, seed), folder, "Everything of this study is in")


def _serve(server: "LocalServer") -> None:
    try:
        server.serve_forever(0.1)
    except KeyboardInterrupt:
        say("ended; every answer that was confirmed is kept")
    finally:
        server.server_close()


def _newest_run(rows: tuple[str, ...]) -> Path:
    found = [
        path.parent
        for path in _RUNS.glob("*/records.jsonl")
        if all((path.parent / "images" / row).is_dir() for row in rows)
    ]
    if not found:
        raise UserError(
            f"--rows {' '.join(rows)}: no run folder in {_RUNS}/ has images of all; give RUN, or "
            "score the rows first with --save-images all"
        )
    return max(found, key=lambda folder: (folder / "records.jsonl").stat().st_mtime)
