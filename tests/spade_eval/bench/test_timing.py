# SPDX-License-Identifier: Apache-2.0
"""The loop of all benches: who runs when, what counts, and the rate of a matrix product."""

import time
from pathlib import Path

import pytest
import torch

from spade_eval.bench import timing
from spade_eval.bench.timing import CPU, Clock, alternating, matrix_product_rate, whole

BENCH = Path(timing.__file__).parent


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("perf_counter", "timing.py"),
        ("accelerate(", "networks.py"),
        ("build_training", "train.py"),
        ("Batch(", "train.py"),
    ],
)
def test_clock_forms_and_training_are_each_met_in_one_file(name: str, home: str) -> None:
    """So that another loop, another kind of fast form or of training touches one file here."""
    assert [path.name for path in BENCH.glob("*.py") if name in path.read_text()] == [home]


def test_functions_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[tuple[str, int]] = []

    def named(name: str) -> timing.Run[str]:
        def run(number: int, clock: Clock) -> str:
            calls.append((name, number))
            with clock():
                return f"{name}{number}"

        return run

    first, second = alternating([named("a"), named("b")], repeats=2, warm_up=1)
    assert calls == [("a", -1), ("b", -1), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert (first.value, second.value) == ("a1", "b1")
    assert len(first.seconds) == len(second.seconds) == 2


def test_only_what_is_inside_of_the_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def run(number: int, clock: Clock) -> None:
        now[0] += 100
        with clock():
            now[0] += 1 + number
            with clock("part"):
                now[0] += 10
        now[0] += 100
        with clock():
            now[0] += 0.5

    (result,) = alternating([run], repeats=3, warm_up=2)
    assert result.seconds == [11.5, 12.5, 13.5]
    assert dict(result.phases) == {"part": 30}
    assert result.row == {
        "repeats": 3, "seconds": 12.5, "fastest": 11.5, "slowest": 13.5, "first": 9.5,
    }  # fmt: skip


def test_a_clock_adds_up_by_name_even_after_an_error() -> None:
    clock = Clock(CPU)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), clock("forward"):
            raise ZeroDivisionError
    assert set(clock.seconds) == {"forward"}
    assert clock.seconds["forward"] > 0


def test_the_peak_is_that_of_each_functions_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(timing, "reset_peak", lambda device: events.append("reset"))
    monkeypatch.setattr(timing, "peak_mib", lambda device: float(len(events)))
    runs = [whole(lambda name=name: events.append(name)) for name in "ab"]
    first, second = alternating(runs, repeats=2, warm_up=1)
    assert events == ["reset", "a", "reset", "b", "a", "b", "a", "b"]
    assert (first.peak_mib, second.peak_mib) == (2, 4)
    monkeypatch.setattr(timing, "peak_mib", lambda device: -1.0)
    assert alternating(runs, repeats=1)[0].peak_mib is None


def test_the_rate_is_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    # Start and end of a warm-up of 9 s and of five products.
    ticks = iter([0, 9, 10, 14, 20, 22, 30, 33, 40, 45, 50, 56])
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    assert matrix_product_rate(CPU, side=8) == 2 * 8**3 / 2
    assert not torch.backends.cuda.matmul.allow_tf32
