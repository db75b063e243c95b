# SPDX-License-Identifier: Apache-2.0
"""Data are what their files hold: what was measured on others is not found again."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from spade_eval.config import RunConfig, budget_for
from spade_eval.datasets.base import HasPhotoFiles
from spade_eval.engine import Benchmark
from spade_eval.rows import Request
from spade_eval.workplace import Workplace


def test_mended_labels_are_scored_anew(tmp_path: Path) -> None:
    """By a segmenter trained on them, though no name and no byte count has changed."""
    data = tmp_path / "data"
    _write_two_classes(data, left=0)
    assert _of_own_data(tmp_path).run(Request()) == ["real", "grey", "label colours"]
    assert _of_own_data(tmp_path).run(Request()) == []
    lengths = [path.stat().st_size for path in sorted(data.rglob("*.png"))]
    _write_two_classes(data, left=1)
    assert [path.stat().st_size for path in sorted(data.rglob("*.png"))] == lengths
    assert _of_own_data(tmp_path).run(Request()) == ["real", "grey", "label colours"]
    assert len(list((tmp_path / "weights").glob("in-domain-*.safetensors"))) == 2


def test_an_edited_palette_is_scored_anew(tmp_path: Path) -> None:
    description = tmp_path / "data" / "dataset.toml"
    _write_two_classes(tmp_path / "data", left=0)
    _of_own_data(tmp_path).run(Request())
    description.write_text(f"{description.read_text()}palette = [[1, 2, 3], [4, 5, 6]]\n")
    assert "label colours" in _of_own_data(tmp_path).run(Request())


def test_photos_are_identified_without_reading_the_others(tmp_path: Path) -> None:
    """Those of a floor, of a split of any size."""
    _write_two_classes(tmp_path / "data", left=0)
    once = _train_photos(tmp_path, 2)
    other = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(other).save(tmp_path / "data" / "images" / "train" / "b.png", compress_level=0)
    assert _train_photos(tmp_path, 1) == once[:1]
    assert _train_photos(tmp_path, 2)[1] != once[1]
    (tmp_path / "data" / "images" / "train" / "b.png").chmod(0)
    assert _train_photos(tmp_path, 1) == once[:1]


def _train_photos(folder: Path, count: int) -> list[str]:
    split = _of_own_data(folder).networks.train_split()
    assert isinstance(split, HasPhotoFiles)
    return split.photo_hashes(count)


def _write_two_classes(root: Path, left: int) -> None:
    """Write two samples a split, whose label maps hold class `left` in their left half."""
    labels = np.full((32, 32), 1 - left, dtype=np.uint8)
    labels[:, :16] = left
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for kind, array in (("images", photo), ("labels", labels)):
        for split in ("train", "val"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
            for stem in ("a", "b"):
                path = root / kind / split / f"{stem}.png"
                Image.fromarray(array).save(path, compress_level=0)
    (root / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["sky", "tree"]\n'
    )


def _of_own_data(folder: Path) -> Benchmark:
    budget = budget_for("folder", "smoke", size=(32, 32), segmenter_steps=1)
    config = RunConfig(
        dataset="folder", profile="in-domain", budget_name="smoke", budget=budget, seed=0
    )
    place = Workplace(
        run_folder=folder / "run",
        data_root=folder / "data",
        weights_dir=folder / "weights",
        device=torch.device("cpu"),
    )
    return Benchmark(config, place)
