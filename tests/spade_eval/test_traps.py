# SPDX-License-Identifier: Apache-2.0
"""The twenty-seven known traps of comparing scores: each is refused, checked or said.

`docs/traps.md` shows the commands; the numbers of the tests are those of its sections.
"""

import dataclasses
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.batches import to_8_bit
from spade_eval.cli import main
from spade_eval.datasets.coco_stuff import LABEL_FILES, CocoStuff
from spade_eval.datasets.files import ImageModeError
from spade_eval.datasets.images import ImageFolder
from spade_eval.datasets.preprocess import Placement, evaluation
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.metrics.counts import ClassAverage, StoredCounts
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.choices import StyleInput
from spade_eval.models.systems.presets import build_generator
from spade_eval.papers.practices import PRACTICES
from spade_eval.protocol import PROFILES, ResolvedProtocol, protocol_for
from spade_eval.records import sha256_of_json
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.footnotes import footnotes, notes_of_scores
from spade_eval.scoring.recording import Recorder
from spade_eval.scoring.reference_statistics import (
    ReferenceStatistics,
    expected_identity,
    load_statistics,
)
from spade_eval.scoring.row_notes import notes_of_real_row, notes_of_row
from spade_eval.scoring.scorer import Scores
from spade_eval.scoring.segmenter import _require_own_files, open_segmenter
from spade_eval.scoring.segmenter_input import without
from spade_eval.scoring.values import Value
from spade_eval.segmenters import SEGMENTERS
from spade_eval.segmenters.label_spaces import CITYSCAPES, COCO_STUFF
from spade_eval.sources import synthesis
from spade_eval.sources.checkpoints import ReleasedOptions, open_generator
from spade_eval.sources.source import SynthesizedFolder


def scores(acc_all: float, acc_valid: float, classes: dict[str, float | None]) -> Scores:
    values = [
        *(Value(metric=name, column=name, value=value)
          for name, value in {"acc_all": acc_all, "acc_valid": acc_valid}.items()),
        *(Value(metric="iou", column="iou", class_name=name, value=value)
          for name, value in classes.items()),
    ]  # fmt: skip
    counts = StoredCounts((), np.zeros((0, 3, 1), np.uint32), np.zeros(0, np.uint32))
    return Scores(tuple(values), counts, {})


def resolved(profile: str, dataset: str, size: tuple[int, int]) -> ResolvedProtocol:
    return ResolvedProtocol(
        protocol=protocol_for(profile, dataset), size=size, segmenter="x", segmenter_sha256="a",
        segmenter_weights="published", features=(),
    )  # fmt: skip


def fid_by(profile: str) -> Distance:
    return Distance("fid", "Inception", "b", lambda x: x, profile, FID_PROFILES[profile])  # type: ignore[arg-type]


@pytest.fixture
def coco(tmp_path: Path, write_map: Callable[..., None]) -> CocoStuff:
    """One COCO-Stuff sample of 64x64."""
    ids = np.random.default_rng(0).choice(np.array([0, 3, 181, 255], dtype=np.uint8), (64, 64))
    for kind, values in (("img", np.stack([ids] * 3, axis=2)), ("label", ids), ("inst", ids)):
        write_map(tmp_path / "coco" / f"val_{kind}" / "000000000139.png", values)
    return CocoStuff("val", (64, 64), tmp_path / "coco")


@pytest.fixture
def write_map() -> Callable[..., None]:
    def write(path: Path, values: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)

    return write


def test_01_accuracies_of_cityscapes_whose_ratio_is_not_its_own() -> None:
    assert notes_of_scores("cityscapes", scores(0.819, 0.935, {})) == []
    assert notes_of_scores("cityscapes", scores(0.827, 0.944, {})) == []
    (note,) = notes_of_scores("cityscapes", scores(0.935, 0.935, {}))
    assert "acc_all / acc_valid is 1.000, 0.876 is that of Cityscapes val" in note


def test_02_a_mean_over_171_or_over_182_classes_says_which() -> None:
    real = {str(k): 0.5 if k < 171 else None for k in range(182)}
    (note,) = notes_of_scores("cocostuff", scores(1, 1, real))
    assert "averages the 171 classes" in note
    assert "0.940 times" in note
    every = {str(k): 0.5 for k in range(182)}
    (note,) = notes_of_scores("cocostuff", scores(1, 1, every))
    assert "divided by all 182 ids" in note
    averages = {
        name: protocol_for(name, "cocostuff").class_average
        for name in ("spade-paper-a", "spade-paper-b", "oasis", "imaginaire", "modern")
    }
    assert [name for name, average in averages.items() if average == "all"] == ["imaginaire"]


