# SPDX-License-Identifier: Apache-2.0
"""Processes without interpreters: forked from a server in which torch and the suite are loaded.

A `Fork` stands for `python FILE ARGUMENTS` or `python -m spade_eval ARGUMENTS`. It has memory,
signals, streams, a working directory and an exit code of its own, in milliseconds, not seconds.
What a test promises of real interpreters, or of torchrun, it has to start itself.
"""

import atexit
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp

_SERVER = multiprocessing.get_context("forkserver")
# What a training and a report import on their way, the slowest of it from within torch.
_SERVER.set_forkserver_preload(
    ["spade_eval.cli", "spade_eval.engine", "spade_eval.reports.run_report", "torch._dynamo",
     "torch.utils.tensorboard", "matplotlib.backends.backend_pdf", "fontTools.subset", "pandas"]
)  # fmt: skip
_PATIENCE = 300.0  # seconds, on a machine that tests share with others
_started: list["Fork"] = []


class Fork:
    """A program that runs: a file, or the module `spade_eval`."""

    def __init__(
        self,
        program: Path | str,
        *arguments: object,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._folder = Path(mkdtemp(prefix="fork-"))
        self._streams = [self._folder / name for name in ("out", "err")]
        environment = {**os.environ, **(variables or {})}
        words = [str(program), *map(str, arguments)]
        self._process = _SERVER.Process(
            target=_run, args=(words, environment, str(folder or Path.cwd()), self._streams)
        )
        self._process.start()
        _started.append(self)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, or minus the signal that ended it; `None` while it runs."""
        return self._process.exitcode

    @property
    def out(self) -> str:
        return _text(self._streams[0])

    @property
    def err(self) -> str:
        return _text(self._streams[1])

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.join()

    def until(self, sign: Callable[[], object]) -> None:
        """Wait for a sign of progress; an end before it is an error."""
        deadline = time.monotonic() + _PATIENCE
        while not sign():
            assert self.code is None, f"ended with {self.code} too early:\n{self.err[-3000:]}"
            assert time.monotonic() < deadline, f"no sign in {_PATIENCE} s:\n{self.err[-3000:]}"
            time.sleep(0.002)

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        self._process.join(_PATIENCE)
        assert self.code is not None, f"still runs after {_PATIENCE} s:\n{self.err[-3000:]}"
        return self.code

    def succeed(self) -> str:
        """Wait for an end with exit code 0; returns what it printed."""
        assert self.wait() == 0, self.err[-3000:]
        return self.out


def world_of(size: int, program: Path | str, *arguments: object) -> list[Fork]:
    """Several processes that make one `World`, as torchrun starts them on one machine."""
    place = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "localhost",
             "MASTER_PORT": free_port()}  # fmt: skip
    return [
        Fork(program, *arguments, variables={
            name: str(value) for name, value in {**place, "RANK": rank, "LOCAL_RANK": rank}.items()
        })
        for rank in range(size)
    ]  # fmt: skip


def all_succeed(forks: Sequence[Fork]) -> None:
    """Wait for processes that need each other; where one fails, the others are ended."""
    while running := [fork for fork in forks if fork.code is None]:
        failed = next((fork for fork in forks if fork.code), None)
        for fork in running if failed else ():
            fork.kill()
        assert failed is None, failed.err[-3000:]
        time.sleep(0.01)
    assert [fork.code for fork in forks] == [0] * len(forks), forks[0].err[-3000:]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port: int = listener.getsockname()[1]
    return port


def _text(stream: Path) -> str:
    return stream.read_text("utf-8", "replace") if stream.exists() else ""


def _run(
    words: Sequence[str], environment: Mapping[str, str], folder: str, streams: Sequence[Path]
) -> None:
    """Become the program (in the forked process)."""
    sys.stdout.flush()
    for number, stream in enumerate(streams, start=1):
        file = os.open(stream, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = words
    if words[0].endswith(".py"):
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")
    else:
        runpy.run_module(words[0], run_name="__main__")


@atexit.register
def _end_all() -> None:
    for fork in _started:
        if fork.code is None:
            fork.kill()
        shutil.rmtree(fork._folder)
