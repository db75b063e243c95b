# SPDX-License-Identifier: Apache-2.0
"""Hugging Face models as segmenters, with a stand-in for the library."""

import re
import sys
import types
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.segmenters.eight_bit import standardized
from spade_eval.segmenters.hugging_face import build_hugging_face, mask_scores
from spade_eval.segmenters.label_spaces import ADE20K, CITYSCAPES, COCO_STUFF, COCO_STUFF_USED

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


class FakeModel(nn.Module):
    """Gives a colour's distance to fixed colours, at a quarter of the size."""

    def __init__(self, names: list[str], masks: bool) -> None:
        super().__init__()
        self.config = types.SimpleNamespace(id2label=dict(enumerate(names)))
        self.masks = masks
        generator = torch.Generator().manual_seed(0)
        self.colours = nn.Parameter(torch.randn(len(names), 3, 1, 1, generator=generator))

    def forward(self, pixel_values: Tensor) -> types.SimpleNamespace:
        self.seen = pixel_values
        logits = F.conv2d(F.avg_pool2d(pixel_values, 4), self.colours)
        if not self.masks:
            return types.SimpleNamespace(logits=logits)
        count = logits.shape[1]
        certain = 50 * torch.eye(count, count + 1).expand(len(logits), -1, -1)
        return types.SimpleNamespace(class_queries_logits=certain, masks_queries_logits=logits)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeModel]:
    """A module `transformers` that knows the models of the returned dictionary."""
    models: dict[str, FakeModel] = {}

    def loader(masks: bool) -> type:
        class Loader:
            @staticmethod
            def from_pretrained(name: str, **options: Any) -> tuple[FakeModel, Any]:
                wanted = {"local_files_only", "use_safetensors", "output_loading_info"}
                assert options == {**dict.fromkeys(wanted, True), "trust_remote_code": False}
                if name not in models or models[name].masks != masks:
                    raise OSError(f"{name} is not a local folder\nand not cached")
                missing = {"decode_head.weight"} if "bare" in name else set()
                return models[name], {"missing_keys": missing, "mismatched_keys": []}

        return Loader

    class ImageProcessingMixin:
        @staticmethod
        def get_image_processor_dict(name: str, local_files_only: bool) -> tuple[Any, Any]:
            assert local_files_only
            return {"image_mean": MEAN, "image_std": STD}, {}

    module = types.ModuleType("transformers")
    module.AutoModelForSemanticSegmentation = loader(False)  # type: ignore[attr-defined]
    module.AutoModelForUniversalSegmentation = loader(True)  # type: ignore[attr-defined]
    module.image_processing_base = types.SimpleNamespace(  # type: ignore[attr-defined]
        ImageProcessingMixin=ImageProcessingMixin
    )
    monkeypatch.setitem(sys.modules, "transformers", module)
    return models


def names(first: str, count: int) -> list[str]:
    return [first, *(f"class {k}" for k in range(1, count))]


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, 3, 32, 48), generator=generator).float() / 255


@torch.inference_mode()
def test_logits_at_the_size_of_the_images(library: dict[str, FakeModel]) -> None:
    model = library["org/ade"] = FakeModel(names("wall", 150), masks=False)
    segmenter = build_hugging_face("org/ade", ADE20K)
    logits = segmenter(images())
    assert logits.shape == (2, segmenter.num_classes, 32, 48) == (2, 150, 32, 48)
    levels = (images() * 255).double().permute(0, 2, 3, 1)
    expected = standardized(MEAN, STD)(levels).permute(0, 3, 1, 2)
    # Multiples of 1/255 times 255 are whole numbers but for rounding.
    assert torch.allclose(model.seen, expected, atol=1e-6)
    expected = F.interpolate(model(model.seen).logits, size=(32, 48), mode="bilinear")
    assert torch.equal(logits, expected)


@torch.inference_mode()
def test_masks(library: dict[str, FakeModel]) -> None:
    library["org/city"] = FakeModel(names("Road", 19), masks=True)
    scores = build_hugging_face("org/city", CITYSCAPES)(images())
    assert scores.shape == (2, 19, 32, 48)
    assert 0 <= scores.min() < scores.max() <= 1


def test_mask_scores_by_hand() -> None:
    classes = torch.tensor([[[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]]])
    masks = torch.tensor([[[[3.0]], [[-2.0]]]])
    p, m = classes.softmax(-1), masks.sigmoid()
    expected = [sum(p[0, q, c] * m[0, q, 0, 0] for q in range(2)) for c in range(2)]
    assert torch.allclose(mask_scores(classes, masks).flatten(), torch.stack(expected))


@torch.inference_mode()
def test_coco_stuff_of_171_classes(library: dict[str, FakeModel]) -> None:
    library["org/coco"] = FakeModel(names("person", 171), masks=False)
    segmenter = build_hugging_face("org/coco", COCO_STUFF)
    predicted = segmenter(images()).argmax(dim=1).unique().tolist()
    assert segmenter.num_classes == 182
    assert set(predicted) <= set(COCO_STUFF_USED)


@torch.inference_mode()
def test_classes_of_any_dataset_are_found_by_name(library: dict[str, FakeModel]) -> None:
    model = library["mine"] = FakeModel(["tree", "other", "Sea-Floor", "sky"], masks=False)
    wanted = ("sky", "sea floor", "tree")
    segmenter = build_hugging_face("mine", dataset="folder", class_names=wanted)
    logits = segmenter(images())
    whole = F.interpolate(model(model.seen).logits, size=(32, 48), mode="bilinear")
    assert torch.equal(logits, whole[:, [3, 2, 0]])
    assert segmenter.order.labels.targets(torch.tensor([0, 2, 3, 255])).tolist() == [0, 2, 255, 255]
    library["same"] = FakeModel(list(wanted), masks=False)
    same = build_hugging_face("same", dataset="folder", class_names=wanted)
    assert same(images()).shape == (2, 3, 32, 48)
    for names_of, lacking in (
        (["sky", "sea floor"], "1 of the 3 of folder have no channel or several (tree)"),
        (
            ["sky", "Sky", "tree"],
            "2 of the 3 of folder have no channel or several (sky, sea ",
        ),
    ):
        library["less"] = FakeModel(names_of, masks=False)
        with pytest.raises(ValueError, match=re.escape(lacking)):
            build_hugging_face("less", dataset="folder", class_names=wanted)


def test_refusals(library: dict[str, FakeModel]) -> None:
    library["org/ade"] = FakeModel(names("wall", 150), masks=False)
    library["org/pets"] = FakeModel(names("cat", 150), masks=False)
    with pytest.raises(ValueError, match="hf:org/ade predicts ADE20K 150, but Cityscapes 19"):
        build_hugging_face("org/ade", CITYSCAPES)
    with pytest.raises(ValueError, match=r"150 classes from \['cat'\]"):
        build_hugging_face("org/pets")
    library["org/bare"] = library["org/ade"]
    with pytest.raises(ValueError, match=r"lacks weights .*1: decode_head.weight"):
        build_hugging_face("org/bare")
    with pytest.raises(ValueError, match=r"^hf:org/absent is no [^\n]*not cached\); give a folder"):
        build_hugging_face("org/absent")


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"the extra `hf`"):
        build_hugging_face("org/ade")
