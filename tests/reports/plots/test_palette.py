# SPDX-License-Identifier: Apache-2.0
"""One colour a model in all figures of a report, whatever rows a figure shows and in what order."""

from synthetic import group, job, run

from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.plots.page import Palette
from spade_eval.reports.plots.training import model_of, training_looks


def test_a_model_looks_the_same_in_every_figure_of_a_report() -> None:
    small, large = group(run(["spade", "concat"])), group(run(["concat", "crn"], height=128))
    palette = Palette.of_groups([small, large])
    of_names = {name: palette.of(name) for name in ("spade", "concat", "crn")}
    assert len(set(of_names.values())) == 3
    again = Palette.of_groups([small, large])
    assert {name: again.of(name) for name in ("crn", "concat", "spade")} == of_names


def test_bounds_look_as_their_kind_and_take_no_colour_of_a_model() -> None:
    alone = Palette.of_groups([group(job("spade"))])
    beside = Palette.of_groups([group([*run(["spade"]), *job("grey", "grey")])])
    assert alone.of("spade") == beside.of("spade")
    assert beside.of("anything", "real") == alone.of("real", "real")
    looks = {beside.of("x", kind) for kind in REFERENCE_KINDS}
    assert len(looks) == len(REFERENCE_KINDS)
    assert beside.of("spade") not in looks


def test_the_eighth_model_has_a_marker_of_its_own() -> None:
    palette = Palette(str(place) for place in range(14))
    assert len({palette.of(str(place)) for place in range(14)}) == 14


def test_training_curves_have_the_colours_of_their_models() -> None:
    palette = Palette.of_groups([group(run(["spade", "concat"]))])
    trainings = ["concat-0123abcd", "spade-00000000", "spade-11111111", "given"]
    looks, dashes = training_looks(trainings, palette)
    assert looks["concat-0123abcd"] == palette.of("concat")[0]
    assert looks["spade-00000000"] == looks["spade-11111111"] == palette.of("spade")[0]
    assert dashes["spade-00000000"] != dashes["spade-11111111"]
    assert [model_of(name) for name in trainings] == ["concat", "spade", "spade", "given"]
