# SPDX-License-Identifier: Apache-2.0
import pytest

from spade_eval.models.losses import OBJECTIVES
from spade_eval.models.systems.settings import difference, training_settings


def test_two_time_scales() -> None:
    spade = training_settings("spade", "paper")
    assert (spade.generator_learning_rate, spade.discriminator_learning_rate) == (1e-4, 4e-4)
    pix2pixhd = training_settings("pix2pixhd", "release")
    assert pix2pixhd.generator_learning_rate == pix2pixhd.discriminator_learning_rate == 2e-4


@pytest.mark.parametrize("method", ["spade", "pix2pixhd"])
@pytest.mark.parametrize("which", ["paper", "release"])
def test_objectives_exist(method: str, which: str) -> None:
    assert training_settings(method, which).objective in OBJECTIVES


def test_the_difference_lists_what_differs_and_nothing_else() -> None:
    found = {row.setting: row for row in difference("spade", "cityscapes")}
    assert found["betas"].paper == "(0.0, 0.999)"
    assert found["betas"].release == "(0.0, 0.9)"
    assert (found["batch_size"].paper, found["batch_size"].release) == ("32", "16")
    assert "learning_rate" not in found
    assert "residual block" in found
    assert difference("pix2pixhd") == []


def test_datasets_change_epochs() -> None:
    assert training_settings("spade", "paper", "cocostuff").decay_epochs == 0
    assert training_settings("spade", "paper", "ade20k").decay_epochs == 100


def test_unknown_settings_are_answered() -> None:
    with pytest.raises(ValueError, match="known: spade paper"):
        training_settings("gaugan", "paper")
