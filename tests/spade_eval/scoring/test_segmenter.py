# SPDX-License-Identifier: Apache-2.0
"""Which network scores: found before anything is made, in the dataset's classes, and said."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from spade_eval.cli import main
from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.export import export
from spade_eval.errors import UserError
from spade_eval.records import RecordStore
from spade_eval.scoring.segmenter import ScoringSegmenter, open_segmenter
from spade_eval.segmenters import SEGMENTERS, hugging_face
from spade_eval.weights.table import files_of_segmenter


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two COCO-Stuff scenes a split, of random labels, some of them unlabelled."""
    random = np.random.default_rng(1)
    for split in ("train", "val"):
        for stem in ("000000000139", "000000000785"):
            for kind, high in (("img", 256), ("label", 182), ("inst", 90)):
                shape = (48, 40, 3) if kind == "img" else (48, 40)
                values = random.integers(0, high, shape, dtype=np.uint8)
                if kind == "label":
                    values[:9] = 255
                path = tmp_path / "coco" / f"{split}_{kind}" / f"{stem}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
    return tmp_path / "coco"


@pytest.fixture
def dataset(coco: Path) -> Dataset:
    return open_dataset("cocostuff", "val", (64, 64), coco)


def opened(name: str, dataset: Dataset, weights: Path, filled: bool = False) -> ScoringSegmenter:
    def no_training() -> Path:
        raise AssertionError("nothing in-domain is asked for")

    device = torch.device("cpu")
    return open_segmenter(name, dataset, weights, device, filled=filled, in_domain=no_training)


def test_a_missing_file_is_named_with_its_origin_and_the_way_round(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        opened("deeplab-v2", dataset, tmp_path)
    (file,) = files_of_segmenter("deeplab-v2")
    for part in (file.file_name, str(tmp_path), file.origin, "--filled-weights"):
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["upernet101", "drn-d-105"])
def test_a_segmenter_of_other_classes_is_refused(
    dataset: Dataset, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match="trained on the dataset"):
        opened(name, dataset, tmp_path, filled=True)


def test_scenes_have_no_published_segmenter(tmp_path: Path) -> None:
    scenes = open_dataset("scenes", "val", (64, 64), tmp_path)
    with pytest.raises(UserError, match="leave --segmenter out"):
        opened("deeplab-v2", scenes, tmp_path, filled=True)


class ByColour(nn.Module):
    """A model of Hugging Face whose classes are those of scenes, in another order, and one more."""

    def __init__(self) -> None:
        super().__init__()
        names = [*reversed(Scenes.label_space.class_names), "nothing"]
        id2label = dict(enumerate(names))
        self.written = {"_name_or_path": "", "transformers_version": "4", "id2label": id2label}
        self.config = SimpleNamespace(id2label=id2label, to_diff_dict=lambda: self.written)
        self.colours = nn.Parameter(torch.arange(51.0).reshape(17, 3, 1, 1).sin())

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=F.conv2d(pixel_values, self.colours))


def own_root(dataset: str, folder: Path) -> tuple[str, ...]:
    """Flags of a dataset of files; drawn ones have none."""
    return () if dataset == "scenes" else ("--data-root", str(folder))


@pytest.mark.parametrize("dataset", ["scenes", "folder"])
def test_a_model_of_hugging_face_scores_what_no_paper_does(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hugging_face, "library", lambda *_: (None, []))
    monkeypatch.setattr(hugging_face, "_network", lambda *_: ByColour())
    monkeypatch.setattr(hugging_face, "_statistics", lambda *_: ((0.0,) * 3, (1.0,) * 3))
    export([Scenes("val", (64, 64), length=4)], tmp_path / "own")
    run, model = tmp_path / "run", tmp_path / "mine"
    model.mkdir()
    arguments = ("--dataset", dataset, *own_root(dataset, tmp_path / "own"), "--budget", "smoke")
    with pytest.raises(SystemExit, match="0"):
        main(
            ("benchmark", "--model", "none", *arguments, "--size", "64", "--limit", "4",
             "--segmenter", f"hf:{model}", "--fid-profile", "none", "--out", str(run))
        )  # fmt: skip
    records = [item for item in RecordStore(run / "records.jsonl") if item.source == "real"]
    assert {item.profile for item in records} == {"modern with hf:mine without FID"}
    assert not any(str(tmp_path) in str(vars(item)) for item in records)
    assert {item.segmenter for item in records} == {"hf mine at image size"}
    accuracy = next(item.value for item in records if item.metric == "acc_all")
    split, network = Scenes("val", (64, 64), length=4), ByColour()
    right = 0
    for sample in (split[index] for index in range(4)):
        photo = torch.from_numpy(sample.photo.copy()).permute(2, 0, 1)[None] / 255
        channel = network(photo).logits[:, :16].argmax(1)[0].numpy()
        right += (15 - channel == sample.label_map).sum()
    assert accuracy == pytest.approx(right / (4 * 64 * 64), abs=1e-3)


