# SPDX-License-Identifier: Apache-2.0
"""Reference statistics: made from photos, stored with what they are of, refused where unfit."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.cli import main
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.metrics import fid_profiles
from spade_eval.metrics.arrays import write_arrays
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.metrics.inception_network import inception_v3
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.records import sha256_of_file
from spade_eval.scoring.reference_statistics import (
    ReferenceStatistics,
    StatisticsIdentity,
    expected_identity,
    images_in,
    load_statistics,
    make_statistics,
    photos_of,
)
from spade_eval.weights import INCEPTION

CPU = torch.device("cpu")
IDENTITY = StatisticsIdentity(
    profile="pytorch-fid",
    weights_sha256="1" * 64,
    list_sha256="2" * 64,
    num_images=5,
    height=64,
    width=96,
)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    return error


@pytest.fixture(scope="module")
def filled_weights() -> dict[str, torch.Tensor]:
    """Noise for weights: every path is real, the features mean nothing."""
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(tensor.shape, generator=random) * 0.02 + 1e-3
        for name, tensor in inception_v3().state_dict().items()
    }


@pytest.fixture(scope="module")
def filled_folder(
    tmp_path_factory: pytest.TempPathFactory, filled_weights: dict[str, torch.Tensor]
) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.save(filled_weights, folder / INCEPTION.file_name)
    return folder


@pytest.fixture
def weights_dir(filled_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the filled file, and profiles whose record says that this is it."""
    prefix = sha256_of_file(filled_folder / INCEPTION.file_name)[:8]
    for name, profile in fid_profiles.FID_PROFILES.items():
        if profile.weights == INCEPTION:
            record = dataclasses.replace(INCEPTION, sha256_prefix=prefix)
            changed = dataclasses.replace(profile, weights=record)
            monkeypatch.setitem(fid_profiles.FID_PROFILES, name, changed)
    return filled_folder


def draw_moments(count: int = 5) -> tuple[FeatureMoments, torch.Tensor]:
    features = torch.rand(count, 8, generator=torch.Generator().manual_seed(0))
    moments = FeatureMoments(8)
    moments.update(features)
    return moments, features


@pytest.mark.parametrize("keeps_features", [False, True])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, keeps_features: bool) -> None:
    moments, features = draw_moments()
    saved = ReferenceStatistics(
        IDENTITY, "scenes val", "3" * 64, moments, features if keeps_features else None
    )
    path = tmp_path / "new folder" / "reference.npz"
    saved.save(path)
    loaded = load_statistics(path, IDENTITY)
    assert (loaded.identity, loaded.origin) == (IDENTITY, "scenes val")
    assert loaded.content_sha256 == "3" * 64
    assert torch.equal(loaded.moments.mean(), moments.mean())
    assert torch.equal(loaded.moments.covariance(), moments.covariance())
    assert (loaded.features is not None) == keeps_features
    if loaded.features is not None:
        assert torch.equal(loaded.features, features)
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"profile": "clean-fid"}, "profile pytorch-fid for clean-fid"),
        ({"weights_sha256": "4" * 64}, "weights_sha256 1111111111111111... for 4444444444444444"),
        ({"list_sha256": "4" * 64}, "list_sha256 2222222222222222... for 4444444444444444..."),
        ({"num_images": 6}, "num_images 5 for 6"),
        ({"height": 32}, "height 64 for 32"),
        ({"width": 64}, "width 96 for 64"),
        ({"num_images": 6, "width": 64}, "num_images 5 for 6; width 96 for 64"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "reference.npz"
    ReferenceStatistics(IDENTITY, "scenes val", "3" * 64, draw_moments()[0]).save(path)
    with pytest.raises(UserError) as error:
        load_statistics(path, dataclasses.replace(IDENTITY, **change))
    assert said in str(error.value)
    assert "spade-eval stats make" in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    with pytest.raises(UserError, match="does not exist; make"):
        load_statistics(path)
    path.write_bytes(b"cut off")
    with pytest.raises(UserError, match="does not hold reference statistics"):
        load_statistics(path)
    draw_moments()[0].save(path, {"features": "Inception"})
    with pytest.raises(UserError, match="does not say what its statistics are of"):
        load_statistics(path)
    write_arrays(path, metadata=np.array(json.dumps({"schema": 99, "identity": {}})))
    with pytest.raises(UserError, match="schema 99, expected 1"):
        load_statistics(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"origin": None}, "origin is None, expected str"),
        ({"content_sha256": 3}, "content_sha256 is 3, expected str"),
        ({"stored": ["moments"]}, "stored is "),
        ({"identity": 7}, "does not say what"),
        (
            {"identity": {**dataclasses.asdict(IDENTITY), "height": "64"}},
            "height is '64', expected",
        ),
        ({"other": 1}, "unknown field 'other'"),
    ],
)
def test_statements_of_another_type_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "reference.npz"
    ReferenceStatistics(IDENTITY, "scenes val", "3" * 64, draw_moments()[0]).save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    metadata = {**json.loads(str(arrays["metadata"])), **change}
    write_arrays(path, **{**arrays, "metadata": np.array(json.dumps(metadata))})
    with pytest.raises(UserError, match=said):
        load_statistics(path)