def test_03_a_layout_that_shapes_cannot_tell_is_asked_for(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 151, (64, 64), dtype=np.uint8)
    for folder, values in (("images", np.stack([ids] * 3, 2)), ("annotations", ids)):
        path = tmp_path / folder / "validation" / "ADE_val_00000001.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(values).save(path)
    from spade_eval.datasets.ade20k import Ade20k

    dataset = Ade20k("val", (64, 64), tmp_path)
    file = tmp_path / "latest_net_G.pth"
    torch.save(to_published(build_generator("spade", num_labels=151, width=4 / 64)), file)
    with pytest.raises(UserError, match="ade20k_raw or ade20k_shifted"):
        open_generator(file, dataset, ReleasedOptions(arch="spade"))
    told = {}
    for layout in ("ade20k_raw", "ade20k_shifted"):
        options = ReleasedOptions(arch="spade", label_layout=layout, image_size=(64, 64))
        told[layout] = open_generator(file, dataset, options).layout
    assert told["ade20k_raw"] != told["ade20k_shifted"]


def test_04_files_of_one_upernet_release_under_the_name_of_the_other(tmp_path: Path) -> None:
    for place, other in (("same", b"encoder"), ("two", b"another")):
        for folder, content in (("baseline", b"encoder"), ("ade20k", other)):
            path = tmp_path / place / f"{folder}-resnet101-upernet" / "encoder_epoch_50.pth"
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    own = [sha256(b"encoder").hexdigest()]
    with pytest.raises(UserError, match="one and the same, files of two releases"):
        _require_own_files("upernet101-baseline", own, tmp_path / "same")
    _require_own_files("upernet101-baseline", own, tmp_path / "two")
    # The release, its scales and the rounding of sides to 32 are the segmenter's name.
    assert protocol_for("spade-paper", "ade20k").segmenter == "upernet101-baseline"
    assert SEGMENTERS["upernet101-baseline"].title != SEGMENTERS["upernet101"].title


