# SPDX-License-Identifier: Apache-2.0
"""Configurations of mmsegmentation as segmenters, with weights drawn here."""

import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spade_eval.datasets.cocostuff_classes import CLASS_NAMES
from spade_eval.segmenters import SEGMENTERS, mmsegmentation
from spade_eval.segmenters.eight_bit import resize_opencv
from spade_eval.segmenters.foreign import COCO_STUFF_171
from spade_eval.segmenters.label_spaces import ADE20K, CITYSCAPES, COCO_STUFF
from spade_eval.segmenters.mmsegmentation import (
    build_mmsegmentation,
    find_config,
    guard_extension,
    scaled_to,
    without_pretrained,
)

# Remarks of mmseg on its own configurations.
pytestmark = pytest.mark.filterwarnings("ignore:.*build_loss", "ignore:Default ``avg_non_ignore")

CITYSCAPES_CONFIG = "fast_scnn_8xb4-160k_cityscapes-512x1024"
COCO_CONFIG = "bisenetv1_r18-d32_4xb4-160k_coco-stuff164k-512x512"


@pytest.fixture(scope="module")
def _mmseg() -> None:
    try:
        mmsegmentation._libraries()
    except ValueError as error:
        pytest.skip(str(error))


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, 3, 64, 128), generator=generator).float() / 255


@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_cityscapes_network() -> None:
    before = torch.get_rng_state()
    segmenter = build_mmsegmentation(CITYSCAPES_CONFIG, labels=CITYSCAPES)
    assert torch.equal(torch.get_rng_state(), before)
    assert not segmenter.training
    logits = segmenter(images())
    assert logits.shape == (2, 19, 64, 128)
    assert logits.isfinite().all()
    assert torch.equal(build_mmsegmentation(CITYSCAPES_CONFIG)(images()), logits)


@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_input_is_that_of_the_configuration() -> None:
    """mmseg's own preprocessor takes BGR, as OpenCV reads it."""
    segmenter = build_mmsegmentation(CITYSCAPES_CONFIG)
    pixels = (images() * 255).round().to(torch.uint8)
    theirs = segmenter.network.data_preprocessor({"inputs": list(pixels.flip(1))})["inputs"]
    assert torch.equal(segmenter.normalization(pixels), theirs)


@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_a_short_side_is_scaled_as_the_library_scales_it() -> None:
    """Its own transform before the network, its own interpolation after it."""
    from mmengine.registry import TRANSFORMS
    from mmseg.datasets.transforms import ResizeToMultiple  # noqa: F401  # fills the registry

    plain = build_mmsegmentation(CITYSCAPES_CONFIG)
    scaled = build_mmsegmentation(CITYSCAPES_CONFIG, short_side=96)
    pixels = (images() * 255).round().to(torch.uint8)
    resize = TRANSFORMS.build({"type": "mmcv.Resize", "scale": (384, 96), "keep_ratio": True})
    theirs = [resize({"img": pixels[k].permute(1, 2, 0).numpy()})["img"] for k in range(2)]
    assert scaled_to((64, 128), 96) == theirs[0].shape[:2] == (96, 192)
    ours = resize_opencv(pixels, (96, 192))
    assert torch.equal(ours, torch.stack([torch.from_numpy(x) for x in theirs]).permute(0, 3, 1, 2))
    expected = torch.nn.functional.interpolate(
        plain(ours.float() / 255), (64, 128), mode="bilinear", align_corners=False
    )
    assert torch.equal(scaled(images()), expected)
    assert not torch.equal(scaled(images()), plain(images()))


def test_sides_are_rounded_half_up() -> None:
    assert scaled_to((512, 512), 640) == (640, 640)
    assert scaled_to((500, 333), 512) == (769, 512)


@pytest.mark.slow
@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_a_row_of_the_table_loads_its_file() -> None:
    """In the form in which mmsegmentation publishes it, into a network of the same row."""
    entry = SEGMENTERS["deeplab-v3-r101"]
    drawn = entry.network().eval()
    state = {name: tensor + 0.001 for name, tensor in drawn.network.state_dict().items()}
    drawn.network.load_state_dict(state)
    loaded = entry.load([{"state_dict": state, "meta": {}}])
    small = images()[:1, :, :32, :32]
    assert torch.equal(loaded(small), drawn(small))
    assert loaded(small)[:, list(COCO_STUFF_171.classes)].isfinite().all()


@pytest.mark.slow
@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_mask2former_at_two_short_sides() -> None:
    pytest.importorskip("mmdet", reason="the extra `mask2former` is not installed")
    entry = SEGMENTERS["mask2former-swin-l"]
    found = [entry.filled(**options)(images()[:1]) for options in ({}, {"short_sides": (96,)})]
    for scores in found:
        assert scores.shape == (1, 150, 64, 128)
        assert scores.isfinite().all()
    assert not torch.equal(*found)


