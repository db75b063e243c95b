# SPDX-License-Identifier: Apache-2.0
"""Answers: what is taken, and all that is refused by the name of its file."""

import json
from pathlib import Path
from typing import Any

import pytest
import studies

from spade_eval.errors import UserError
from spade_eval.pages.study.answers import Answers, judged
from spade_eval.pages.study.collecting import collect, collected
from spade_eval.pages.study.making import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return studies.make(tmp_path, ties=True)


def sent(made: Made, given: Answers, name: str = "a.json", **changes: Any) -> Path:
    path = made.folder.parent / name
    path.write_text(json.dumps({**json.loads(given.as_json()), **changes}))
    return path


def test_files_are_merged_and_judged(made: Made) -> None:
    key = made.key
    files = [
        sent(made, studies.answered(key, sheet, f"person{sheet}", studies.better), f"{sheet}.json")
        for sheet in range(3)
    ]
    found = collect(made.folder, key, files)
    assert [item.person for item in found.people] == ["person0", "person1", "person2"]
    assert found.added == sum(len(key.drawn.sheets[sheet]) for sheet in range(3))
    assert collected(made.folder, key) == list(found.people)
    for item in judged(found.people, key):
        assert item.chosen == studies.better(item.left, item.right)
        assert item.side == ("left" if item.chosen == item.left else "right")
    assert collect(made.folder, key, files).added == 0


def test_sides_and_ties_are_those_that_were_pressed(made: Made) -> None:
    ties = studies.answered(made.key, 0, prefers=lambda left, right: "tie")
    lefts = studies.answered(made.key, 0, prefers=lambda left, right: left)
    assert {item.chosen for item in judged([ties], made.key)} == {None}
    for item in judged([lefts], made.key):
        assert item.chosen == item.left


def test_who_goes_on_sends_more(made: Made) -> None:
    key = made.key
    part = studies.answered(key, 0, prefers=studies.better, count=2)
    whole = studies.answered(key, 0, prefers=studies.better)
    assert collect(made.folder, key, [sent(made, part)]).added == 2
    assert collect(made.folder, key, [sent(made, whole)]).added == len(whole.answers) - 2
    assert collect(made.folder, key, [sent(made, part)]).added == 0
    assert collected(made.folder, key) == [whole]


def test_two_files_of_one_person_that_disagree_are_refused(made: Made) -> None:
    key = made.key
    collect(made.folder, key, [sent(made, studies.answered(key, 0, prefers=min))])
    other = sent(made, studies.answered(key, 0, prefers=max), "other.json")
    with pytest.raises(UserError, match=r"other\.json: person .* has answered otherwise"):
        collect(made.folder, key, [other])


def test_answers_to_another_study_are_refused_by_name(made: Made) -> None:
    other = studies.make(made.folder.parent, seed=5)
    path = sent(made, studies.answered(other.key, 0), "foreign.json")
    with pytest.raises(UserError, match=r"foreign\.json: answers of another study"):
        collect(made.folder, made.key, [path])
    renamed = sent(made, studies.answered(other.key, 0), "renamed.json", study=made.key.study)
    with pytest.raises(UserError, match=r"renamed\.json: answer 1 is to another question"):
        collect(made.folder, made.key, [renamed])


def test_answers_that_were_changed_are_refused_by_name(made: Made) -> None:
    key = made.key
    sound = json.loads(studies.answered(key, 0).as_json())["answers"]

    def refused(answers: Any, message: str, **changes: Any) -> None:
        path = sent(made, studies.answered(key, 0), "bad.json", answers=answers, **changes)
        with pytest.raises(UserError, match=rf"bad\.json: .*{message}.*; refused, nothing was"):
            collect(made.folder, key, [path])
        assert collected(made.folder, key) == []

    def with_answer(place: int, **changes: Any) -> list[Any]:
        return [{**item, **changes} if at == place else item for at, item in enumerate(sound)]

    other_side = {"left": "right", "right": "left"}[sound[2]["side"]]
    refused(with_answer(2, side=other_side), "answer 3 was changed")
    refused(with_answer(2, code=sound[1]["code"]), "answer 3 was changed")
    refused(with_answer(2, side="both"), "side is 'both'")
    refused(with_answer(1, seconds=-1), "took -1 seconds")
    refused(with_answer(1, seconds="1"), "seconds is '1'")
    refused(with_answer(1, more=1), "not as the page writes it")
    refused(sound[::-1], "is to another question than its sheet asks there")
    refused([*sound, sound[0]], "7 answers to the 6 of its sheet")
    refused(sound, "there is no sheet 99", sheet=99)
    refused(sound, "there is no sheet -1", sheet=-1)
    refused(sound, "the name of the person", person="../../etc")
    refused({}, "expected study, person, sheet and answers")
    refused(sound, "unknown field 'more'", more=1)


def test_a_code_for_a_tie_holds_only_where_ties_are_offered(tmp_path: Path) -> None:
    made = studies.make(tmp_path)
    path = sent(made, studies.answered(made.key, 0, prefers=lambda left, right: "tie"))
    with pytest.raises(UserError, match="answer 1 was changed: its code is not that of 'tie'"):
        collect(made.folder, made.key, [path])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 3}', "\xff", "[" * 900])
def test_what_is_no_answer_is_one_line(made: Made, text: str) -> None:
    path = made.folder.parent / "text.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"text\.json: .*; refused, nothing was merged"):
        collect(made.folder, made.key, [path])
    with pytest.raises(UserError, match="No such file"):
        collect(made.folder, made.key, [made.folder / "absent.json"])


def test_one_wrong_file_stops_all(made: Made) -> None:
    sound = sent(made, studies.answered(made.key, 0), "sound.json")
    wrong = sent(made, studies.answered(made.key, 1, "person1"), "wrong.json", study="0" * 16)
    with pytest.raises(UserError, match=r"wrong\.json"):
        collect(made.folder, made.key, [sound, wrong])
    assert collected(made.folder, made.key) == []


def test_what_was_collected_is_checked_again(made: Made) -> None:
    found = collect(made.folder, made.key, [sent(made, studies.answered(made.key, 0))])
    path = found.written[0]
    path.write_text(path.read_text().replace('"left"', '"right"'))
    with pytest.raises(UserError, match="was changed"):
        collected(made.folder, made.key)


def test_damaged_files_are_refused_or_right(made: Made) -> None:
    """Of 300 files damaged from seeds none is taken with other answers than those given."""
    import random

    answers = studies.answered(made.key, 0)
    text = answers.as_json().encode()
    path = made.folder.parent / "damaged.json"
    taken = 0
    for seed in range(300):
        numbers = random.Random(seed)
        data = bytearray(text)
        for _ in range(numbers.choice((1, 1, 4))):
            data[numbers.randrange(len(data))] = numbers.choice(b'0123456789abcdef",{}[]: x\xff')
        path.write_bytes(data)
        try:
            found = collect(made.folder, made.key, [path]).people
        except UserError:
            continue
        taken += 1
        for person in found:
            assert [(a.question, a.side, a.code) for a in person.answers] == [
                (a.question, a.side, a.code) for a in answers.answers[: len(person.answers)]
            ]
        for file in (made.folder / "answers").glob("*.json"):
            file.unlink()
    assert taken < 60  # digits of seconds and of a person's name are anybody's guess
