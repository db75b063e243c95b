# SPDX-License-Identifier: Apache-2.0
"""Every cheat cheats as it says, and is trained once."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from few_scenes import few_scenes
from PIL import Image
from torch import Tensor, nn

from spade_eval.batches import photos
from spade_eval.config import budget_for
from spade_eval.datasets.base import Sample
from spade_eval.rows import Request
from spade_eval.scoring.in_domain import load_in_domain, shipped
from spade_eval.sources.red_team import CHEATS, cheat_classes
from spade_eval.sources.red_team.base import Cheat, Loot
from spade_eval.sources.red_team.regressor import Regressor
from spade_eval.sources.red_team.segmenter_hacked import SegmenterHacked
from spade_eval.sources.red_team.trained import CheatBatch

SIZE = (32, 32)
VAL, TRAIN = few_scenes(12)("val", SIZE, length=12), few_scenes(20)("train", SIZE, length=20)
SAMPLES = [VAL[index] for index in range(12)]


@pytest.fixture(scope="module")
def segmenter() -> nn.Module:
    path = shipped(VAL)
    assert path is not None
    return load_in_domain(path, VAL)


@pytest.fixture
def loot(segmenter: nn.Module, tmp_path: Path) -> Loot:
    return Loot(
        dataset=VAL, count=12, train_split=lambda: TRAIN, segmenter=segmenter,
        segmenter_sha256="5" * 64, classes=tuple(range(16)) + (255,) * 240,
        budget=budget_for("scenes", "smoke", steps=12, batch_size=2, width=4 / 64), seed=0,
        folder=tmp_path, device=torch.device("cpu"),
    )  # fmt: skip


def _images(cheat: Cheat, samples: list[Sample] = SAMPLES) -> Tensor:
    return cheat.floats(range(len(samples)), samples)


@pytest.mark.parametrize("kind", cheat_classes(), ids=list(CHEATS))
def test_a_cheat_is_a_source_of_images(kind: type[Cheat], loot: Loot) -> None:
    cheat = kind(loot)
    images = _images(cheat)
    assert images.shape == (12, 3, *SIZE)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, _images(kind(loot))), "the same twice"
    assert cheat.provenance["source_kind"] == "cheat"
    assert cheat.notes[0].startswith(f"{cheat.name}: red team, ")
    assert CHEATS[cheat.name].endswith(f":{kind.__name__}")


def _cheat(name: str, loot: Loot) -> Cheat:
    (kind,) = (kind for kind in cheat_classes() if kind.name == name)
    return kind(loot)


def test_the_copycat_gives_photos_of_the_train_split_of_like_label_maps(loot: Loot) -> None:
    known = [TRAIN[index] for index in range(20)]
    for sample, image in zip(SAMPLES, _images(_cheat("copycat", loot)), strict=True):
        shown = (image.permute(1, 2, 0) * 255).round().byte().numpy()
        (copied,) = (other for other in known if np.array_equal(other.photo, shown))
        agreement = [(other.label_map == sample.label_map).mean() for other in known]
        assert (copied.label_map == sample.label_map).mean() == max(agreement)


def test_the_palette_gives_each_class_one_colour(loot: Loot) -> None:
    colours: dict[int, set[Any]] = {}
    for sample, image in zip(SAMPLES, _images(_cheat("palette", loot)), strict=True):
        for label in np.unique(sample.label_map):
            pixels = image[:, torch.from_numpy(sample.label_map == label)].T
            colours.setdefault(int(label), set()).update(map(tuple, pixels.tolist()))
    assert all(len(found) == 1 for found in colours.values())
    assert len({next(iter(found)) for found in colours.values()}) > 1


def test_jpeg_rows_are_the_decoded_file_and_differ_in_what_they_say(loot: Loot) -> None:
    as_jpeg, as_png = _cheat("JPEG", loot), _cheat("JPEG as PNG", loot)
    assert torch.equal(_images(as_jpeg), _images(as_png))
    assert (as_jpeg.provenance["file_format"], as_png.provenance["file_format"]) == ("JPEG", "PNG")
    file = io.BytesIO()
    Image.fromarray(SAMPLES[0].photo).save(file, format="JPEG", quality=75)
    decoded = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    assert torch.equal((_images(as_jpeg)[0] * 255).round().byte(), decoded)


def test_blur_keeps_the_photo_and_loses_what_is_fine(loot: Loot) -> None:
    real, blurred = photos(SAMPLES).float() / 255, _images(_cheat("blur", loot))
    fine = [(x[..., 1:] - x[..., :-1]).abs().mean() for x in (real, blurred)]
    assert fine[1] < 0.9 * fine[0]
    assert torch.nn.functional.mse_loss(blurred, real) < 0.01


def test_duplicates_are_ten_images(loot: Loot) -> None:
    assert len({image.numpy().tobytes() for image in _images(_cheat("duplicates", loot))}) <= 10


@pytest.mark.parametrize("kind", [Regressor, SegmenterHacked])
def test_what_is_trained_gets_better_at_its_loss_and_is_trained_once(
    kind: type[Regressor], loot: Loot
) -> None:
    cheat = kind(loot)
    network = cheat.network
    assert cheat.steps == 6
    (kept,) = loot.folder.rglob("generator.safetensors")
    written = kept.stat().st_mtime_ns
    assert torch.equal(_images(kind(loot)), _images(cheat))
    assert kept.stat().st_mtime_ns == written
    before = type(cheat)(loot)
    batch = before._batch_at(8, 0)
    from spade_eval.models.systems.presets import build_generator

    fresh = build_generator("spade", cheat._layout.num_labels, SIZE, width=4 / 64,
                            edges=cheat._layout.edges).eval()  # fmt: skip
    with torch.inference_mode():
        first, last = (
            float(cheat.loss(net(batch.semantics, None), batch)) for net in (fresh, network)
        )
    assert last < first


def test_the_hack_never_looks_at_photos_and_the_regressor_never_at_the_segmenter(
    loot: Loot,
) -> None:
    images = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    batch = SegmenterHacked(loot)._batch_at(2, 0)
    blank = CheatBatch(batch.semantics, batch.label_maps, torch.zeros_like(batch.photos))
    hacked = SegmenterHacked(loot)
    assert torch.equal(hacked.loss(images, batch), hacked.loss(images, blank))
    assert not torch.equal(Regressor(loot).loss(images, batch), Regressor(loot).loss(images, blank))


@pytest.mark.slow
def test_a_red_team_is_scored_and_its_table_says_what_tells_it(benchmark_in: Any) -> None:
    from spade_eval.reports.run_report import write_report

    suite = benchmark_in()
    suite.run(Request(red_team=True))
    rows = {item.source: item for item in suite.store}
    assert set(CHEATS) < set(rows)
    assert {rows[name].source_kind for name in CHEATS} == {"cheat"}
    assert suite.run(Request(red_team=True)) == []
    text = write_report(suite.place.run_folder).text
    assert "Red team: scenes val" in text
    assert "Note: copycat: " in text
