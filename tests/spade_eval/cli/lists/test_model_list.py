# SPDX-License-Identifier: Apache-2.0
"""The list of generators: every one of them, with the paper's counts, as text and as CSV."""

import csv
from pathlib import Path

import pytest

from spade_eval.cli.lists.model_list import (
    ListedModel,
    listed_models,
    settings_differences,
    table,
    write_csv,
)
from spade_eval.errors import UserError
from spade_eval.models.systems.presets import GENERATORS


@pytest.fixture(scope="module")
def models() -> list[ListedModel]:
    return listed_models()


def test_every_generator_is_listed_and_ade20k_rounds_to_the_paper(
    models: list[ListedModel],
) -> None:
    assert [model.name for model in models] == list(GENERATORS)
    printed = {
        model.printed_millions: model for model in models if model.printed_millions is not None
    }
    # The nine counts that the paper prints; 183 stands for two networks.
    assert sorted(printed) == [61, 79, 96, 103, 141, 183, 195, 237]
    for millions, model in printed.items():
        assert round(model.parameters["ADE20K"] / 1e6) == millions


def test_latent_inputs_are_counted_at_the_released_size(models: list[ListedModel]) -> None:
    (vae,) = (model for model in models if model.name == "spade_vae")
    # Spec, section 4, in millions.
    counted = [round(count / 1e6, 3) for count in vae.parameters.values()]
    assert counted == [111.943, 112.627, 101.137]


def test_text_and_csv_hold_the_same(models: list[ListedModel], tmp_path: Path) -> None:
    lines = table(models)
    write_csv(models, tmp_path / "models.csv")
    with (tmp_path / "models.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(models)
    for row, model in zip(rows, models, strict=True):
        (line,) = (line for line in lines if line.split(" ")[0] == model.name)
        for title, count in model.parameters.items():
            assert int(row[f"parameters {title}"]) == count
            assert f"{count / 1e6:.2f}" in line
        assert row["paper_row"] in line
        assert f"    {row['description']}" in lines


def test_differences_of_paper_and_release() -> None:
    lines = settings_differences("spade")
    place = lines.index("  betas")
    assert lines[place + 1 : place + 3] == [
        "    paper    (0.0, 0.999)",
        "    release  (0.0, 0.9)",
    ]
    assert "on cityscapes, besides" in lines
    assert settings_differences("pix2pixhd") == ["pix2pixhd: paper and release agree."]
    assert settings_differences("spade_vae") == lines
    assert set(lines) < set(settings_differences())


def test_differences_of_oasis() -> None:
    lines = settings_differences("oasis")
    place = lines.index("  labelmix_in_place")
    assert lines[place + 1 : place + 3] == ["    paper    False", "    release  True"]
    of_cityscapes = lines[lines.index("on cityscapes, besides") :]
    for setting, paper, release in (("rate", 1e-4, 4e-4), ("ema_decay", 0.9999, 0.999)):
        place = of_cityscapes.index(f"  {setting}")
        shown = [f"    paper    {paper}", f"    release  {release}"]
        assert of_cityscapes[place + 1 : place + 3] == shown
    assert any("3D noise" in line for line in lines)


def test_differences_of_sean() -> None:
    lines = settings_differences("sean")
    place = lines.index("  decay_epochs")
    assert lines[place + 1 : place + 3] == ["    paper    0", "    release  50"]
    assert "    release  19 in each, whatever the data" in lines
    assert not any("class_mean_images" in line for line in lines), "the suite's own"


def test_parameters_are_counted_on_the_methods_own_channels(models: list[ListedModel]) -> None:
    counted = {model.name: list(model.parameters.values()) for model in models}
    assert counted["oasis"] == [74_314_691, 75_199_427, 71_107_523]
    assert counted["sean"] == [790_919_911, 921_923_047, 334_393_831]
    assert counted["oasis_without_noise"] == [72_545_219, 73_429_955, 69_338_051]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean spade"):
        listed_models(["spad"])
    with pytest.raises(UserError, match="no method or generator is called 'spad'"):
        settings_differences("spad")