def test_05_palette_and_colour_label_files_are_refused(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "palette.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
    for name in ("palette", "colour"):
        with pytest.raises(ImageModeError, match="one channel of class ids was expected"):
            LABEL_FILES.read(tmp_path / f"{name}.png")


def test_06_label_maps_are_resized_by_nearest_in_either_order() -> None:
    ids = np.random.default_rng(0).integers(0, 34, (64, 128), dtype=np.uint8)
    resized = evaluation((32, 64)).apply_map(ids, Placement())
    mapped_first = CITYSCAPES.targets(torch.from_numpy(ids)).byte().numpy()
    first = evaluation((32, 64)).apply_map(mapped_first, Placement())
    np.testing.assert_array_equal(CITYSCAPES.targets(torch.from_numpy(resized.copy())), first)
    assert set(np.unique(resized)) <= set(np.unique(ids)), "no invented id"
    assert {
        protocol_for(name, "cityscapes").label_filter
        for name in ("spade-paper-a", "spade-paper-b", "modern")
    } == {"nearest"}


def test_07_files_are_paired_by_stem_and_leftovers_named(tmp_path: Path) -> None:
    for stem in ("img_2", "img_10"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{stem}.png")
    with pytest.raises(UserError, match=r"1 images are missing \(img_1\) and 1 belong"):
        ImageFolder(tmp_path, ["img_1", "img_2"], (8, 8))
    folder = ImageFolder(tmp_path, ["img_2", "img_10"], (8, 8))
    assert [path.stem for path in folder._paths] == ["img_2", "img_10"]


def test_08_dropped_images_mixed_sizes_and_endings(tmp_path: Path) -> None:
    (dropped, *_) = FID_PROFILES["legacy-2019a"].notes(520, 520)
    assert "500 of 520 reference and 500 of 520 synthesized images were used" in dropped
    for name, size in (("a.JPG", 8), ("b.webp", 8), ("c.png", 9)):
        Image.new("RGB", (size, size)).save(tmp_path / name)
    with pytest.raises(UserError, match="images of different sizes"):
        ImageFolder(tmp_path, ["a", "b", "c"], (8, 8))
    Image.new("RGB", (8, 8)).save(tmp_path / "c.png")
    assert len(ImageFolder(tmp_path, ["a", "b", "c"], (8, 8))) == 3


def test_09_statistics_of_training_photos_are_refused(tmp_path: Path) -> None:
    moments = FeatureMoments(2)
    moments.update(torch.rand(3, 2))
    train, val = (Scenes(split, (64, 64), length=3).names for split in ("train", "val"))
    identity = expected_identity("pytorch-fid", "w", train, (64, 64))
    ReferenceStatistics(identity, "scenes train", "c", moments).save(tmp_path / "train.npz")
    with pytest.raises(UserError, match=r"of scenes train: list_sha256"):
        load_statistics(
            tmp_path / "train.npz", expected_identity("pytorch-fid", "w", val, (64, 64))
        )


@pytest.mark.parametrize(
    ("style", "said"),
    [(None, "is not stated"), ("real image", "reconstruction"), ("none", ""), ("random", "")],
)
def test_10_the_style_input_of_every_row_is_stated(
    tmp_path: Path, style: StyleInput | None, said: str
) -> None:
    dataset = Scenes("val", (64, 64), length=1)
    Image.new("RGB", (64, 64)).save(tmp_path / f"{dataset.names[0]}.png")
    source = SynthesizedFolder("mine", tmp_path, dataset, 1, style)
    assert source.provenance["style_input"] == style
    assert bool(source.notes) == bool(said)
    assert all(said in note for note in source.notes)


def test_11_a_checkpoint_chosen_by_a_score_says_so() -> None:
    assert synthesis._notes_of_choice("mine", "last", ()) == ()
    assert synthesis._notes_of_choice("mine", None, ()) == ()
    (note,) = synthesis._notes_of_choice("mine", "best FID on val", ())
    assert "chosen by a score (best FID on val)" in note
    assert synthesis._notes_of_choice("mine", "best FID on val", ("by best FID on val",)) == ()


def test_12_a_segmenter_of_other_classes_is_refused(coco: CocoStuff, tmp_path: Path) -> None:
    assert SEGMENTERS["deeplab-v2"].labels == COCO_STUFF
    with pytest.raises(UserError, match=r"predicts Cityscapes 19; expected the classes of coco"):
        open_segmenter(
            "drn-d-105", coco, tmp_path, torch.device("cpu"), filled=True,
            in_domain=lambda: pytest.fail("trained"),
        )  # fmt: skip
    assert protocol_for("modern", "cocostuff", "hf:x").profile == "modern with hf:x"


def test_13_paper_and_release_differ_and_the_difference_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "--diff", "spade"])
    assert not ended.value.code
    assert "beta" in capsys.readouterr().out


def test_14_another_generator_of_the_same_name_is_not_loaded_as_spade(
    coco: CocoStuff, tmp_path: Path
) -> None:
    published = to_published(build_generator("spade", num_labels=184, width=4 / 64))
    # As imaginaire names its own, which has 128 filters, kernels of 5 and an average of weights.
    other = {f"spade_generator.{name}": tensor for name, tensor in published.items()}
    torch.save(other, tmp_path / "net_G.pth")
    with pytest.raises(UserError, match=r"net_G\.pth"):
        open_generator(tmp_path / "net_G.pth", coco, ReleasedOptions(arch="spade"))


def test_15_images_of_another_size_are_refused_or_said(tmp_path: Path) -> None:
    notes = footnotes(resolved("spade-paper", "cityscapes", (512, 1024)), (), 500)
    assert any("Images of 512x1024 were scored" in note and "256x512" in note for note in notes)
    notes = footnotes(resolved("spade-paper", "cityscapes", (256, 512)), (), 500)
    assert not any("were scored" in note for note in notes)
    Image.new("RGB", (512, 512)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="generate or resize them to 256x256"):
        ImageFolder(tmp_path, ["a"], (256, 256))


def test_16_truncation_is_part_of_the_profile_and_floats_are_said() -> None:
    protocol = protocol_for("modern", "cocostuff")
    image = torch.full((1, 3, 2, 2), 0.999)
    assert protocol.quantisation == "truncate"
    assert to_8_bit(image, protocol).unique().tolist() == [254]
    rounded = dataclasses.replace(protocol, quantisation="round")
    assert to_8_bit(image, rounded).unique().tolist() == [255]
    assert rounded.hashed() != protocol.hashed()
    notes = footnotes(resolved("oasis", "cityscapes", (256, 512)), (fid_by("oasis-train"),), 500)
    assert any("of the generator's floats" in note for note in notes)
    notes = footnotes(resolved("modern", "cityscapes", (256, 512)), (fid_by("clean-fid"),), 500)
    assert not any("floats" in note for note in notes)


