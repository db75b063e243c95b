# SPDX-License-Identifier: Apache-2.0
"""Notes are said once, with ranges where only their numbers differ."""

from spade_eval.reports.measured.wording import said_once, wordings


def test_notes_that_differ_in_numbers_alone_become_one() -> None:
    notes = ["ratio is 0.91, 0.876 is usual", "other", "ratio is 0.871, 0.876 is usual", "other"]
    joined = "ratio is 0.871 to 0.91, 0.876 is usual"
    assert said_once(notes) == [joined, "other"]
    assert wordings(notes) == {notes[0]: joined, notes[1]: "other", notes[2]: joined}


def test_names_and_hashes_are_no_numbers() -> None:
    notes = ["ade20k of 6232d1c2", "ade21k of 6232d1c2", "ade20k of 7232d1c2", "v1.2.3", "v1.2.4"]
    assert said_once(notes) == notes
    assert said_once(["12 of row-1", "12 of row-1"]) == ["12 of row-1"]
    assert said_once([]) == []
