# SPDX-License-Identifier: Apache-2.0
"""Groups of flags: Typer sees every field as a flag, the command gets them together."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from spade_eval.cli.flags import grouped


@dataclass(frozen=True, kw_only=True)
class Inner:
    seed: Annotated[int, typer.Option(min=0)] = 0


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: Annotated[str, typer.Option("--called")]
    inner: Inner


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    app = typer.Typer()

    @app.command()
    @grouped
    def command(*, alone: bool = False, group: Outer) -> None:
        """Say what was given."""
        typer.echo(repr((alone, group)))

    with pytest.raises(SystemExit) as ended:
        app(args=list(arguments))
    output = capsys.readouterr()
    return int(str(ended.value.code or 0)), output.out + output.err


def test_flags_of_a_group_arrive_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    given = told(capsys, "--seed", "3", "--called", "x", "--alone")
    assert given == (0, repr((True, Outer(name="x", inner=Inner(seed=3)))) + "\n")
    assert told(capsys, "--called", "y")[1] == repr((False, Outer(name="y", inner=Inner()))) + "\n"


@pytest.mark.parametrize("arguments", [(), ("--called", "x", "--seed", "-1")])
def test_what_a_flag_demands_still_holds(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert told(capsys, *arguments)[0] == 2
