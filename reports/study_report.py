# SPDX-License-Identifier: Apache-2.0
"""Everything that can be shown of a preference study: tables, plot, page of disputed questions."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from spade_eval.errors import UserError
from spade_eval.pages.study.collecting import collected
from spade_eval.pages.study.key import HANDOUT, Key, open_key
from spade_eval.pages.study.making import IMAGES
from spade_eval.reports.html.disputed import Disputed, write_study_page
from spade_eval.reports.html.report_data import Section
from spade_eval.reports.plots.preferences import plot_preferences
from spade_eval.reports.run_report import NO_PLOTS, RunReport, files_of, has_page, has_plots
from spade_eval.reports.statistics.agreement import alpha_with_interval
from spade_eval.reports.statistics.bootstrap import Floats, draw_counts, drawn_images
from spade_eval.reports.statistics.preferences import Preference, left_share, preference
from spade_eval.reports.statistics.strengths import strengths_with_intervals
from spade_eval.reports.statistics.study_answers import Pair, StudyAnswers
from spade_eval.reports.tables.formats import text_with_notes
from spade_eval.reports.tables.preferences import people_table, preference_table, strength_table
from spade_eval.reports.tables.table import Table
from spade_eval.reports.tables.writing import write_csv, write_forms

MOST_DISPUTED = 40  # questions on the page


def write_study_report(study_folder: Path, folder: Path, seed: int = 0) -> RunReport:
    """Write all of a study into a folder; a `UserError` where nothing was collected yet."""
    key = open_key(study_folder)
    everybody = collected(study_folder, key)
    if not everybody:
        raise UserError(
            f"{study_folder}: no answers were collected yet, so there is nothing to report; run "
            f"`spade-eval study collect {study_folder} FILE...` first"
        )
    study = StudyAnswers.of(key, everybody)
    times = draw_counts(drawn_images(len(study.images), seed=seed))
    tables = {"preferences": _preferences(study, times)}
    if len(key.settings.rows) > 2:
        strengths = strengths_with_intervals(study.wins_by_image(), times)
        tables["strengths"] = strength_table(key.settings.rows, strengths)
    tables["people"] = people_table(study.people)
    paths = [path for stem, table in tables.items() for path in write_forms(table, folder, stem)]
    paths.append(write_csv(_answers_frame(study), folder / "answers.csv"))
    title = f"Preferences of {len(study.people)} people"
    plots = [plot_preferences(tables["preferences"], title, folder)] if has_plots() else []
    paths += files_of(plots)
    if has_page():
        sections = tuple(
            Section(anchor=stem, nav=stem.capitalize(), title=table.title, tables=(table,))
            for stem, table in tables.items()
        )
        paths.append(
            write_study_page(
                title, sections, plots, disputed(study), study_folder / HANDOUT / IMAGES,
                folder / "html",
            )
        )  # fmt: skip
    lines = [line for table in tables.values() for line in [table.title, "",
             *text_with_notes(table), ""]]  # fmt: skip
    text = "\n".join([*lines[:-1], *([] if plots else [NO_PLOTS])])
    records = tables["preferences"].frame.to_dict("records")
    rows = tuple({str(name): value for name, value in record.items()} for record in records)
    return RunReport(tuple(paths), text, rows, tables["preferences"].notes)


def _preferences(study: StudyAnswers, times: Floats) -> Table:
    found: list[tuple[Pair, Preference, tuple[float, float, float]]] = []
    for pair in study.pairs:
        votes = study.votes(pair)
        alpha = alpha_with_interval(votes.by_image(times.shape[1]), times)
        found.append((pair, preference(votes, times), alpha))
    return preference_table(study, found, list(_notes(study)))


def _notes(study: StudyAnswers) -> Sequence[str]:
    decided = [item.side == "left" for item in study.counted if item.side != "tie"]
    counting = sum(person.counts for person in study.people)
    notes = [f"{len(study.counted):,} answers of {counting} people count."]
    if decided:
        share, low, high = left_share(decided)
        notes[0] += (
            f" The left image was chosen in {share:.1%} ({low:.1%} to {high:.1%}) of the decided "
            "ones."
        )
    out = [person for person in study.people if not person.counts]
    if out:
        otherwise = "; ".join(
            f"{pair[0]} over {pair[1]} {votes.wins / votes.decided:.1%}"
            for pair in study.pairs
            if (votes := study.votes(pair, of_all=True)).decided
        )
        notes.append(
            f"Left out, who took noise for photos: {len(out)} of {len(study.people)} people; with "
            f"them: {otherwise or 'no decided answers'}."
        )
    return notes


def disputed(study: StudyAnswers) -> list[Disputed]:
    """Return the questions about which most pairs of people disagree; then those of more answers.

    Disagreement is the share of pairs of answers that differ: what alpha compares with chance.
    """
    images = {name: place for place, name in enumerate(study.images)}
    found = []
    for pair in study.pairs:
        counts = study.votes(pair).by_image(len(images))
        places = _places(study.key, pair)
        for image, place in images.items():
            answers = counts[place]
            total = answers.sum()
            if total < 2 or image not in places:
                continue
            share = (total**2 - (answers**2).sum()) / (total * (total - 1))
            found.append(_disputed(study.key, pair, places[image], answers, float(share)))
    found.sort(key=lambda item: (-item.share, -sum(item.counts)))
    return [item for item in found if item.share > 0][:MOST_DISPUTED]


def _places(key: Key, pair: Pair) -> dict[str, int]:
    """{image: place of the question about it} of one pair."""
    return {
        question.image: place
        for place, question in enumerate(key.drawn.questions)
        if question.kind == "pair" and set(question.rows) == set(pair)
    }


def _disputed(key: Key, pair: Pair, place: int, answers: Floats, share: float) -> Disputed:
    question = key.drawn.questions[place]
    parts = ("first", "second") if question.rows == pair else ("second", "first")
    first, second, ties = (int(count) for count in answers)
    return Disputed(
        image=question.image,
        rows=pair,
        files=tuple(key.file_name(place, part) for part in ("map", *parts)),
        counts=(first, second, ties),
        share=share,
    )


def _answers_frame(study: StudyAnswers) -> pd.DataFrame:
    """Every answer; people have numbers, since the name of one may be a link that lets in."""
    number = {person.name: place for place, person in enumerate(study.people, start=1)}
    return pd.DataFrame(
        [
            {
                "person": number[item.person],
                "sheet": item.sheet + 1,
                "place": item.place + 1,
                "kind": item.question.kind,
                "image": item.question.image,
                "left": item.left,
                "right": item.right,
                "chosen": item.chosen or "tie",
                "seconds": item.seconds,
            }
            for item in study.answers
        ]
    )