def test_the_hash_of_a_model_is_of_weights_and_configuration_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = [0.0, 0.0, 0.0]

    def digest_of(name: str, model: ByColour) -> str:
        monkeypatch.setattr(hugging_face, "_network", lambda *_: model)
        scenes = open_dataset("scenes", "val", (64, 64), tmp_path)
        return opened(f"hf:{name}", scenes, tmp_path).sha256

    monkeypatch.setattr(hugging_face, "library", lambda *_: (None, []))
    monkeypatch.setattr(hugging_face, "_statistics", lambda *_: (tuple(mean), (1.0,) * 3))
    first, second = ByColour(), ByColour()
    second.written |= {"_name_or_path": "/home/other/model", "transformers_version": "5"}
    digest = digest_of("mine", first)
    assert digest_of("/home/other/model", second) == digest
    second.written["ignore_value"] = 3
    assert digest_of("mine", second) != digest
    mean[0] = 0.5
    assert digest_of("mine", first) != digest
    mean[0] = 0.0
    first.colours.data[0] += 1e-3
    assert digest_of("mine", first) != digest


@pytest.mark.parametrize("dataset", ["scenes", "folder", "flickr_landscapes"])
@pytest.mark.parametrize("name", ["deeplab-v2", "mmseg:x.py"])
def test_what_is_missing_is_said_without_a_profile_that_nobody_gave(
    dataset: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(("benchmark", "--model", "none", "--dataset", dataset, "--segmenter", name,
              *own_root(dataset, tmp_path)))  # fmt: skip
    error = capsys.readouterr().err
    assert f"--segmenter {name} predicts classes of another dataset than {dataset}" in error
    assert "profile" not in error


@pytest.mark.parametrize("name", ["deeplab", "mmseg:", "hf:"])
def test_a_wrong_name_is_answered_with_the_list(
    dataset: Dataset, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match=r"no segmenter is called .*deeplab-v2.*in-domain"):
        opened(name, dataset, tmp_path)


@pytest.mark.slow
def test_published_weights_are_loaded_strictly_and_hashed(dataset: Dataset, tmp_path: Path) -> None:
    filled = opened("deeplab-v2", dataset, tmp_path, filled=True)
    assert filled.weights == "filled"
    assert filled.class_names == dataset.label_space.class_names
    labels = torch.tensor([[0, 181, 255]])
    assert filled.labels.targets(labels).tolist() == [[0, 181, 255]]
    network = SEGMENTERS["deeplab-v2"].filled()
    (file,) = files_of_segmenter("deeplab-v2")
    torch.save(network.state_dict(), tmp_path / file.file_name)
    published = opened("deeplab-v2", dataset, tmp_path)
    assert published.weights == "published"
    assert published.sha256 != filled.sha256
    images = torch.randint(0, 256, (1, 3, 64, 64)).float() / 255
    assert torch.equal(published.network(images), filled.network(images))
    # The hash of the first use is recorded, and another file is refused later.
    torch.save({"x": torch.zeros(1)}, tmp_path / file.file_name)
    with pytest.raises(UserError, match="the file changed"):
        opened("deeplab-v2", dataset, tmp_path)


@pytest.mark.slow
def test_the_whole_chain_runs_with_filled_weights_and_every_row_says_so(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--dataset", "cocostuff", "--data-root", str(coco), "--size", "64",
              "--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625",
              "--model", "spade", "--segmenter", "deeplab-v2", "--filled-weights", "--limit", "2",
              "--weights-dir", str(tmp_path / "weights"), "--out", str(run)])  # fmt: skip
    assert not ended.value.code
    rows = [line for line in capsys.readouterr().out.splitlines() if "weights: filled" in line]
    assert sum(line.startswith(("real", "spade")) for line in rows) == 2
    records = list(RecordStore(run / "records.jsonl"))
    assert {item.profile for item in records} == {"modern"}
    assert {item.segmenter_weights for item in records} == {"filled"}
    assert all(any("mean nothing" in note for note in item.notes) for item in records)
    fids = [item for item in records if item.metric == "fid"]
    assert {(item.fid_profile, item.features) for item in fids} == {
        ("clean-fid", "Inception 2015-12-05 (pytorch-fid), filled")
    }
    assert "weights: filled" in (run / "tables" / "scores.csv").read_text()


