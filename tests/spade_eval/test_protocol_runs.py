# SPDX-License-Identifier: Apache-2.0
"""Every profile from tiny files to records, with noise for the weights of all networks.

The networks of the papers are too large for that, so the segmenters are narrow ones of the same
classes; the chain around them is the real one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from spade_eval.cli import options
from spade_eval.config import RunConfig
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.protocol import SHORTHANDS, TABLE, protocol_for
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.rows import Request
from spade_eval.scoring import distances, segmenter_input
from spade_eval.segmenters.entry import SegmenterEntry
from spade_eval.workplace import Workplace

DATASETS = [name for name in TABLE if name != "ade20k_outdoor"]
CELLS = [(dataset, profile) for dataset in DATASETS for profile in TABLE[dataset]]
# The stored size is another one than the scored size, as it is in the real files.
STORED = {"cocostuff": (48, 40), "ade20k": (48, 40), "cityscapes": (64, 128)}
SCORED = {"cocostuff": "32x32", "ade20k": "32x32", "cityscapes": "32x64"}


class Recording(nn.Module):
    """Stands for a published segmenter: mean colour of each pixel decides, sizes are noted."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        assert 0 <= images.min() <= images.max() <= 1
        levels = (images.mean(dim=1) * (self.num_classes - 1)).round().long()
        return nn.functional.one_hot(levels, self.num_classes).permute(0, 3, 1, 2).float()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """Narrow stand-ins for the segmenters and Inception; the networks that were opened."""
    opened: list[Recording] = []

    def filled(entry: SegmenterEntry, **options: object) -> nn.Module:
        network = Recording(entry.labels.num_classes)
        opened.append(network)
        return network

    class FewFeatures(nn.Module):
        feature_dim = 4

        def __init__(self, *_: object) -> None:
            super().__init__()

        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(2).mean(dim=2)[:, [0, 1, 2, 0]] ** 2

    monkeypatch.setattr(SegmenterEntry, "filled", filled)
    monkeypatch.setattr(distances, "InceptionFeatures", FewFeatures)
    monkeypatch.setattr(distances, "fill", lambda *_: None)
    return opened


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], Path]:
    """Two samples a split of a dataset in its official layout."""

    def write(dataset: str) -> Path:
        root = tmp_path / dataset
        random = np.random.default_rng(3)
        for split, long in (("train", "training"), ("val", "validation")):
            for number in (1, 2):
                photo, label = _places(root, dataset, split, long, number)
                _save(photo, random.integers(0, 256, (*STORED[dataset], 3), dtype=np.uint8))
                highest = {"cocostuff": 182, "ade20k": 151, "cityscapes": 34}[dataset]
                _save(label, random.integers(0, highest, STORED[dataset], dtype=np.uint8))
        return root

    return write


def _places(root: Path, dataset: str, split: str, long: str, number: int) -> tuple[Path, Path]:
    if dataset == "cocostuff":
        return (root / f"{split}_img/{number:012d}.png", root / f"{split}_label/{number:012d}.png")
    if dataset == "ade20k":
        stem = f"ADE_{split}_{number:08d}"
        return root / f"images/{long}/{stem}.png", root / f"annotations/{long}/{stem}.png"
    stem = f"ulm_{number:06d}_000019"
    return (
        root / f"leftImg8bit/{split}/ulm/{stem}_leftImg8bit.png",
        root / f"gtFine/{split}/ulm/{stem}_gtFine_labelIds.png",
    )


def _save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def run(
    config: RunConfig, root: Path, folder: Path, request: Request | None = None
) -> list[Measurement]:
    place = Workplace(
        run_folder=folder, data_root=root, weights_dir=folder / "no weights",
        device=torch.device("cpu"),
    )  # fmt: skip
    benchmark = Benchmark(config, place)
    benchmark.run(request or Request())
    return list(benchmark.store)


def config_of(dataset: str, profile: str | None, **flags: object) -> RunConfig:
    return options.run_config(
        dataset, "smoke", 0, SCORED[dataset], filled_weights=True, profile=profile, **flags
    )


@pytest.mark.parametrize(("dataset", "profile"), CELLS)
def test_every_profile_runs_without_weights(
    dataset: str, profile: str, files: Callable[[str], Path], seen: list[Recording], tmp_path: Path
) -> None:
    request = Request()
    records = run(config_of(dataset, profile), files(dataset), tmp_path / "run", request)
    wanted = protocol_for(profile, dataset)
    assert {item.source for item in records} == {"real", "grey", "label colours"}
    assert {item.profile for item in records} == {profile}
    assert {item.style_input for item in records} == {"none"}
    assert len(by_protocol(records)) == 1
    named = {item.fid_profile for item in records if item.metric.startswith("fid")}
    assert named == set(wanted.fid_profiles)
    columns = {item.metric for item in records if item.metric.startswith("fid")}
    others = {f"fid_{name}" for name in wanted.fid_profiles[1:]}
    assert columns == ({"fid"} if named else set()) | others
    assert all(any("mean nothing" in note for note in item.notes) for item in records)
    is_partial = any(f"Profile {profile} is partial" in note for note in records[0].notes)
    assert is_partial == bool(wanted.partial)
    assert any("not comparable with numbers at that size" in note for note in records[0].notes)
    (network,) = seen
    size = {
        "as generated": tuple(map(int, SCORED[dataset].split("x"))),
        "long side 512": (512, 512),
        "size of the label files": STORED[dataset],
    }[wanted.segmenter_input.size]
    assert {shape[-2:] for shape in network.seen} == {size}


