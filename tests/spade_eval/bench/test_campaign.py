# SPDX-License-Identifier: Apache-2.0
"""Measurements within a time: in order, kept at once, passed over where they do not fit."""

from collections.abc import Iterator
from typing import Any

from spade_eval.bench.campaign import Measurement, run_campaign


class Machine:
    """A clock that measurements move on, and what was kept of them."""

    def __init__(self) -> None:
        self.now, self.kept, self.told = 0.0, [], []  # type: ignore[var-annotated]

    def measurement(self, title: str, guess: float, taken: float, **row: Any) -> Measurement:
        def rows() -> Iterator[dict[str, Any]]:
            yield {"title": title, **row}
            self.now += taken
            if row.get("fails"):
                raise row["fails"]

        return Measurement(bench="x", section="s", title=title, seconds=guess, rows=rows)

    def run(self, seconds: float, *measurements: Measurement) -> list[Any]:
        run_campaign(
            measurements, seconds, lambda item, row: self.kept.append((item.title, row)),
            lambda: None, self.told.append, clock=lambda: self.now,
        )  # fmt: skip
        return self.kept


def test_what_does_not_fit_is_said_and_the_next_goes_on() -> None:
    machine = Machine()
    kept = machine.run(
        60,
        machine.measurement("first", 10, 10),
        machine.measurement("long", 100, 100),
        machine.measurement("short", 10, 10),
    )
    assert [title for title, _ in kept] == ["first", "long", "short"]
    assert kept[1][1] == {"note": "left out: about 100 s expected, 50 s left"}
    assert machine.told[-1] == "s: short (about 10 s of 50 s left)"


def test_the_pace_of_the_machine_corrects_what_was_guessed() -> None:
    """Half as fast as guessed: 30 s become 60 s, which are not left; twice as fast, they are."""
    slow, quick = Machine(), Machine()
    for machine, taken in ((slow, 20), (quick, 5)):
        machine.run(
            60, machine.measurement("first", 10, taken), machine.measurement("next", 30, 30)
        )
    assert slow.kept[1][1]["note"] == "left out: about 60 s expected, 40 s left"
    assert quick.kept[1][1] == {"title": "next"}


def test_a_failure_keeps_its_rows_and_ends_nothing() -> None:
    machine = Machine()
    kept = machine.run(
        60,
        machine.measurement("full", 1, 1, fails=RuntimeError("CUDA out of memory.\nTried")),
        machine.measurement("wordless", 1, 1, fails=AssertionError()),
        machine.measurement("next", 1, 1),
    )
    assert [row.get("note") for _, row in kept] == [
        None, "failed: RuntimeError: CUDA out of memory.",
        None, "failed: AssertionError: no message", None,
    ]  # fmt: skip