@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_coco_stuff_is_scored_by_its_182_ids() -> None:
    segmenter = build_mmsegmentation(COCO_CONFIG, labels=COCO_STUFF)
    from mmseg.datasets import COCOStuffDataset

    names = COCOStuffDataset.METAINFO["classes"]
    ours = [CLASS_NAMES[value] for value in COCO_STUFF_171.classes]
    # "door-stuff" and the like are numbered as here; spelling differs in blanks alone.
    assert [name.replace(" ", "") for name in names] == [name.replace(" ", "") for name in ours]
    logits = segmenter(images())
    assert logits.shape == (2, 182, 64, 128)
    impossible = [k for k in range(182) if k not in COCO_STUFF_171.classes]
    assert (logits[:, impossible] == -torch.inf).all()
    assert logits[:, list(COCO_STUFF_171.classes)].isfinite().all()


@pytest.mark.usefixtures("_mmseg")
def test_checkpoint_is_loaded_strictly() -> None:
    drawn = build_mmsegmentation(CITYSCAPES_CONFIG, seed=1)
    state = drawn.network.state_dict()
    loaded = build_mmsegmentation(CITYSCAPES_CONFIG, {"state_dict": state})
    assert all(torch.equal(t, state[n]) for n, t in loaded.network.state_dict().items())
    name = next(iter(state))
    with pytest.raises(ValueError, match=f"1 missing: {name}"):
        build_mmsegmentation(CITYSCAPES_CONFIG, {n: t for n, t in state.items() if n != name})


@pytest.mark.usefixtures("_mmseg")
def test_other_datasets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"predicts Cityscapes 19, but ADE20K 150"):
        build_mmsegmentation(CITYSCAPES_CONFIG, labels=ADE20K)
    with pytest.raises(ValueError, match="for DRIVEDataset, which this suite does not score"):
        build_mmsegmentation("unet-s5-d16_fcn_4xb4-40k_drive-64x64")


@pytest.mark.usefixtures("_mmseg")
def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text(
        f"_base_ = [{str(find_config(CITYSCAPES_CONFIG))!r}]\ndataset_type = 'ADE20KDataset'\n"
    )
    with pytest.raises(ValueError, match="has 19 classes, expected 150"):
        build_mmsegmentation(str(path))


@pytest.mark.usefixtures("_mmseg")
def test_networks_of_other_packages_are_one_line() -> None:
    if importlib.util.find_spec("mmdet") is not None:
        pytest.skip("mmdet is installed")
    said = r"^[^\n]*cannot be built by mmsegmentation[^\n]*'spade-eval\[mask2former\]'[^\n]*$"
    with pytest.raises(ValueError, match=said):
        build_mmsegmentation("mask2former_r50_8xb2-160k_ade20k-512x512")


@pytest.mark.usefixtures("_mmseg")
@torch.inference_mode()
def test_compiled_operators_are_refused_when_called() -> None:
    if getattr(sys.modules["mmcv._ext"], "__file__", None):
        pytest.skip("the full mmcv is installed")
    segmenter = build_mmsegmentation("psanet_r50-d8_4xb4-80k_ade20k-512x512")
    with pytest.raises(ValueError, match="a compiled operator that mmcv-lite does not have"):
        segmenter(images())


def test_unknown_names_are_answered_with_near_ones() -> None:
    if importlib.util.find_spec("mmseg") is None:
        pytest.skip("mmsegmentation is not installed")
    assert find_config(CITYSCAPES_CONFIG) == find_config(f"fastscnn/{CITYSCAPES_CONFIG}.py")
    with pytest.raises(ValueError, match=f"near names: .*{CITYSCAPES_CONFIG}"):
        find_config("fast_scnn_cityscapes-512x1024")


def test_nothing_is_fetched() -> None:
    description: dict[str, Any] = {
        "pretrained": "open-mmlab://resnet50",
        "backbone": {"init_cfg": {"type": "Pretrained", "checkpoint": "x"}, "depth": 50},
        "heads": [{"init_cfg": 1}, {"channels": (1, 2)}],
    }
    assert without_pretrained(description) == {
        "pretrained": None,
        "backbone": {"init_cfg": None, "depth": 50},
        "heads": [{"init_cfg": None}, {"channels": (1, 2)}],
    }


def test_guard_stands_in_only_for_what_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmcv._ext", types.ModuleType("put back at the end"))
    del sys.modules["mmcv._ext"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    guard_extension()
    assert "mmcv._ext" not in sys.modules
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    guard_extension()
    stand_in = sys.modules["mmcv._ext"]
    monkeypatch.undo()
    assert not hasattr(stand_in, "__path__")
    with pytest.raises(ValueError, match="calls nms, a compiled operator"):
        stand_in.nms(1)


def test_importing_the_module_imports_no_library() -> None:
    code = (
        "import sys, spade_eval.segmenters.mmsegmentation, spade_eval.segmenters.hugging_face;"
        "sys.exit(any(name in sys.modules for name in ('mmseg', 'mmcv', 'mmengine', 'cv2',"
        " 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms\ndoes not exist")

    monkeypatch.setattr(mmsegmentation, "guard_extension", lambda: None)
    monkeypatch.setattr(mmsegmentation.importlib, "import_module", broken)
    with pytest.raises(ValueError, match=r"^mmsegmentation cannot be imported[^\n]*nms does not"):
        mmsegmentation._libraries()