@pytest.mark.parametrize(
    "features",
    [np.full((5, 8), np.nan, np.float32), np.zeros(5, np.float32), np.zeros((5, 8), np.int64)],
)
def test_stored_features_of_another_form_are_refused(tmp_path: Path, features: Any) -> None:
    path = tmp_path / "reference.npz"
    moments, kept = draw_moments()
    ReferenceStatistics(IDENTITY, "scenes val", "3" * 64, moments, kept).save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    write_arrays(path, **{**arrays, "features": features})
    with pytest.raises(UserError, match=r"reference\.npz: features "):
        load_statistics(path)


def test_a_file_with_fewer_rows_than_it_states(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    ReferenceStatistics(IDENTITY, "scenes val", "3" * 64, draw_moments(4)[0]).save(path)
    with pytest.raises(UserError, match="features of 4 images, 5 were expected"):
        load_statistics(path)


def test_identity_follows_the_rule_of_counting() -> None:
    names = [f"{number:03}" for number in range(130)]
    every, legacy = (
        expected_identity(profile, "1" * 64, names, (64, 96))
        for profile in ("pytorch-fid", "legacy-2018")
    )
    assert (every.num_images, legacy.num_images) == (130, 128)
    same_used = expected_identity("legacy-2018", "1" * 64, names[:128], (64, 96))
    assert legacy.list_sha256 == same_used.list_sha256 != every.list_sha256
    turned = expected_identity("pytorch-fid", "1" * 64, names[::-1], (64, 96))
    assert turned.list_sha256 != every.list_sha256


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["moments", "features"])
def test_made_from_a_dataset(
    weights_dir: Path, filled_weights: dict[str, torch.Tensor], stored: str
) -> None:
    dataset = Scenes("val", (32, 64), length=3)
    made = make_statistics(photos_of(dataset), "clean-fid", weights_dir, CPU, stored, 2)
    profile = fid_profiles.FID_PROFILES["clean-fid"]
    photos = torch.stack(
        [torch.from_numpy(dataset[index].photo).permute(2, 0, 1) for index in range(3)]
    )
    expected = InceptionFeatures(filled_weights, profile)(photos)
    # Convolutions may round differently by batch size.
    torch.testing.assert_close(
        made.moments.mean().float(), expected.mean(dim=0), rtol=1e-4, atol=1e-5
    )
    assert made.identity.num_images == 3
    assert (made.identity.height, made.identity.width) == (32, 64)
    assert made.identity.weights_sha256 == sha256_of_file(weights_dir / profile.weights.file_name)
    assert made.content_sha256 == dataset.fingerprint()
    assert (made.features is not None) == (stored == "features")


