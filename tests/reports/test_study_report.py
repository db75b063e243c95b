# SPDX-License-Identifier: Apache-2.0
"""What a study's report says of people whose answers are known."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import studies

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.pages.study.making import Made
from spade_eval.reports.statistics.preferences import clopper_pearson
from spade_eval.reports.study_report import write_study_report

Prefers = Callable[[str, str], str]


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no plot, which takes seconds, but in the test of the commands."""
    if "commands" not in request.node.name:
        monkeypatch.setattr("spade_eval.reports.study_report.has_plots", lambda: False)


def collect(made: Made, *people: Prefers) -> None:
    """Have each sheet answered by a person; the last one given answers all that are left."""
    folder = made.folder / "answers"
    folder.mkdir()
    for sheet in range(len(made.key.drawn.sheets)):
        prefers = people[min(sheet, len(people) - 1)]
        answers = studies.answered(made.key, sheet, f"person{sheet:03d}", prefers)
        (folder / f"person{sheet:03d}.json").write_text(answers.as_json())


def left(one: str, other: str) -> str:
    return one


def drawn(seed: int, chance: float = 0.7) -> Prefers:
    numbers = np.random.default_rng(seed)

    def prefers(one: str, other: str) -> str:
        if "noise" in (one, other):
            return "real"
        wanted, unwanted = sorted((one, other), key=studies.ROWS.index)
        return wanted if numbers.random() < chance else unwanted

    return prefers


def test_nothing_collected_is_one_line(tmp_path: Path) -> None:
    made = studies.make(tmp_path)
    with pytest.raises(UserError, match="no answers were collected yet"):
        write_study_report(made.folder, tmp_path / "report")


def test_the_table_counts_what_was_answered(tmp_path: Path) -> None:
    """Two rows, 12 images, each asked twice; of the 24 answers the count is known one by one."""
    made = studies.make(tmp_path, ("spade", "concat"), questions=12, per_person=24, repeats=2)
    collect(made, studies.better, drawn(3, 0.5))
    written = write_study_report(made.folder, tmp_path / "report", 0)
    answers = pd.read_csv(tmp_path / "report" / "answers.csv")
    assert len(answers) == sum(map(len, made.key.drawn.sheets))
    pairs = answers[answers["kind"] == "pair"]
    wins = int((pairs["chosen"] == "spade").sum())
    assert 12 <= wins < 24
    line = pd.read_csv(tmp_path / "report" / "preferences.csv").iloc[0]
    assert (line["row"], line["over"], line["data"]) == ("spade", "concat", "scenes val")
    assert (line["decided"], line["ties"], line["images"]) == (24, 0, 12)
    assert line["preference"] == wins / 24
    assert (line["exact_low"], line["exact_high"]) == pytest.approx(clopper_pearson(wins, 24))
    assert line["clustered_low"] < line["preference"] < line["clustered_high"]
    assert f"{100 * wins / 24:.1f}" in written.text
    assert "strengths" not in " ".join(map(str, written.paths))


def test_the_papers_numbers_stand_below(tmp_path: Path) -> None:
    made = studies.make(tmp_path)
    collect(made, drawn(1))
    write_study_report(made.folder, tmp_path / "report")
    frame = pd.read_csv(tmp_path / "report" / "preferences.csv")
    printed = frame[frame["data"].str.endswith(", printed")]
    assert len(printed) == 10  # Table 2 has 12 places, two of them without a number
    crn = printed[(printed["over"] == "CRN") & printed["data"].str.startswith("COCO-Stuff")].iloc[0]
    assert crn["preference"] == pytest.approx(0.7976)
    # 1,994 of 2,500
    assert (crn["exact_low"], crn["exact_high"]) == pytest.approx(clopper_pearson(1994, 2500))
    latex = (tmp_path / "report" / "preferences.tex").read_text()
    assert "pix2pixHD" in latex
    assert r"\toprule" in latex


def test_who_takes_noise_for_a_photo_is_left_out_and_named(tmp_path: Path) -> None:
    def blind(one: str, other: str) -> str:
        return max((one, other), key=("real", *studies.ROWS, "noise").index)

    made = studies.make(tmp_path, ("spade", "concat"), checks=2)
    collect(made, blind, studies.better)
    written = write_study_report(made.folder, tmp_path / "report")
    people = pd.read_csv(tmp_path / "report" / "people.csv")
    assert list(people["counts"]) == [False] + [True] * (len(people) - 1)
    assert list(people["checks_right"]) == [0] + [2] * (len(people) - 1)
    assert (people["repeats_equal"] == people["repeats"]).all()
    line = pd.read_csv(tmp_path / "report" / "preferences.csv").iloc[0]
    assert line["preference"] == 1
    assert any(note.startswith(f"Left out, who took noise for photos: 1 of {len(people)}")
               and "spade over concat 66.7%" in note for note in written.notes)  # fmt: skip


def test_a_liking_for_the_left_is_said(tmp_path: Path) -> None:
    made = studies.make(tmp_path, checks=0)
    collect(made, left)
    written = write_study_report(made.folder, tmp_path / "report")
    assert any("left image was chosen in 100.0%" in note for note in written.notes)
    people = pd.read_csv(tmp_path / "report" / "people.csv")
    assert (people["left"] == 1).all()
    assert (people["repeats_equal"] == 0).all()  # sides are exchanged