def facts(**known: object) -> dict[str, object]:
    """What is known of a row of somebody's images."""
    return {"source": "mine", "source_kind": "images", **known}


def said_of(profile: str, dataset: str = "ade20k", **known: object) -> str:
    return " ".join(notes_of_row(resolved(profile, dataset, (512, 512)), facts(**known)))


def test_17_training_with_the_scoring_segmenter_is_said() -> None:
    assert "the very segmenter that scores it" in said_of(
        "modern", trained_with_segmenter="scoring"
    )
    related = said_of("modern", trained_with_segmenter="related")
    assert "same data or family as the scoring one" in related
    assert "suspect" not in said_of("modern", trained_with_segmenter="none")
    assert "suspect" not in said_of("modern")
    trained = {name: protocol_for(name, "ade20k").practice.trained_with  # type: ignore[union-attr]
               for name in ("aldm", "controlnet-plus-plus", "freestylenet")}  # fmt: skip
    assert trained == {"aldm": "scoring", "controlnet-plus-plus": "related", "freestylenet": None}


def test_18_one_network_at_two_input_sizes_is_two_protocols() -> None:
    first, second = (protocol_for(name, "ade20k") for name in ("controlnet-plus-plus", "controlar"))
    assert first.segmenter == second.segmenter == "mask2former-swin-l"
    assert (first.short_sides, second.short_sides) == (None, (640,))
    plain = dataclasses.replace(second, profile=first.profile, left_out=())
    assert plain.hashed() != first.hashed()
    alike = dataclasses.replace(plain, short_sides=None)
    assert alike.hashed() == first.hashed(), "nothing else tells them apart"


def test_19_jpeg_images_are_said_and_jpeg_label_maps_refused(tmp_path: Path) -> None:
    dataset = Scenes("val", (64, 64), length=2)
    for name, ending in zip(dataset.names, ("jpg", "png"), strict=True):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{name}.{ending}")
    held = SynthesizedFolder("mine", tmp_path, dataset, 2, "none").provenance["file_format"]
    assert "its images are JPEG, PNG files, whose compression" in said_of(
        "modern", file_format=held
    )
    assert "JPEG" not in said_of("modern", file_format="PNG")
    assert "those of the profile's paper are JPEG" in said_of("seg2any", file_format="PNG")
    assert "JPEG" not in said_of("seg2any", file_format="JPEG").replace("JPEG files)", "")
    Image.new("L", (4, 4)).save(tmp_path / "map.png", format="JPEG")
    with pytest.raises(UserError, match="JPEG"):
        LABEL_FILES.read(tmp_path / "map.png")


def test_20_pooled_averaged_and_first_of_four_images_are_told_apart() -> None:
    said = said_of("controlnet-plus-plus")
    assert "scored from 1 a map, where the paper of profile controlnet-plus-plus has 4" in said
    assert "counts pooled" in said
    assert "a map" not in said_of("controlnet-plus-plus", num_draws=4)
    assert "scored from 4 a map" in said_of("freestylenet", num_draws=4)
    assert said_of("modern", num_draws=4) == ""


def test_21_the_real_row_and_not_the_card_is_the_ceiling() -> None:
    of_card = 0.5601
    real = {"source": "real", "source_kind": "real"}
    judged = dataclasses.replace(
        resolved("controlnet-plus-plus", "ade20k", (512, 512)), segmenter_weights="published"
    )

    def said(miou: float, row: dict[str, object] = real) -> list[str]:
        value = Value(metric="miou", column="miou", value=miou)
        counts = StoredCounts((), np.zeros((0, 3, 1), np.uint32), np.zeros(0, np.uint32))
        return notes_of_real_row(judged, row, Scores((value,), counts, {}))

    (note,) = said(0.507)
    assert "50.7% mIoU under this protocol, 56.0% is what the authors" in note
    assert said(of_card + 0.004) == []
    assert said(0.507, facts()) == []
    assert SEGMENTERS["mask2former-swin-l"].published["miou"] == of_card


@pytest.mark.parametrize("kind", ["sam", "sam2_video", "sam3", "edgetam"])
def test_22_a_segmenter_that_is_prompted_with_the_truth_is_refused(
    coco: CocoStuff, tmp_path: Path, kind: str
) -> None:
    def opened(name: str) -> None:
        open_segmenter(
            f"hf:{name}", coco, tmp_path, torch.device("cpu"),
            in_domain=lambda: pytest.fail("trained"),
        )  # fmt: skip

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    for name in (str(folder), f"facebook/{kind.replace('_', '-')}-hiera-large"):
        with pytest.raises(UserError, match="the prompt of a score would be the true map"):
            opened(name)
    for other in ("samnet", "segformer"):
        (folder / "config.json").write_text(f'{{"model_type": "{other}"}}')
        with pytest.raises(UserError) as refused:
            opened(str(folder))
        assert "prompt" not in str(refused.value)