@pytest.mark.slow
def test_images_that_fill_no_batch_of_the_profile_are_left_out(
    weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = dataclasses.replace(fid_profiles.FID_PROFILES["pytorch-fid"], batch_of_images=2)
    monkeypatch.setitem(fid_profiles.FID_PROFILES, "pairs", profile)
    dataset = Scenes("val", (32, 32), length=3)
    made = make_statistics(photos_of(dataset), "pairs", weights_dir, CPU)
    assert made.moments.count == made.identity.num_images == 2


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("b", "a", "c"):
        Image.fromarray(random.integers(0, 256, (32, 48, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def test_a_folder_is_read_in_the_order_of_stems(image_folder: Path) -> None:
    found = images_in(image_folder)
    assert (list(found.names), found.size) == (["a", "b", "c"], (32, 48))
    first = np.asarray(Image.open(image_folder / "a.png"))
    assert np.array_equal(next(iter(found.images)).permute(1, 2, 0).numpy(), first)
    assert list(images_in(image_folder, count=2).names) == ["a", "b"]
    with pytest.raises(UserError, match=r"32x48.*64x64 was expected"):
        images_in(image_folder, (64, 64))
    with pytest.raises(UserError, match="no folder"):
        images_in(image_folder / "a.png")
    (image_folder / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        images_in(image_folder / "empty")


@pytest.mark.slow
def test_make_and_show_from_the_command_line(
    weights_dir: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "reference.npz"
    flags = ["--out", str(out), "--weights-dir", str(weights_dir), "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main(["stats", "make", "--images", str(image_folder), *flags, "--store", "features"])
    assert not ended.value.code
    made = capsys.readouterr().out
    assert f"wrote {out}" in made
    assert "3 images of 32x48" in made
    with pytest.raises(SystemExit):
        main(["stats", "show", str(out)])
    assert capsys.readouterr().out == made.split("\n", 1)[1]
    loaded = load_statistics(out)
    assert loaded.identity.profile == "pytorch-fid"
    assert loaded.features is not None
    assert loaded.features.shape == (3, 2048)


def test_missing_weights_are_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--size", "64", "--out", str(tmp_path / "x.npz"), "--weights-dir", str(tmp_path))
    for profile in ("pytorch-fid", "legacy-2018"):
        weights = fid_profiles.FID_PROFILES[profile].weights
        error = refused(
            capsys, "stats", "make", "--dataset", "scenes", "--fid-profile", profile, *flags
        )
        for part in (weights.file_name, str(tmp_path), weights.origin, "--weights-dir"):
            assert part in error
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fid-profile", "fid"], "no FID profile is called 'fid'"),
        ([], "either --dataset NAME or --images DIR, found neither"),
        (["--dataset", "scenes", "--images", "."], "found both"),
        (["--dataset", "scenes"], "needs --size"),
        (["--dataset", "scnes", "--size", "64"], "did you mean scenes"),
        (["--images", "nowhere"], "nowhere is no folder"),
        (["--images", "nowhere", "--size", "big"], "expected N or HEIGHTxWIDTH"),
    ],
)
def test_wrong_flags(
    weights_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    out = str(tmp_path / "x.npz")
    place = ["--out", out, "--weights-dir", str(weights_dir)]
    assert said in refused(capsys, "stats", "make", *place, *arguments)


def test_loading_asks_for_the_number_of_images_of_the_run(
    tmp_path: Path, make_run: Callable[[int], StatisticsIdentity]
) -> None:
    path = tmp_path / "reference.npz"
    ReferenceStatistics(make_run(5), "scenes val", "3" * 64, draw_moments()[0]).save(path)
    load_statistics(path, make_run(5))
    with pytest.raises(UserError, match=r"list_sha256 .* num_images 5 for 4"):
        load_statistics(path, make_run(4))


@pytest.fixture
def make_run() -> Callable[[int], StatisticsIdentity]:
    """The identity that a run of the first so many samples expects."""
    names = [f"{number:03}" for number in range(5)]
    return lambda count: expected_identity("pytorch-fid", "1" * 64, names[:count], (64, 96))
