# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from spade_eval.models.systems.presets import GENERATORS, systems
from spade_eval.models.systems.settings import changed, difference, resolved, settings_of
from spade_eval.models.systems.spade import SPADE, Pix2PixHD


def test_two_time_scales() -> None:
    rates = {name: item.rate for name, item in settings_of(SPADE, "paper").optimizers.items()}
    assert rates == {"G": 1e-4, "D": 4e-4}
    rates = {name: item.rate for name, item in settings_of(Pix2PixHD, "release").optimizers.items()}
    assert rates == {"G": 2e-4, "D": 2e-4}


@pytest.mark.parametrize("name", systems())
def test_every_method_has_both_sets_and_an_optimizer_for_each_update(name: str) -> None:
    system = systems()[name]
    assert {which for which, dataset in system.settings if not dataset} == {"paper", "release"}
    for settings in system.settings.values():
        assert settings.optimizers


def test_the_difference_lists_what_differs_and_nothing_else() -> None:
    rows = {row.setting: row for row in difference(SPADE, "cityscapes")}
    assert rows["betas"].paper == "(0.0, 0.999)"
    assert rows["betas"].release == "(0.0, 0.9)"
    assert (rows["batch_size"].paper, rows["batch_size"].release) == ("32", "16")
    assert "rate" not in rows
    assert "residual block" in rows
    assert difference(Pix2PixHD) == []


def test_datasets_change_epochs() -> None:
    assert settings_of(SPADE, "paper", "cocostuff").decay_epochs == 0
    assert settings_of(SPADE, "paper", "ade20k").decay_epochs == 100


def test_presets_change_settings_by_dotted_names() -> None:
    plain = resolved(GENERATORS["spade"], "paper", "ade20k")
    bare = resolved(GENERATORS["spade_without_perceptual"], "paper", "ade20k")
    assert (plain.objective.perceptual_weight, bare.objective.perceptual_weight) == (10.0, 0.0)
    assert bare == changed(plain, {"objective.perceptual_weight": 0.0})
    faster = changed(plain, {"optimizers.D.rate": 1.0})
    assert (faster.optimizers["D"].rate, faster.optimizers["G"].rate) == (1.0, 1e-4)
    assert dataclasses.replace(faster, optimizers=plain.optimizers) == plain


@pytest.mark.parametrize("name", ["optimiser", "objective.weight", "optimizers.E.rate"])
def test_a_setting_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no setting .*; known: "):
        changed(settings_of(SPADE, "paper"), {name: 1})


def test_unknown_settings_are_answered() -> None:
    with pytest.raises(ValueError, match="spade has no settings called 'gaugan'; known: paper"):
        settings_of(SPADE, "gaugan")  # type: ignore[arg-type]
