# SPDX-License-Identifier: Apache-2.0
"""Progress as a log and as a terminal show it."""

import os
import re
import sys
from collections.abc import Iterator

import pytest

from spade_eval import progress
from spade_eval.progress import Progress, be_quiet, followed, is_progress, tell


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    yield
    be_quiet(False)


def test_a_log_gets_a_line_every_30_seconds_and_the_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("scoring spade", 1000, "image") as work:
        for _ in range(10):
            clock.now += 10
            work.advance(100)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "scoring spade: 300 of 1,000 images (30%) after 30 s, about 70 s left",
        "scoring spade: 600 of 1,000 images (60%) after 60 s, about 40 s left",
        "scoring spade: 900 of 1,000 images (90%) after 90 s, about 10 s left",
        "scoring spade: 1,000 of 1,000 images (100%) after 2 min",
    ]


@pytest.mark.parametrize("total", [0, 90_000])
def test_a_line_that_says_how_far_it_is_is_known(
    clock: Clock, capsys: pytest.CaptureFixture[str], total: int
) -> None:
    with Progress("spade: a name", total, "image") as work:
        work.state({"G/gan": "0.3"})
        clock.now += 3700
        work.advance(45_000)
    (line,) = capsys.readouterr().err.splitlines()
    assert is_progress(line)
    assert not is_progress("batch            20 images")
    assert not is_progress("measured now: spade")
    assert not is_progress("error: 3 images are too few")


def test_the_rate_is_that_of_this_process(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("training", 100, "image", done=90) as work:
        clock.now += 30
        work.advance(1)
        clock.now += 3600 * 2
        work.advance(9)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "training: 91 of 100 images (91%) after 30 s, about 4 min left"
    assert last == "training: 100 of 100 images (100%) after 2 h 0 min"


def test_short_work_leaves_no_trace_in_a_log(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(followed("abc", "reading", 3, "file")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_work_of_unknown_length_is_counted(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("x.pth", 0, "byte") as work:
        clock.now += 31
        work.advance(5)
    assert capsys.readouterr().err == "x.pth: 5 bytes after 31 s\n"


@pytest.mark.parametrize("way", ["not shown", "quiet"])
def test_who_asked_for_quiet_reads_nothing(
    way: str, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quiet(way == "quiet")
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda there=terminal: there)
        with Progress("training", 2, "image", shown=way == "quiet") as work:
            clock.now += 31
            work.advance()
            work.state({"G": "1.0"})
    if way == "quiet":
        tell("something")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_of_unknown_width_gets_a_bar_as_well(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as terminal, os.fdopen(reader, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress("training", 2, "image") as work:
            work.advance(2)
        shown = ""
        while "100%" not in shown:  # a bar is written in pieces
            shown += screen.read(4096).decode()
    assert re.search(r"training: 100%\|.*2/2", shown)


def test_a_line_says_what_a_bar_says(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("training", 4, "image") as work:
        work.state({"G/gan": "0.5", "D/real": "1"})
        clock.now += 31
        work.advance(4)
    assert capsys.readouterr().err.endswith(
        "4 of 4 images (100%) after 31 s, G/gan 0.5, D/real 1\n"
    )


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("training", 2, "image") as work:
        work.advance()
        work.state({"G": "1.0"})
        work.advance()
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"training: 100%\|.*2/2.*G=1.0", err)
