# SPDX-License-Identifier: Apache-2.0
"""The command line: flags -> configuration -> engine or reports; nothing else prints results.

Commands import what they run inside their bodies, so that `--help` answers at once.
"""

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from spade_eval.cli.bench import bench_app
from spade_eval.cli.benchmark import benchmark, score
from spade_eval.cli.data import data_app
from spade_eval.cli.figures import figures_app
from spade_eval.cli.files import bundle, convert
from spade_eval.cli.lists import models, protocol, weights_app
from spade_eval.cli.report import report
from spade_eval.cli.stats import stats_app
from spade_eval.cli.surroundings import is_unreadable, outlast_readers, with_home
from spade_eval.cli.train import train
from spade_eval.errors import UserError, installed_version
from spade_eval.jobs.processes import end_worker, leave_word
from spade_eval.memory import keep_freed_memory
from spade_eval.models.training.stopping import TrainingStopped

app = typer.Typer(
    name="spade-eval",
    help="Benchmark of semantic image synthesis: label maps -> photos -> scores -> tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(benchmark)
app.command()(train)
app.command(name="score")(score)
app.command()(report)
app.command()(bundle)
app.command()(models)
app.command()(protocol)
app.command()(convert)
app.add_typer(figures_app, name="figures")
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")
app.add_typer(stats_app, name="stats")
app.add_typer(bench_app, name="bench")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"spade-eval {installed_version('spade-eval')}")
        raise typer.Exit


@app.callback()
def _of_all_commands(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the flags that stand before a command's name."""


# A disk that is full or may not be written is the user's to mend, wherever it is noticed.
_DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's error is one line on stderr and exit code 2.

    A training that SIGTERM or SIGINT ended has saved its state: one line, and exit code 0.
    """
    outlast_readers()
    given = list(sys.argv[1:] if arguments is None else arguments)
    keep_freed_memory()
    # Plots are files: a notebook's own backend, which it sets for its children, is not needed.
    os.environ["MPLBACKEND"] = "agg"
    try:
        given = [with_home(word) for word in given]
        app(args=given, obj=tuple(given))  # what other processes of a run are given as well
    except TrainingStopped as stopped:
        _say_how_to_continue(stopped, given)
    except UserError as error:
        _refuse(error, str(error))
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise
        _refuse(error, _of_disk(error))


def _of_disk(error: OSError) -> str:
    place = error.filename or "a file"
    if error.errno == errno.EACCES and is_unreadable(place):
        return f"{place} cannot be read ({error.strerror}); give yourself permission to read it"
    return (
        f"{place} cannot be written ({error.strerror}); nothing recorded is lost: free space or "
        "fix its permissions, then start again"
    )


def _say_how_to_continue(stopped: TrainingStopped, arguments: Sequence[str]) -> NoReturn:
    if os.environ.get("RANK", "0") == "0":
        command = shlex.join(["spade-eval", *arguments])
        print(f"{stopped}; to continue: {command}", file=sys.stderr)
    leave_word(refused=False)
    end_worker(0)
    raise SystemExit(0)


def _refuse(error: Exception, message: str) -> NoReturn:
    if os.environ.get("SPADE_EVAL_DEBUG"):
        raise error
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    leave_word(refused=True)
    end_worker(2)
    raise SystemExit(2) from None
