# SPDX-License-Identifier: Apache-2.0
"""The flags of every command that a Markdown file of the project shows exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spade_eval.cli import app
from spade_eval.cli.console.effects import require_effects

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HOUSE = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
PROGRAM = r"(?:spade-eval|python run_benchmark\.py)"
# Mentions of a part of a command, and what it needs to be whole.
PARTS = {"spade-eval report --unverified": "RUN", "spade-eval stats make": "--out FILE"}


def commands_of(page: Path) -> list[str]:
    """On lines of their own, also after a prompt or Slurm's srun, and within sentences."""
    text = page.read_text(encoding="utf-8").replace("\\\n", "")
    lines = re.findall(rf"^(?:\$ |srun )?({PROGRAM} .*)$", text, re.MULTILINE)
    return list(dict.fromkeys(lines + re.findall(rf"`({PROGRAM} [^`\n]*)`", text)))


COMMANDS = [(page.name, line) for page in PAGES for line in commands_of(page)]


def parsed(line: str) -> dict[str, Any]:
    """The values of a command's parameters; an error for flags that it does not know or refuses."""
    words = [*shlex.split(line), *PARTS.get(line, "").split()]
    rest = words[1:] if words[0] == "spade-eval" else ["benchmark", *words[2:]]
    # Its value is acted on as soon as it is read: the shell of whoever runs the tests would change.
    assert "--install-completion" not in rest
    command: Any = typer.main.get_command(app)
    context = command.make_context("spade-eval", list(rest))
    # A group without a command of its own, as `bench --help`, is parsed itself.
    while hasattr(command, "resolve_command") and rest and not rest[0].startswith("-"):
        _, command, rest = command.resolve_command(context, rest)
    context = command.make_context("command", list(rest))
    require_effects(command.callback or parsed, context)
    return dict(context.params)


def test_every_page_with_commands_is_read() -> None:
    assert len(COMMANDS) >= 100
    assert {page for page, _ in COMMANDS} >= {
        "README.md", "ablations.md", "distributed.md", "html_report.md", "reports.md", "speed.md",
        "training.md", "traps.md",
    }  # fmt: skip


# Paths of the repository; not the ends of longer ones.
PLACES = (
    r"(?<![\w/.])(?:models|segmenters|reports|spade_eval|tests|docs)/[\w./-]*\w\.(?:py|md|csv)\b"
)
# Files that a page tells the reader to write, or that are gone.
WRITTEN = {"x.py", "painter.py", "painting.py", "voting.py", "psnr.py", "gardens.py", "roofline.md"}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {ROOT / name for name in re.findall(PLACES, text)}
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
    named |= {page.parent / name for name in links}
    missing = sorted(str(path) for path in named if not path.exists() and path.name not in WRITTEN)
    assert missing == []


def test_the_way_of_a_label_map_names_the_file_at_every_arrow() -> None:
    drawn = re.findall(r"^```text\n(.*?)^```", HOUSE, re.DOTALL | re.MULTILINE)[0]
    arrows = re.split(r"^ +v[ v]*$", drawn, flags=re.MULTILINE)
    assert len(arrows) >= 10
    for arrow in arrows:
        assert re.search(PLACES, arrow), f"no file is named at\n{arrow}"
    assert len(HOUSE.splitlines()) <= 75, "one page"


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_the_flags_of_every_command_exist(page: str, line: str) -> None:
    parsed(line)


@pytest.mark.parametrize(
    "line", [line for page, line in COMMANDS if page == "distributed.md" and "--gpus" in line]
)
def test_the_distributed_page_names_the_gpus_of_each_node(line: str) -> None:
    assert parsed(line)["gpus"] in (2, 8)


def test_a_flag_without_effect_is_noticed() -> None:
    with pytest.raises(ValueError, match="--score-images 3 has an effect only with --score-every"):
        parsed("spade-eval train --score-images 3")


@pytest.mark.parametrize("wrong", ["--stepz", "trian"])
def test_another_flag_or_command_is_noticed(wrong: str) -> None:
    with pytest.raises(Exception, match=f"No such .*{wrong}"):  # click's, or typer's copy of it
        parsed(f"spade-eval train {wrong}" if wrong.startswith("-") else f"spade-eval {wrong}")
