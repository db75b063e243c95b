# SPDX-License-Identifier: Apache-2.0
"""`--gpus N`: one command for all processes of a run, and one voice for what they have to say.

The command runs torchrun, which starts itself N times with the same arguments on every node. A
user may as well start torchrun: the environment of a process says what it is.
"""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spade_eval.errors import UserError
from spade_eval.jobs.job import python_path

if TYPE_CHECKING:
    from spade_eval.models.training.distributed import Ended, World

_PORT = 29400
# A folder of the command that started this process, where its processes leave word.
_LAUNCH_FOLDER = "SPADE_EVAL_LAUNCH_FOLDER"
_REFUSED, _STOPPED = "refused", "stopped"
# The process id of that command.
_LAUNCHER = "SPADE_EVAL_LAUNCHER"
# Of processes whose command is gone: to notice it, and then to save a training's state.
_LOOK_SECONDS, _GRACE_SECONDS = 1.0, 20.0
# What torchrun sets, and what a user without torchrun has to.
_PLACE = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many processes, and where: the flags of the command line."""

    gpus: int | None  # processes of each node
    nodes: int = 1
    rendezvous: str | None = None  # HOST[:PORT] of one node, the same for all of them
    restarts: int = 0  # of all processes after one of them was killed or failed
    device: str = "auto"


def is_worker() -> bool:
    """Return whether this process is one of several of a run, whoever started them."""
    return all(name in os.environ for name in _PLACE) and os.environ["WORLD_SIZE"] != "1"


def is_launched() -> bool:
    """Return whether a command with `--gpus` has started this process, which tells of its end."""
    return _LAUNCHER in os.environ


def starts_others(plan: Plan) -> bool:
    """Return whether the command is to start processes instead of doing the work itself."""
    if plan.gpus is None:
        if plan.nodes > 1 and not is_worker():
            raise UserError(f"--nodes {plan.nodes} needs --gpus, the GPUs of each node")
        return False
    if not is_worker():
        # With --gpus 1 torchrun's one process is no worker, but has been started nonetheless.
        return os.environ.get(_LAUNCHER) != str(os.getppid())
    here = int(os.environ.get("LOCAL_WORLD_SIZE", plan.gpus))
    if here != plan.gpus:
        raise UserError(
            f"--gpus {plan.gpus}, but torchrun started {here} processes on this node; leave "
            "--gpus out under torchrun"
        )
    return False


def launch(plan: Plan, arguments: Sequence[str]) -> int:
    """Run the command line with these arguments in several processes; returns the exit code."""
    _check(plan)
    from spade_eval.models.training.distributed import run_workers

    assert plan.gpus is not None
    # torchrun reports each failure in many lines; `_exit_code` has one.
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="spade-eval-") as folder:
        os.environ |= {
            _LAUNCH_FOLDER: folder, _LAUNCHER: str(os.getpid()), "PYTHONPATH": python_path(),
        }  # fmt: skip
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // plan.gpus)))
        # What C++ says about a connection that another process has ended is a stack for each.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        # Makes restarts after a kill reliable: 12 of 12, against 3 of 5 without it.
        os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
        program = ["--log-dir", folder, "--module", "spade_eval"]
        return _exit_code(run_workers([*_torchrun(plan), *program, *arguments]), Path(folder))


def _check(plan: Plan) -> None:
    if plan.nodes > 1 and plan.rendezvous is None:
        raise UserError(
            f"--nodes {plan.nodes} needs --rendezvous HOST:PORT, one of the nodes, the same on all"
        )
    if plan.device == "cpu":
        return
    import torch

    if plan.device not in ("auto", "cuda"):
        raise UserError(
            f"--gpus {plan.gpus} with --device {plan.device}: each process takes its own GPU; use "
            "--device cuda, or cpu to try it without GPUs"
        )
    present = torch.cuda.device_count()
    if present < (plan.gpus or 0):
        raise UserError(
            f"--gpus {plan.gpus}, but this machine has {present}; lower the number, or add "
            "--device cpu to run as many processes on the CPU"
        )


def _torchrun(plan: Plan) -> list[str]:
    """Torchrun's own arguments."""
    counts = ["--nproc-per-node", str(plan.gpus), "--max-restarts", str(plan.restarts)]
    if plan.nodes == 1:
        return ["--standalone", *counts]
    host, _, port = (plan.rendezvous or "").partition(":")
    return [
        "--nnodes", str(plan.nodes), *counts, "--rdzv-backend", "c10d",
        "--rdzv-endpoint", f"{host}:{port or _PORT}",
        "--rdzv-id", os.environ.get("SLURM_JOB_ID", "spade-eval"),
    ]  # fmt: skip


def _exit_code(ended: "Ended", folder: Path) -> int:
    if (folder / _REFUSED).exists():  # and printed
        return 2
    if (folder / _STOPPED).exists():
        return 0
    if ended.signal is not None:
        return 128 + ended.signal
    # Who failed comes before those whom torchrun has ended for it.
    for rank, code in sorted(
        ended.failures.items(), key=lambda item: (item[1] == -signal.SIGTERM, item[1])
    ):
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        print(
            f"error: process {rank} {how}; start the command again to continue, with --restarts K "
            "for a run that does so by itself",
            file=sys.stderr,
        )
        return 1
    return 0


@contextmanager
def joined() -> "Iterator[World]":
    """Join the processes of this run as one `World`; one of them reports what ends all."""
    if _word(_REFUSED).exists():  # restarted after an error of the user's
        os._exit(2)
    from spade_eval.models.training.distributed import ALONE, is_loss_of_another, join

    if is_launched():
        launcher = int(os.environ[_LAUNCHER])
        threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
    if not is_worker():
        yield ALONE
        return
    with join() as world:
        try:
            yield world
        except Exception as error:
            lost = is_loss_of_another(error)
            if not (lost or isinstance(error, (UserError, OSError))):
                raise
            if not _claims_the_word(world):
                end_worker(1 if lost else 2)
            if lost:
                print(
                    "error: the connection to another process of the run broke, or it ended "
                    f"({str(error).splitlines()[0]})",
                    file=sys.stderr,
                )
                end_worker(1)
            raise


def _claims_the_word(world: "World") -> bool:
    """Return whether this process is the first of a launch that has something to say.

    By a file where there is a launch folder: the store of the processes ends with the first of
    them, and then has a stack of C++ to say.
    """
    if _LAUNCH_FOLDER not in os.environ:
        return world.claims("the word")
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        _word(f"claimed-{attempt}").touch(exist_ok=False)
    except OSError:  # it is there, or the command is gone with its folder
        return False
    return True


def _end_with(launcher: int) -> None:
    """End this process, as SIGTERM does, soon after the command that started it was killed."""
    while os.getppid() == launcher:
        time.sleep(_LOOK_SECONDS)
    if _LAUNCH_FOLDER in os.environ:
        shutil.rmtree(os.environ[_LAUNCH_FOLDER], ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)


def leave_word(refused: bool) -> None:
    """Tell the command that started this process what the user has read."""
    if _LAUNCH_FOLDER in os.environ:
        with suppress(FileNotFoundError):  # that command is gone
            _word(_REFUSED if refused else _STOPPED).touch()


def end_worker(code: int) -> None:
    """End one of several processes at once, and return in any other.

    An interpreter that ends while connections are open, or after others have gone, may hang or
    abort in torch's threads; torchrun would then end those that still write.
    """
    if is_worker():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _word(name: str) -> Path:
    return Path(os.environ.get(_LAUNCH_FOLDER, os.devnull)) / name
