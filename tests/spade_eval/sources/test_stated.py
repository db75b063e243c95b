# SPDX-License-Identifier: Apache-2.0
"""What makers state of rows: read, bounded, part of the row, never against what is known."""

import csv
from pathlib import Path
from typing import Any

import pytest
from source_splits import split_of

from spade_eval.cli import main
from spade_eval.cli.benchmark.outside import OutsideFlags
from spade_eval.errors import UserError
from spade_eval.records import Measurement, RecordStore
from spade_eval.sources.called import called
from spade_eval.sources.stated import FIELDS, stated_facts, with_known


def test_values_are_those_of_the_records() -> None:
    assert FIELDS.keys() <= Measurement.__dataclass_fields__.keys()
    said = {"trained_with_segmenter": "related", "guidance": "7.5",
            "sampling_steps": 20, "text_input": " BLIP\n captions "}  # fmt: skip
    assert stated_facts(said, "mine") == {
        "trained_with_segmenter": "related", "guidance": 7.5,
        "sampling_steps": 20, "text_input": "BLIP captions",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("trained_with_segmenter", "yes", "expected one of none, related, scoring"),
        ("sampling_steps", "0", "expected a whole number from 1 on"),
        ("sampling_steps", "2.5", "expected a whole number from 1 on"),
        ("guidance", "-1", "expected a number from 0 on"),
        ("guidance", "nan", "expected a number from 0 on"),
        ("guidance", "1e400", "expected a number from 0 on"),
        ("text_input", "x" * 501, "expected a text of at most 500 letters"),
        ("text_input", " ", "expected a text"),
        ("text_input", 3, "expected a text"),
        ("miou", "1", "no fact that can be stated of mine is called 'miou'"),
    ],
)
def test_other_values_are_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        stated_facts({name: value}, "mine")


def test_what_is_known_is_not_stated_otherwise() -> None:
    known = {"guidance": 2.0, "text_input": None}
    stated = {"guidance": 2.0, "text_input": "none"}
    assert with_known(stated, known, "mine") == {"text_input": "none"}
    with pytest.raises(UserError, match=r"guidance=3\.0 is stated, but it is known to be 2\.0"):
        with_known({"guidance": 3.0}, known, "mine")


def test_an_attribute_of_a_generator_states_as_well() -> None:
    class Grey:
        value_range = "[0,1]"
        stated = {"trained_with_segmenter": "none"}  # noqa: RUF012

        def __call__(self, batch: Any) -> Any:
            return (batch.label_map[:, None] / 255.0).expand(-1, 3, -1, -1)

    plain, other = called(Grey())(split_of()), Grey()
    other.stated = {"trained_with_segmenter": "scoring"}  # type: ignore[misc]
    changed = called(other)(split_of())
    assert plain.identity["trained_with_segmenter"] == "none"
    assert plain.identity != changed.identity
    other.stated = {"trained_with_segmenter": "perhaps"}  # type: ignore[misc]
    with pytest.raises(UserError, match=r"generator mine: trained_with_segmenter='perhaps'"):
        called(other)(split_of())


def test_flags_name_a_row_or_all() -> None:
    flags = OutsideFlags(state=["text_input=none", "b:guidance=2", "a:text_input=none"])
    assert flags.stated(["a", "b"]) == {
        "a": {"text_input": "none"}, "b": {"text_input": "none", "guidance": 2.0}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["text_input"], r"expected \[NAME:\]FIELD=VALUE"),
        (["text_input="], r"expected \[NAME:\]FIELD=VALUE"),
        (["c:text_input=none"], r"with a NAME of --images, --checkpoint or --generator \(a, b\)"),
        (["text_input=none", "a:text_input=x"], "text_input of a is 'none' by another --state"),
    ],
)
def test_flags_that_say_nothing_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        OutsideFlags(state=words).stated(["a", "b"])


MODULE = """
class Painter:
    value_range = "[0,1]"

    def __call__(self, batch):
        return (batch.label_map[:, None] / 255.0).expand(-1, 3, -1, -1)
"""


def ran(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def test_score_takes_a_generator_and_what_is_stated(
    four_scenes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "painting_of_stated.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    command = ["score", "--generator", "mine=painting_of_stated:Painter", "--device", "cpu",
               "--out", "run"]  # fmt: skip
    assert not ran(*command, "--state", "trained_with_segmenter=related"), capsys.readouterr().err
    capsys.readouterr()
    assert not ran("--json", *command, "--state", "trained_with_segmenter=related")
    assert '"measured": []' in capsys.readouterr().out
    assert not ran("--json", *command, "--state", "trained_with_segmenter=none")
    assert '"measured": ["mine"]' in capsys.readouterr().out  # another row, scored again
    store = [item for item in RecordStore(Path("run/records.jsonl")) if item.source == "mine"]
    assert {item.trained_with_segmenter for item in store} == {"related", "none"}
    with Path("run/tables/scores.csv").open(newline="") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert rows["mine"]["trained_with_segmenter"] == "none"
    assert rows["mine"]["text_input"] == "not stated"
    assert rows["grey"]["text_input"] == ""
    assert rows["mine"]["real_miou"] == rows["real"]["miou"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "score: nothing to score; give NAME=PATH"),
        (["mine=a.b:c"], "give it as --generator mine=a.b:c"),
        (["mine"], "expected NAME=PATH, for example score mine=folder; a generator is given by"),
        (["a.b:c"], "give it as --generator mine=a.b:c"),
        (["mine=diffusers:x/y"], "give it as --generator mine=diffusers:x/y"),
        (["./it {label} {out}"], "give it as --generator 'mine=./it {label} {out}'"),
    ],
)
def test_score_tells_of_generators(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran("score", *words) == 2
    assert told in capsys.readouterr().err
