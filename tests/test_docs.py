# SPDX-License-Identifier: Apache-2.0
"""What `docs/traps.md` and `docs/protocols.md` show is what the command line does."""

import re
import shlex
from pathlib import Path

import pytest

from spade_eval.cli import main
from spade_eval.protocol import protocol_for, table_lines

DOCS = Path(__file__).resolve().parents[1] / "docs"
TRAPS = (DOCS / "traps.md").read_text(encoding="utf-8")
PROTOCOLS = (DOCS / "protocols.md").read_text(encoding="utf-8")
# Each command with the lines that it is said to print.
SHOWN = [
    (shlex.split(command)[1:], printed.strip().splitlines())
    for command, printed in re.findall(r"^\$ (spade-eval .*)\n((?:(?!\$|```).*\n)*)", TRAPS, re.M)
]


def needs_files(arguments: list[str]) -> bool:
    return any(word.rpartition("=")[2] in ("DIR", "FILE") for word in arguments)


RUNNABLE = [shown for shown in SHOWN if not needs_files(shown[0])]


def test_all_traps_have_a_section_a_command_and_a_test() -> None:
    sections = re.split(r"^## ", TRAPS, flags=re.M)[1:]
    assert [int(section.split(".")[0]) for section in sections] == list(range(1, 28))
    assert all("$ spade-eval " in section for section in sections)
    tests = (Path(__file__).parent / "spade_eval" / "test_traps.py").read_text(encoding="utf-8")
    assert {int(n) for n in re.findall(r"^def test_(\d\d)_", tests, re.M)} == set(range(1, 28))


@pytest.mark.parametrize(("arguments", "printed"), RUNNABLE, ids=[" ".join(a) for a, _ in RUNNABLE])
def test_commands_without_foreign_files_print_what_is_shown(
    arguments: list[str], printed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    assert printed
    assert [line for line in printed if line not in [other.strip() for other in lines]
            and line not in lines] == []  # fmt: skip


def test_the_documented_table_is_that_of_the_code() -> None:
    assert "\n".join(table_lines()) in PROTOCOLS
    assert "\n".join(protocol_for("spade-paper", "cityscapes").lines()) in PROTOCOLS


def test_every_choice_of_a_protocol_is_printed() -> None:
    import dataclasses

    plain = protocol_for("spade-paper-b", "ade20k")
    said = "\n".join(plain.lines())
    other = {
        "profile": "x", "version": 9, "split": "train", "size": (1, 2), "photo_filter": "box",
        "label_filter": "box", "quantisation": "round", "segmenter": "x", "short_sides": (7,),
        "class_average": "x", "accuracies": ("x",), "fid_profiles": ("x",),
        "fid_reference": "x", "batch_size": 9, "about": "x", "until": "miou+-1",
        "segmenter_input": protocol_for("imaginaire", "cocostuff").segmenter_input,
        "left_out": (3,), "practice": protocol_for("aldm", "ade20k").practice,
        "given_maps": "ds",
    }  # fmt: skip
    assert set(other) == {field.name for field in dataclasses.fields(plain)}
    for name, value in other.items():
        changed = dataclasses.replace(plain, **{name: value})
        assert "\n".join(changed.lines()) != said, name