def fids_of(records: list[Measurement]) -> dict[str, float | None]:
    return {item.source: item.value for item in records if item.metric == "fid"}


def test_photos_of_the_original_size_are_another_reference(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path
) -> None:
    root = files("ade20k")
    plain, original = (
        run(config_of("ade20k", profile), root, tmp_path / profile)
        for profile in ("controlnet-plus-plus", "seg2any")
    )
    # The scored photos are the reference of the one, and not of the other.
    assert fids_of(plain)["real"] == pytest.approx(0, abs=1e-9)
    assert fids_of(original)["real"] != pytest.approx(0, abs=1e-9)
    (reference,), (other,) = (
        {item.reference_sha256 for item in records if item.metric == "fid"}
        for records in (plain, original)
    )
    assert reference != other
    assert by_protocol([*plain, *original])[1:], "two columns"


def test_stored_statistics_are_not_of_the_original_size(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path
) -> None:
    place = Workplace(
        run_folder=tmp_path / "run", data_root=files("ade20k"), device=torch.device("cpu"),
        weights_dir=tmp_path / "no weights", reference=tmp_path / "statistics.npz",
    )  # fmt: skip
    with pytest.raises(UserError, match="photos of their original size, which stored statistics"):
        Benchmark(config_of("ade20k", "seg2any"), place).run(Request())


