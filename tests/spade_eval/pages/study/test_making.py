# SPDX-License-Identifier: Apache-2.0
"""What is drawn, what is written, and what the folder that is handed out does not tell."""

import os
import stat
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import studies
from PIL import Image

from spade_eval.errors import UserError
from spade_eval.pages.study.key import open_key
from spade_eval.pages.study.making import Made, classes_in
from spade_eval.pages.study.questions import Settings, drawn, left_row


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return studies.make(tmp_path_factory.mktemp("made"))


# -------------------------------------------------------------- what is drawn


def settings(**changes: object) -> Settings:
    return Settings(**{"rows": studies.ROWS, **studies.SMALL, **changes})  # type: ignore[arg-type]


def test_every_question_is_asked_as_often_as_wanted() -> None:
    study = drawn(settings(questions=10, each=3, per_person=7), studies.STEMS)
    pairs = {place for place, item in enumerate(study.questions) if item.kind == "pair"}
    assert len(pairs) == 3 * 10
    asked = Counter(item.question for sheet in study.sheets for item in sheet)
    assert {asked[place] for place in pairs} == {3}
    assert len(study.sheets) == 3 * 5  # 30 questions in parts of 7, three times
    for sheet in study.sheets:
        kinds = Counter(study.questions[item.question].kind for item in sheet)
        assert kinds["pair"] in (7, 2)
        assert kinds["check"] == 1
        assert kinds["repeat"] == (kinds["pair"] == 7)  # there is no later place among 3
        assert len({item.question for item in sheet}) == len(sheet)


def test_all_pairs_are_asked_of_the_same_images() -> None:
    study = drawn(settings(), studies.STEMS)
    images: dict[frozenset[str], set[str]] = {}
    for item in study.questions:
        if item.kind == "pair":
            images.setdefault(frozenset(item.rows), set()).add(item.image)
    assert len(images) == 3
    assert len({frozenset(names) for names in images.values()}) == 1


def test_a_seed_draws_a_study_and_another_seed_another() -> None:
    assert drawn(settings(), studies.STEMS) == drawn(settings(), studies.STEMS)
    assert drawn(settings(), studies.STEMS) != drawn(settings(seed=1), studies.STEMS)


def test_sides_favour_no_row() -> None:
    """Of 600 places, 5 deviations of a fair coin are 61."""
    study = drawn(settings(questions=100, each=6, per_person=50, rows=("a", "b")),
                  [str(number) for number in range(100)])  # fmt: skip
    lefts = [
        left_row(study.questions[item.question], item)
        for sheet in study.sheets
        for item in sheet
        if study.questions[item.question].kind == "pair"
    ]
    assert len(lefts) == 600
    assert abs(lefts.count("a") - 300) < 61