def test_23_no_image_is_skipped_and_fewer_than_maps_are_not_recorded(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    folder = ImageFolder(tmp_path, ["a", "b"], (8, 8))
    with pytest.raises(UserError, match=r"b\.png"):
        folder[1]
    job = SimpleNamespace(
        source=SimpleNamespace(name="mine"), networks=SimpleNamespace(protocol=PROFILES["modern"])
    )
    recorder = Recorder.__new__(Recorder)
    recorder.count = 2
    recorder._require_all(job, 2)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"mine: 1 images were scored, .* 2 maps was expected"):
        recorder._require_all(job, 1)  # type: ignore[arg-type]
    job.networks.protocol = dataclasses.replace(PROFILES["modern"], until="miou+-1")
    recorder._require_all(job, 1)  # type: ignore[arg-type]


def test_24_guidance_of_another_paper_is_said() -> None:
    said = said_of("controlnet-plus-plus", guidance=2.0)
    assert "guidance 2, where the paper of profile controlnet-plus-plus has 7.5" in said
    assert "guidance" not in said_of("ctrl-u", guidance=2.0)
    assert "guidance" not in said_of("controlar", guidance=2.0), "what its paper had is not known"
    assert "negative prompt" in "\n".join(protocol_for("ctrl-u", "ade20k").lines())


def test_25_real_photos_of_other_sizes_are_another_reference(tmp_path: Path) -> None:
    sets = {
        name: (protocol_for(name, "ade20k").fid_reference,
               FID_PROFILES[protocol_for(name, "ade20k").fid_profiles[0]].first_size)
        for name in ("controlnet-plus-plus", "seg2any", "freestylenet")
    }  # fmt: skip
    assert len(set(sets.values())) == len(sets)
    assert len({sha256_of_json(protocol_for(name, "ade20k").hashed()) for name in sets}) == 3
    moments = FeatureMoments(2)
    moments.update(torch.rand(3, 2))
    names = Scenes("val", (64, 64), length=3).names
    identities = [expected_identity("clean-fid", "w", names, size) for size in ((64, 64), (64, 96))]
    ReferenceStatistics(identities[0], "x", "c", moments).save(tmp_path / "real.npz")
    with pytest.raises(UserError, match="width 64 for 96"):
        load_statistics(tmp_path / "real.npz", identities[1])


def test_26_four_denominators_of_one_confusion_matrix() -> None:
    """Classes: two found in part, one only predicted, one never there, and the left-out last."""
    truth = torch.tensor([[[0, 0, 1, 4, 4, 0, 0, 1]]])
    prediction = torch.tensor([[[0, 0, 2, 4, 0, 4, 0, 1]]])
    found = {name: miou_over(truth, prediction, name) for name in get_args(ClassAverage)}
    found["controlar"] = miou_over(without((4,), prediction, truth), prediction, "union")
    sum_of_iou = 3 / 5 + 1 / 2 + 1 / 3
    assert found == pytest.approx({
        "target": sum_of_iou / 3, "union": sum_of_iou / 4, "all": sum_of_iou / 5,
        "controlar": (1 + 1 / 2) / 3,
    })  # fmt: skip
    assert len({round(value, 6) for value in found.values()}) == 4


def miou_over(truth: torch.Tensor, prediction: torch.Tensor, average: ClassAverage) -> float:
    scores = SegmentationScores(5, averaged=average)
    scores.update(prediction, truth)
    return scores.compute()["miou"]


def test_27_the_text_beside_the_map_is_asked_for() -> None:
    said = said_of("controlnet-plus-plus")
    assert "its text input is not stated; the paper's images were made from a text" in said
    assert "MiniGPT-4" in said
    assert "text" not in said_of("controlnet-plus-plus", text_input="captions by BLIP")
    assert "text" not in said_of("scdm")
    generator = {"source_kind": "generator"}
    assert "text" not in said_of("controlnet-plus-plus", **generator), "ours take none"
    texts = {name: practice["ade20k"].text for name, practice in PRACTICES.items()}
    assert all(texts.values())
    assert [name for name, text in texts.items() if text == "none"] == ["scdm"]