def test_controlar_never_scores_the_flag(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path
) -> None:
    """Grey levels from black to white are classes from wall to flag for the stand-in."""
    root, counts = files("ade20k"), {}
    for name in ("ADE_val_00000001", "ADE_val_00000002"):
        white = np.full((*STORED["ade20k"], 3), 255, np.uint8)
        white[:, :20] = 0
        _save(root / f"images/validation/{name}.png", white)
        _save(root / f"annotations/validation/{name}.png", white[..., 0] // 255 * 149 + 1)
    for profile in ("controlnet-plus-plus", "controlar"):
        run(config_of("ade20k", profile), root, tmp_path / profile)
        (path,) = (tmp_path / profile / "counts").glob("real-*.npz")
        with np.load(path) as stored:
            counts[profile] = stored["counts"][:, :, [0, 149]].sum(axis=0), stored["num_ignored"]
    theirs, ours = counts["controlnet-plus-plus"], counts["controlar"]
    assert (theirs[0][:, 1] > 0).all()
    assert not theirs[1].any()
    assert (ours[0][:, 1] == 0).all()
    assert (ours[1] > 0).all()


@pytest.mark.parametrize("kind", ["Segformer", "Mask2Former"])
def test_networks_of_hugging_face_take_the_place_of_a_profile_s(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path, kind: str
) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    names = {k: "wall" if k == 0 else f"class {k}" for k in range(150)}
    small: dict[str, dict[str, Any]] = {
        "Segformer": {
            "hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4,
            "num_attention_heads": [1, 1, 2, 4], "decoder_hidden_size": 16,
        },
        "Mask2Former": {
            "backbone_config": transformers.SwinConfig(
                embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=2,
                out_features=[f"stage{k}" for k in (1, 2, 3, 4)],
            ),
            "feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "num_queries": 8,
            "num_attention_heads": 2, "encoder_layers": 1, "decoder_layers": 2,
            "encoder_feedforward_dim": 16, "dim_feedforward": 16,
        },
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**small[kind], id2label=names)
    model = {"Segformer": "SegformerForSemanticSegmentation",
             "Mask2Former": "Mask2FormerForUniversalSegmentation"}[kind]  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        getattr(transformers, model)(config).save_pretrained(tmp_path / "model")
    settings = '{"do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}'
    (tmp_path / "model" / "preprocessor_config.json").write_text(settings)
    name = f"hf:{tmp_path / 'model'}"
    other = config_of("ade20k", "controlnet-plus-plus", segmenter=name)
    records = run(other, files("ade20k"), tmp_path / "run")
    assert {item.profile for item in records} == {"controlnet-plus-plus with hf:model"}
    assert {item.segmenter_weights for item in records} == {"given"}
    assert {item.fid_profile for item in records if item.metric == "fid"} == {"clean-fid"}
    assert all(item.value is not None for item in records if item.metric == "miou")
    assert any("is partial" in note for note in records[0].notes)


def test_a_run_warns_of_labels_in_another_numbering(
    files: Callable[[str], Path],
    seen: list[Recording],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = files("cocostuff")
    for label in root.glob("val_label/*.png"):
        _save(label, np.arange(171, dtype=np.uint8).reshape(9, 19).repeat(16, 0).repeat(16, 1))
        _save(root / "val_img" / label.name, np.zeros((144, 304, 3), np.uint8))
    records = run(config_of("cocostuff", "spade-paper-a"), root, tmp_path / "run")
    for line in (records[0].notes[0], capsys.readouterr().err):
        assert "Label maps of val: published files never hold id 11 (street sign)" in line
        assert "numbering 171 classes" in line
    run(config_of("cocostuff", "spade-paper-a"), root, tmp_path / "run")
    assert capsys.readouterr().err == ""  # nothing is measured


def test_two_profiles_never_share_a_column(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path
) -> None:
    records, root = [], files("cityscapes")
    names = list(TABLE["cityscapes"])
    for name in names:
        records += run(config_of("cityscapes", name), root, tmp_path / name)
    other = config_of("cityscapes", "modern", segmenter="drn-d-105-ms")
    records += run(other, root, tmp_path / "other")
    groups = by_protocol(records)
    assert [group.key.profile for group in groups] == [*names, "modern with drn-d-105-ms"]
    assert len({group.key.protocol_sha256 for group in groups}) == len(groups)


def test_the_real_row_is_scored_with_the_same_resizing(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path
) -> None:
    """The label colours' and the photos' images meet labels of one size, that of the protocol."""
    root = files("cityscapes")
    for profile, pixels in (("spade-paper-a", 2 * 32 * 64), ("spade-paper-b", 2 * 64 * 128)):
        run(config_of("cityscapes", profile), root, tmp_path / profile)
        counts = sorted((tmp_path / profile / "counts").glob("*.npz"))
        assert len(counts) == 3
        for path in counts:
            with np.load(path) as stored:
                scored = stored["counts"][:, 1].sum() + stored["num_ignored"].sum()
            assert scored == pixels


def test_missing_weights_end_a_profile_before_any_image(
    files: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Benchmark, "_measure", lambda *_: pytest.fail("computed"))
    config = options.run_config("cocostuff", "smoke", 0, "32", profile="modern")
    root = files("cocostuff")
    with pytest.raises(UserError, match=r"deeplabv2\S+ is not in"):
        run(config, root, tmp_path / "run")


def test_missing_inception_ends_a_profile_and_names_the_way_without(
    files: Callable[[str], Path], seen: list[Recording], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from spade_eval.scoring import networks as scoring_networks

    monkeypatch.setattr(Benchmark, "_measure", lambda *_: pytest.fail("computed"))
    open_segmenter = scoring_networks.open_segmenter

    def with_segmenter(*arguments: object, **flags: object) -> object:
        return open_segmenter(*arguments, **{**flags, "filled": True})  # type: ignore[arg-type]

    monkeypatch.setattr(scoring_networks, "open_segmenter", with_segmenter)
    config = options.run_config("cocostuff", "smoke", 0, "32", profile="modern")
    with pytest.raises(UserError, match=r"pt_inception\S+ is not in .*--fid-profile none"):
        run(config, files("cocostuff"), tmp_path / "run")


def test_inception_of_noise_gives_finite_features_that_differ() -> None:
    for name in ("pytorch-fid", "legacy-2019a"):
        distance = distances._fid(
            name, distances.FID_PROFILES[name], Path("nowhere"), torch.device("cpu"),
            filled=True, is_extra=False,
        )  # fmt: skip
        assert isinstance(distance.network, InceptionFeatures)
        images = torch.stack([torch.zeros(3, 32, 32), torch.rand(3, 32, 32).mul(255).round() / 255])
        features = distance.features(images)
        assert features.isfinite().all()
        assert features.abs().max() < 1e4
        assert not torch.allclose(features[0], features[1])


def test_shorthands_are_spelled_out_in_records() -> None:
    for dataset, meant in SHORTHANDS["spade-paper"].items():
        assert meant in TABLE[dataset]
        spelled, short = (options.run_config(dataset, "smoke", 0, None, profile=name)
                          for name in (meant, "spade-paper"))  # fmt: skip
        assert spelled.sha256 == short.sha256
        assert short.budget.size == protocol_for("spade-paper", dataset).size


def test_labels_meet_enlarged_images_of_practice_b() -> None:
    rule = TABLE["cocostuff"]["spade-paper-b"].segmenter_input
    assert segmenter_input.long_side_512((256, 256)) == (512, 512)
    assert segmenter_input.long_side_512((256, 512)) == (256, 512)
    images = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    entered = segmenter_input.entering(rule, images, (7, 7))
    # With corners aligned, 7 points on 4 hit every pixel and the middle of each pair.
    assert torch.allclose(entered[..., ::2, ::2], images.float() / 255, atol=1e-6)
    middle = (images[0, 0, 0, 0].float() + images[0, 0, 0, 1].float()) / 2 / 255
    assert entered[0, 0, 0, 1].item() == pytest.approx(middle.item(), abs=1e-6)
