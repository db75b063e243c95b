# SPDX-License-Identifier: Apache-2.0
"""Hugging Face models as segmenters, with the library itself: tiny networks of random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spade_eval.segmenters.hugging_face import build_hugging_face
from spade_eval.segmenters.label_spaces import ADE20K, COCO_STUFF, COCO_STUFF_USED

SIZE = (64, 96)


@pytest.fixture(scope="module")
def transformers() -> Any:
    module = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    try:
        module.AutoModelForSemanticSegmentation  # noqa: B018
    except Exception as error:
        pytest.skip(f"transformers cannot be imported here: {error}")
    return module


Saved = Callable[..., Any]


@pytest.fixture
def saved(transformers: Any, tmp_path: Path) -> Saved:
    """Write a SegFormer into `tmp_path` and give it back."""

    def save(first: str = "person", count: int = 171, whole: bool = True) -> Any:
        config = transformers.SegformerConfig(
            hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 1, 2, 4],
            decoder_hidden_size=16,
            id2label={k: first if k == 0 else f"class {k}" for k in range(count)},
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = transformers.SegformerForSemanticSegmentation(config).eval()
        (network if whole else network.segformer).save_pretrained(tmp_path)
        transformers.SegformerImageProcessor(image_std=[0.2, 0.3, 0.4]).save_pretrained(tmp_path)
        return network

    return save


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, 3, *SIZE), generator=generator).float() / 255


@torch.inference_mode()
def test_labels_are_those_of_the_library_itself(
    transformers: Any, saved: Saved, tmp_path: Path
) -> None:
    """Its own processor, without resizing, its network, its upsampling and argmax."""
    network = saved()
    processor = transformers.SegformerImageProcessor.from_pretrained(tmp_path, do_resize=False)
    levels = (255 * images()).round().byte().permute(0, 2, 3, 1).numpy()
    output = network(**processor(list(levels), return_tensors="pt"))
    expected = processor.post_process_semantic_segmentation(output, [SIZE] * 2)
    segmenter = build_hugging_face(str(tmp_path), COCO_STUFF)
    labels = segmenter(images()).argmax(dim=1)
    theirs = torch.tensor(COCO_STUFF_USED)[torch.stack(expected)]
    assert labels.unique().numel() > 10
    # Normalised in another order: logits differ by float32 rounding, ties may fall otherwise.
    assert (labels == theirs).float().mean() > 0.999


@torch.inference_mode()
def test_a_model_of_another_dataset(saved: Saved, tmp_path: Path) -> None:
    network = saved(first="sky", count=3)
    names = ("class 2", "sky")
    scores = build_hugging_face(str(tmp_path), dataset="own", class_names=names)(images())
    channels = network(images()).logits.shape[1]
    assert (channels, scores.shape) == (3, (2, 2, *SIZE))
    assert scores.isfinite().all()


@torch.inference_mode()
def test_a_model_of_masks(transformers: Any, tmp_path: Path) -> None:
    swin = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.Mask2FormerConfig(
        backbone_config=swin, feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, num_queries=7,
        id2label={k: "wall" if k == 0 else f"class {k}" for k in range(150)},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.Mask2FormerForUniversalSegmentation(config).save_pretrained(tmp_path)
    transformers.SegformerImageProcessor().save_pretrained(tmp_path)
    scores = build_hugging_face(str(tmp_path), ADE20K)(images())
    assert scores.shape == (2, 150, *SIZE)
    assert 0 <= scores.min() < scores.max() <= 7


def test_a_backbone_without_its_head_is_refused(saved: Saved, tmp_path: Path) -> None:
    """The library would draw the head at random and only remark on it."""
    saved(whole=False)
    with pytest.raises(ValueError, match=r"lacks weights .*decode_head"):
        build_hugging_face(str(tmp_path))


def test_weights_of_other_shapes_are_refused(saved: Saved, tmp_path: Path) -> None:
    saved()
    config = tmp_path / "config.json"
    config.write_text(
        config.read_text().replace('"decoder_hidden_size": 16', '"decoder_hidden_size": 8')
    )
    with pytest.raises(ValueError, match=r"^hf:[^\n]*$"):
        build_hugging_face(str(tmp_path))


def test_pickled_weights_are_refused(transformers: Any, saved: Saved, tmp_path: Path) -> None:
    network = saved()
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"is no semantic segmentation model [^\n]*$"):
        build_hugging_face(str(tmp_path))


def test_other_scales_of_8_bit_levels_are_refused(
    transformers: Any, saved: Saved, tmp_path: Path
) -> None:
    saved()
    transformers.SegformerImageProcessor(rescale_factor=1 / 127.5).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"scales 8-bit levels by 0\.0078"):
        build_hugging_face(str(tmp_path))


def test_an_absent_folder_is_said_in_one_line(transformers: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^hf:[^\n]* is no semantic[^\n]*save_pretrained[^\n]*$"):
        build_hugging_face(str(tmp_path / "absent"))
