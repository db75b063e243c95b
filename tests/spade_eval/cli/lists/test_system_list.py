# SPDX-License-Identifier: Apache-2.0
"""Every system has a row of docs/systems.md, made of its classes and of what its file says."""

import re
from pathlib import Path

import pytest

from spade_eval.cli import main
from spade_eval.cli.lists.system_list import listed_systems
from spade_eval.models.systems.presets import GENERATORS, systems
from spade_eval.reports.tables.systems import SystemFacts, systems_text

PAGE = Path(__file__).resolve().parents[4] / "docs" / "systems.md"


@pytest.fixture(scope="module")
def facts() -> dict[str, SystemFacts]:
    return {item.model: item for item in listed_systems()}


@pytest.mark.parametrize("name", systems())
def test_every_system_states_what_no_class_can_know(name: str) -> None:
    """A system without its paper, protocol or licence is an error, not a dash."""
    system = systems()[name]
    assert "original" in vars(system), f"{system.__name__} lacks `original`: see base.Original"
    own = system.original
    for field in ("paper", "objective", "protocol", "licence"):
        text = getattr(own, field)
        assert text == text.strip() != "", f"{name}: {field} is not stated"
        assert len(text) > 2
    assert re.search(r"(19|20)\d\d", own.paper), f"{name}: the paper has no year"
    network = next(p.network for p in GENERATORS.values() if p.system is system)
    assert bool(own.released) == hasattr(network, "published"), (
        f"{name}: files that load are those of networks with `published`, and no others"
    )


def test_papers_are_told_apart() -> None:
    originals = {id(system.original): system.original for system in systems().values()}
    assert len({original.paper for original in originals.values()}) == len(originals)


def test_facts_are_those_of_the_classes(facts: dict[str, SystemFacts]) -> None:
    shown = [GENERATORS[model].system.name for model in facts]
    assert shown == [name for name in systems() if name != "ace"]  # a row of SEAN's paper
    assert {name for item in facts.values() for name in (item.model, *item.others)} == set(
        GENERATORS
    )
    assert facts["munit"].parameters == dict.fromkeys(
        ("ADE20K", "COCO-Stuff", "Cityscapes"), 15_026_187
    )
    assert "unpaired" in facts["unit"].trained
    assert "1,000,000 steps; batch 1" in facts["unit"].trained
    assert "average of weights, 0.9999" in facts["oasis"].trained
    assert facts["spade"].sees == ("label map, one-hot; instance edges (COCO-Stuff, Cityscapes)")
    assert facts["oasis"].sees == "label map, one-hot; noise of 64 numbers"
    assert facts["unit"].sees == "label map in colours"
    assert facts["munit"].sees == (
        "label map in colours; noise of 8 numbers; or a style photo in its place"
    )


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    """But for what was measured, which is in records: those cells and the notes below them."""
    page = tmp_path / "systems.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["models", "--into", str(page)])
    assert not ended.value.code
    assert _without_scores(page) == _without_scores(PAGE)


def _without_scores(page: Path) -> list[list[str]]:
    (block,) = re.findall(
        r"^<!-- systems -->$(.*?)^<!-- /systems -->$", page.read_text(encoding="utf-8"), re.M | re.S
    )
    rows = [line.split(" | ") for line in block.splitlines() if line.startswith("|")]
    place = rows[0].index("measured here")
    assert len(rows) == 2 + len({system.original.paper for system in systems().values()})
    return [[cell for column, cell in enumerate(row) if column != place] for row in rows]


def test_runs_and_csv_without_a_page_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "--run", "runs/x"])
    assert ended.value.code == 2
    assert "with --into" in capsys.readouterr().err


def test_a_page_without_the_block_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(SystemExit) as ended:
        main(["models", "--into", str(page), "--run", str(tmp_path / "none")])
    assert ended.value.code == 2
    assert "expected exactly one block" in capsys.readouterr().err


def test_without_runs_every_score_is_a_dash(facts: dict[str, SystemFacts]) -> None:
    text = systems_text(list(facts.values()), [])
    assert text.count(" | - | ") == len(facts)
