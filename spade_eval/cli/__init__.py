# SPDX-License-Identifier: Apache-2.0
"""The command line: flags -> configuration -> engine or reports; nothing else prints results.

Commands import what they run inside their bodies, so that `--help` answers at once.
"""

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from spade_eval.cli.bench import bench_app
from spade_eval.cli.bench.plan import plan
from spade_eval.cli.bench.validate import validate_app
from spade_eval.cli.benchmark import benchmark, score
from spade_eval.cli.console.app import App, Json, Quiet, Version
from spade_eval.cli.console.output import kept_apart, output_of
from spade_eval.cli.console.refusals import UnreadableError, is_help, refusal
from spade_eval.cli.console.surroundings import is_unreadable, outlast_readers, with_home
from spade_eval.cli.data import data_app
from spade_eval.cli.figures import figures_app
from spade_eval.cli.files import bundle, convert, export
from spade_eval.cli.lists import models, protocol, weights_app
from spade_eval.cli.lists.baselines import baselines_app
from spade_eval.cli.lists.published import published
from spade_eval.cli.pages.paint import paint
from spade_eval.cli.pages.study import study_app
from spade_eval.cli.report import report
from spade_eval.cli.stats import stats_app
from spade_eval.cli.train import train
from spade_eval.errors import UserError
from spade_eval.jobs.processes import end_worker, leave_word
from spade_eval.memory import keep_freed_memory
from spade_eval.models.training.stopping import TrainingStopped

app = App(
    name="spade-eval",
    help="Benchmark of semantic image synthesis: label maps -> photos -> scores -> tables.",
    no_args_is_help=True,
)
app.command()(benchmark)
app.command()(train)
app.command(name="score")(score)
app.command()(report)
app.command()(paint)
app.command()(bundle)
app.command()(export)
app.command()(models)
app.command()(protocol)
app.command()(published)
app.command()(plan)
app.command()(convert)
app.add_typer(figures_app, name="figures")
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")
app.add_typer(baselines_app, name="baselines")
app.add_typer(stats_app, name="stats")
app.add_typer(bench_app, name="bench")
app.add_typer(validate_app, name="validate")
app.add_typer(study_app, name="study")


@app.callback()
def _of_all_commands(quiet: Quiet = False, json: Json = False, version: Version = False) -> None:
    """Take the flags that stand before a command's name."""


# A disk that is full, fails or may not be written, and a folder in place of a file or the other way
# round, are the user's to mend, wherever they are noticed.
_DISK_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP),
    errno.ESTALE,
)
_REFUSED = 2
_INTERRUPTED = 130  # as shells count a program that Ctrl-C ended


@dataclass(frozen=True)
class _Ended:
    """How a command ended; `error` is the line that a person reads."""

    code: int
    error: str | None = None
    state: str | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's error is one line on stderr and exit code 2.

    A training that SIGTERM or SIGINT ended has saved its state: one line, and exit code 0.
    """
    outlast_readers()
    given = list(sys.argv[1:] if arguments is None else arguments)
    keep_freed_memory()
    # Plots are files: a notebook's own backend, which it sets for its children, is not needed.
    os.environ["MPLBACKEND"] = "agg"
    with output_of(given) as output:
        try:
            ended = _run(given)
        except Exception as error:
            output.finish(1, f"{type(error).__name__}: {error}", "failed")
            raise
        output.finish(ended.code, ended.error, ended.state)
    if ended.state == "stopped" or (ended.code == _REFUSED and ended.error):
        leave_word(refused=ended.code == _REFUSED)
    end_worker(ended.code)
    raise SystemExit(ended.code)


def _run(given: list[str]) -> _Ended:
    try:
        with kept_apart():
            given = [with_home(word) for word in given]
            # `obj` is what other processes of a run are given as well.
            code = app(args=given, prog_name="spade-eval", obj=tuple(given), standalone_mode=False)
    except typer.Abort:
        return _Ended(_INTERRUPTED)
    except TrainingStopped as stopped:
        return _stopped(stopped, given)
    except UnreadableError as error:
        if is_help(error):
            typer.echo(str(error), err=True)
            return _Ended(_REFUSED)
        return _refused(error, refusal(error))
    except UserError as error:
        return _refused(error, str(error))
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise
        return _refused(error, _of_disk(error))
    return _Ended(code if isinstance(code, int) else 0)


def _of_disk(error: OSError) -> str:
    place = error.filename or "a file"
    if error.errno == errno.EACCES and is_unreadable(place):
        return f"{place} cannot be read ({error.strerror}); give yourself permission to read it"
    return (
        f"{place} cannot be written ({error.strerror}); nothing recorded is lost: free space or "
        "fix its permissions, then start again"
    )


def _stopped(stopped: TrainingStopped, arguments: Sequence[str]) -> _Ended:
    line = f"{stopped}; to continue: {shlex.join(['spade-eval', *arguments])}"
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)
    return _Ended(0, state="stopped")


def _refused(error: Exception, message: str) -> _Ended:
    if os.environ.get("SPADE_EVAL_DEBUG"):
        raise error
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    return _Ended(_REFUSED, error=line)