def test_a_repeat_comes_later_with_its_sides_exchanged() -> None:
    study = drawn(settings(questions=12, per_person=12, repeats=4), studies.STEMS)
    for sheet in study.sheets:
        first = {}
        repeats = 0
        for place, item in enumerate(sheet):
            question = study.questions[item.question]
            about = (question.image, frozenset(question.rows))
            if question.kind == "pair":
                first[about] = (place, left_row(question, item))
            elif question.kind == "repeat":
                before, left = first[about]
                assert place > before + 3
                assert left_row(question, item) != left
                repeats += 1
        assert repeats == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ("spade",)}, "expected two different rows"),
        ({"rows": ("spade", "spade")}, "expected two different rows"),
        ({"questions": 13}, r"12 images of all of spade, concat, pix2pixhd are kept; give"),
        ({"repeats": 2}, "of 4 questions of --per-person at most 1 can come again later"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings(**changes).require(12)


# -------------------------------------------------------------- what is written


def test_the_folder_has_page_and_images_and_keeps_its_key_apart(made: Made) -> None:
    handed_out = {path.relative_to(made.folder / "handout") for path in
                  (made.folder / "handout").rglob("*") if path.is_file()}  # fmt: skip
    assert Path("index.html") in handed_out
    images = {path for path in handed_out if path.suffix == ".png"}
    assert len(images) == 3 * len(made.key.drawn.questions)
    assert len(handed_out) == len(images) + 1
    assert stat.S_IMODE(made.key_file.stat().st_mode) == 0o600


def test_nothing_handed_out_names_a_row_or_an_image(made: Made) -> None:
    texts = [path.read_bytes() for path in (made.folder / "handout").rglob("*") if path.is_file()]
    names = [str(path) for path in (made.folder / "handout").rglob("*")]
    page = made.page.read_text()
    data = page[page.index('id="report-data"') : page.index("</script>")]
    for secret in (*studies.ROWS, *studies.STEMS, made.key.secret, "noise", '"real"', "repeat"):
        assert not any(secret.encode() in text for text in texts if text.startswith(b"\x89PNG"))
        assert secret not in data
        assert not any(secret in name.removeprefix(str(made.folder)) for name in names)
    for secret in (*studies.STEMS, made.key.secret, "concat", "pix2pixhd"):
        assert secret not in page


def test_images_tell_nothing_but_their_pixels(made: Made) -> None:
    folder = made.folder / "handout" / "images"
    assert len({path.stat().st_mtime for path in folder.iterdir()}) == 1
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.info == {}
            assert image.size == (studies.SIZE, studies.SIZE)
    key = made.key
    for place, question in enumerate(key.drawn.questions):
        for part, row in zip(("first", "second"), question.rows, strict=True):
            if row == "noise":
                continue
            origin = made.folder.parent / "run" / "images" / row / f"{question.image}.png"
            shown = np.asarray(Image.open(folder / key.file_name(place, part)))
            assert (shown == np.asarray(Image.open(origin))).all()


def test_names_do_not_repeat_from_study_to_study(tmp_path: Path) -> None:
    studies.write_run(tmp_path / "run")
    names = []
    for seed in (1, 2):
        made = studies.make(tmp_path, seed=seed)
        names.append({path.name for path in (made.folder / "handout" / "images").iterdir()})
    assert not names[0] & names[1]


def test_the_key_reads_as_it_was_written(made: Made) -> None:
    again = open_key(made.folder)
    assert again == made.key
    assert again.study == made.key.study


def test_the_legend_has_the_classes_of_each_map() -> None:
    colors = list(studies.CLASSES.values())
    label_map = np.array([[colors[1], colors[1]], [colors[0], (1, 2, 3)]], np.uint8)
    assert classes_in(label_map, studies.CLASSES) == [1, 0]


def test_nothing_is_written_over(made: Made) -> None:
    before = sorted(path for path in made.folder.rglob("*"))
    with pytest.raises(UserError, match="holds an earlier study; nothing is written over"):
        studies.make(made.folder.parent)
    assert sorted(made.folder.rglob("*")) == before


def test_what_is_not_kept_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    studies.write_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"no images of 'other' are kept; expected rows among"):
        studies.make(tmp_path, ("spade", "other"))
    with pytest.raises(UserError, match=r"no images of '\.\./images/concat' are kept"):
        studies.make(tmp_path, ("spade", "../images/concat"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_study_that_fails_on_its_way_leaves_nothing(tmp_path: Path) -> None:
    run = studies.write_run(tmp_path / "run")
    (run / "images" / "spade" / "val_003.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="val_003"):
        studies.make(tmp_path, questions=12)
    assert not os.path.exists(tmp_path / "study0" / "handout")


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": "other"}', '{"format": 1}'])
def test_a_damaged_key_is_one_line(tmp_path: Path, damage: str) -> None:
    with pytest.raises(UserError, match="no study is here"):
        open_key(tmp_path)
    (tmp_path / "key.json").write_text(damage)
    with pytest.raises(UserError, match="the key of a study cannot be read"):
        open_key(tmp_path)
