# SPDX-License-Identifier: Apache-2.0
"""Whether the intervals of a study hold known preferences; docs/study.md has more of it."""

import math

import numpy as np
import pytest

from spade_eval.reports.statistics.preferences import answers_needed
from spade_eval.reports.statistics.simulated_people import People, validate_people

_DRAWS = 120
_FOUR_DEVIATIONS = 4 * math.sqrt(0.95 * 0.05 / _DRAWS)


def test_independent_answers_are_held_by_every_interval() -> None:
    held = validate_people(People(images=60, each=3, per_person=20, mean=0.4), _DRAWS)
    assert min(held.coverage.values()) > 0.95 - _FOUR_DEVIATIONS
    assert abs(held.bias) < 4 * math.sqrt(0.25 / 180 / _DRAWS)


def test_answers_about_shared_images_need_the_bootstrap_over_images() -> None:
    held = validate_people(People(images=60, each=6, per_person=30, image_sd=2.0), _DRAWS)
    assert held.coverage["exact"] < 0.85
    assert held.coverage["clustered"] > 0.95 - _FOUR_DEVIATIONS
    assert held.coverage["alpha"] > 0.95 - _FOUR_DEVIATIONS


def test_people_with_minds_of_their_own_need_the_third_interval() -> None:
    people = People(images=60, each=6, per_person=30, image_sd=1.0, person_sd=1.5)
    held = validate_people(people, _DRAWS)
    assert held.coverage["clustered"] < 0.85
    assert held.coverage["crossed"] > 0.95 - _FOUR_DEVIATIONS


def test_where_there_is_no_difference_few_see_one() -> None:
    held = validate_people(People(images=60, each=5, per_person=30, mean=0.0, image_sd=1), _DRAWS)
    assert held.people.preference == pytest.approx(0.5)
    assert held.verdicts["clustered"] < 0.05 + _FOUR_DEVIATIONS
    assert held.verdicts["exact"] > held.verdicts["clustered"]


def test_the_needed_answers_show_the_difference_four_times_in_five() -> None:
    people = People(images=int(answers_needed(0.7)), each=1, mean=math.log(7 / 3))
    assert people.preference == pytest.approx(0.7)
    held = validate_people(people, 200)
    assert held.verdicts["exact"] == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 200))


def test_the_truth_of_a_population_is_that_of_very_many_answers() -> None:
    people = People(
        images=200_000, each=2, per_person=2, mean=0.7, image_sd=1.2, left=0.8, lapses=0.1
    )
    votes = people.answered(np.random.default_rng(0))
    # 400 000 answers: 4 deviations of the mean are 0.004.
    assert votes.wins / len(votes) == pytest.approx(people.preference, abs=0.004)
    counts = votes.by_image(people.images)
    from spade_eval.reports.statistics.agreement import krippendorff_alpha

    assert krippendorff_alpha(counts) == pytest.approx(people.alpha, abs=0.01)