@pytest.mark.slow
def test_an_untrained_mmsegmentation_network_is_marked_random(
    dataset: Dataset, tmp_path: Path
) -> None:
    name = "mmseg:pspnet_r50-d8_4xb4-80k_coco-stuff164k-512x512"
    try:
        segmenter = opened(name, dataset, tmp_path)
    except UserError as error:
        if "not installed" in str(error) or "cannot be imported" in str(error):
            pytest.skip(f"mmsegmentation cannot be used here: {error}")
        raise
    assert segmenter.weights == "random"
    images = torch.randint(0, 256, (1, 3, 64, 64)).float() / 255
    with torch.inference_mode():
        logits = segmenter.network(images)
    assert logits.shape == (1, 182, 64, 64)
    # The eleven classes that COCO-Stuff never annotates are unknown to a network of 171.
    assert torch.isinf(logits).all(dim=(0, 2, 3)).sum() == 11


def ade20k(root: Path) -> Dataset:
    """One scene of SceneParse150's layout: file values 0 (other), 1 (wall) and 150 (flag)."""
    base = root / "ADEChallengeData2016"
    for kind, mode, suffix in (("images", "RGB", "jpg"), ("annotations", "L", "png")):
        for split, word in (("training", "train"), ("validation", "val")):
            folder = base / kind / split
            folder.mkdir(parents=True)
            image = Image.new(mode, (40, 40))
            if mode == "L":
                image.paste(1, (0, 0, 20, 40))
                image.paste(150, (20, 20, 40, 40))
            image.save(folder / f"ADE_{word}_00000001.{suffix}")
    return open_dataset("ade20k", "val", (64, 64), root)


def test_ade20k_is_scored_in_its_150_classes_whatever_the_suite_numbers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = ade20k(tmp_path)
    # The network is not needed to see how labels become classes.
    entry = SEGMENTERS["upernet101"]
    monkeypatch.setattr(type(entry), "filled", lambda self: torch.nn.Identity())
    segmenter = opened("upernet101", dataset, tmp_path, filled=True)
    label_map = torch.from_numpy(dataset[0].label_map.copy())[None]
    targets = segmenter.labels.targets(label_map)
    assert set(targets.flatten().tolist()) == {0, 149, 255}
    assert (targets == 0).float().mean() == 0.5
    assert (targets == 149).float().mean() == 0.25
    assert segmenter.class_names[0] == "wall"
    assert segmenter.class_names[149] == "flag"
    assert len(set(segmenter.class_names)) == 150


@pytest.mark.slow
def test_any_folder_of_photos_is_labelled_and_continued(
    coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "label", str(coco / "val_img"), str(tmp_path / "labels"),
                 "--filled-weights"]  # fmt: skip
    for expected in ("2 label maps written, 0 were there", "0 label maps written, 2 were there"):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
        out = capsys.readouterr().out
        assert expected in out
        assert "these labels mean nothing" in out
    with Image.open(tmp_path / "labels" / "000000000139.png") as labels:
        assert (labels.mode, labels.size) == ("L", (40, 48))
    with pytest.raises(SystemExit) as ended:
        main([*arguments[:-1], "--weights-dir", str(tmp_path)])
    assert ended.value.code == 2
