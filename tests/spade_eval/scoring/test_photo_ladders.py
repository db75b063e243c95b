# SPDX-License-Identifier: Apache-2.0
"""`data photos`: distances of corrupted photos, and the sentence on what a column is blind to."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from spade_eval.cli import main
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.reports.statistics.photo_ladders import FEWEST_PHOTOS, Rung, rungs
from spade_eval.reports.tables.photo_ladders import blind_spots
from spade_eval.scoring import photo_ladders
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.photo_ladders import features_of_steps


class MeanColour(torch.nn.Module):
    """Sees colours alone: tiles may change places, and blur hides from it."""

    feature_dim = 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


COLOURS = Distance("fd_lite0", "mean colour", "0" * 64, MeanColour(), kind="lite0")


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    numbers = np.random.default_rng(0)
    tints = numbers.integers(30, 220, (FEWEST_PHOTOS, 1, 1, 3))
    noise = numbers.integers(-30, 30, (FEWEST_PHOTOS, 16, 16, 3))
    return list((tints + noise).clip(0, 255).astype(np.uint8))


def test_distances_are_those_of_the_metrics_and_shuffling_hides(photos: list[np.ndarray]) -> None:
    halves = features_of_steps(photos, COLOURS, torch.device("cpu"))
    measured = rungs(halves.column, halves.real, halves.clean, halves.corrupted)
    found = {f"{rung.ladder} {rung.strength}": rung for rung in measured}
    moments = []
    for start in (0, 1):
        part = torch.from_numpy(np.stack(photos[start::2])).permute(0, 3, 1, 2).float() / 255
        moments.append(FeatureMoments(3))
        moments[-1].update(MeanColour()(part))
    rung = found["shuffle 4x4"]
    assert rung.clean == pytest.approx(frechet_distance(*moments), rel=1e-4)
    assert rung.distance == pytest.approx(rung.clean, rel=1e-4)
    assert not rung.is_seen
    assert found["saturation 0"].is_seen
    assert found["saturation 0"].distance > found["saturation 0.3"].distance
    assert found["modes left 1/10"].errors is None


def test_a_sentence_names_what_is_not_seen() -> None:
    def rung(ladder: str, errors: float) -> Rung:
        return Rung(column="FD", ladder=ladder, strength="2", distance=1, clean=0, errors=errors)

    both = blind_spots([rung("blur", 1.234), rung("noise", 8)])
    assert both == ["FD does not see blur 2 (1.2 standard errors) of these photos."]
    assert blind_spots([rung("noise", 8)]) == ["FD sees every step of these photos."]


def test_the_command_writes_table_pictures_and_json(
    photos: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(photo_ladders, "distances_at_hand", lambda *_: [COLOURS])
    folder = tmp_path / "mine"
    folder.mkdir()
    for place, photo in enumerate(photos):
        Image.fromarray(photo).save(folder / f"{place}.png")
    words = ["data", "photos", str(folder), "--size", "16", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    assert not ended.value.code
    lines = json.loads(capsys.readouterr().out)["rows"]
    stored = pd.read_csv(tmp_path / "out" / "photos.csv")
    assert len(lines) == len(stored) == 21
    assert "does not see" in (tmp_path / "out" / "photos.md").read_text("utf-8")
    assert (tmp_path / "out" / "photos.png").stat().st_size > 1000
    with pytest.raises(SystemExit) as ended:
        main([*words, "--limit", "5"])
    assert ended.value.code == 2
    assert f"5 photos are looked at, expected at least {FEWEST_PHOTOS}" in capsys.readouterr().err