def test_ties_are_counted_and_left_out(tmp_path: Path) -> None:
    made = studies.make(tmp_path, ("spade", "concat"), ties=True, checks=0)
    collect(made, lambda one, other: "tie")
    written = write_study_report(made.folder, tmp_path / "report")
    line = pd.read_csv(tmp_path / "report" / "preferences.csv").iloc[0]
    assert (line["decided"], line["ties"]) == (0, 12)
    assert np.isnan(line["preference"])
    assert "nan" not in written.text


def test_strengths_of_three_rows(tmp_path: Path) -> None:
    made = studies.make(tmp_path, questions=12, each=4, per_person=36)
    collect(made, *(drawn(seed) for seed in range(4)))
    write_study_report(made.folder, tmp_path / "report")
    frame = pd.read_csv(tmp_path / "report" / "strengths.csv")
    assert list(frame["row"]) == list(studies.ROWS)
    assert frame["strength"].sum() == pytest.approx(0)
    assert (frame["low"] < frame["strength"]).all()
    assert (frame["strength"] < frame["high"]).all()


def test_without_any_loss_there_are_no_strengths(tmp_path: Path) -> None:
    made = studies.make(tmp_path)
    collect(made, studies.better)
    written = write_study_report(made.folder, tmp_path / "report")
    assert "No strengths: some row wins, or loses, all answers" in written.text


def test_the_page_shows_what_people_disagree_about(tmp_path: Path) -> None:
    """Two people: one prefers by the rows' order, the other against it on one image alone."""
    made = studies.make(tmp_path, ("spade", "concat"), questions=4, per_person=4, checks=0,
                        repeats=0)  # fmt: skip
    folder = made.folder / "answers"
    folder.mkdir()
    first = studies.answered(made.key, 0, "person000", studies.better)
    other = studies.answered(made.key, 1, "person001", studies.better)
    worse = studies.answered(made.key, 1, "person001", max)  # "spade" > "concat"
    worst = studies.answered(made.key, 1, "person001", min)
    assert worse == other
    mixed = (*other.answers[:3], worst.answers[3])
    for item in (first, type(other)(**{**vars(other), "answers": mixed})):
        (folder / f"{item.person}.json").write_text(item.as_json())
    write_study_report(made.folder, tmp_path / "report")
    page = (tmp_path / "report" / "html" / "index.html").read_text()
    asked = made.key.drawn.sheets[1][3].question
    image = made.key.drawn.questions[asked].image
    assert re.findall(r"<h3>(val_\d+) ", page) == [image]
    pictures = {path.name for path in (tmp_path / "report" / "html" / "images").iterdir()}
    assert pictures == {made.key.file_name(asked, part) for part in ("map", "first", "second")}
    assert all(f"images/{name}" in page for name in pictures)
    assert re.findall(r'class="score">(\d+)<', page) == ["1", "1"]


def test_hostile_names_are_text(tmp_path: Path) -> None:
    made = studies.make(tmp_path, ("spade", "concat"))
    collect(made, drawn(0))
    write_study_report(made.folder, tmp_path / "report")
    page = made.page.read_text()
    assert studies.HOSTILE not in page
    assert "\\u003cimg src=x" in page


def test_commands_make_collect_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    studies.write_run(tmp_path / "runs" / "one")

    def told(*words: str) -> dict[str, object]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        said = json.loads(capsys.readouterr().out)
        assert said["exit_code"] == (ended.value.code or 0)
        return dict(said)

    made = told("study", "make", "--rows", "spade, concat", "--questions", "4", "--each", "2")
    assert made["sheets"] == 2
    assert made["written"] == ["study/handout/index.html", "study/key.json"]
    refused = told("study", "make", "--rows", "spade,concat")
    assert "--out study: holds an earlier study" in str(refused["error"])
    refused = told("study", "make", "--rows", "spade,crn", "--out", "other")
    assert "no run folder in runs/ has images of all" in str(refused["error"])
    # Rows may be words of their own, up to the next flag, and RUN may stand behind a whole list.
    few = ("--questions", "4", "--each", "2")
    for words in (
        ("--rows", "spade", "concat", *few, "--out", "words"),
        ("runs/one", "--rows", "spade", "concat", "--out", "last", *few),
        (*few, "--out", "before", "runs/one", "--rows", "spade", "concat"),
        (*few, "--out", "list", "--rows", "spade,concat", "runs/one"),
    ):
        assert told("study", "make", *words)["sheets"] == 2, words
    refused = told("study", "make", "--rows", "spade", "--out", "other")
    assert "error" in refused
    assert told("study", "make", "--out", "other", "--rows")["exit_code"] == 2
    refused = told("study", "report", "study")
    assert "no answers were collected yet" in str(refused["error"])

    from spade_eval.pages.study.key import open_key

    key = open_key(tmp_path / "study")
    for sheet in range(2):
        answers = studies.answered(key, sheet, f"person{sheet}", studies.better)
        (tmp_path / f"{sheet}.json").write_text(answers.as_json())
    said = told("study", "collect", "study", "0.json", "1.json")
    assert (said["people"], said["added"]) == (2, said["answers"])
    said = told("study", "report", "study")
    rows = said["rows"]
    assert isinstance(rows, list)
    assert (rows[0]["row"], rows[0]["preference"]) == ("spade", 1.0)
    assert "report/preferences.csv" in str(said["written"])
    assert "report/preferences.svg" in str(said["written"])
