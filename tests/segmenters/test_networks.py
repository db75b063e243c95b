# SPDX-License-Identifier: Apache-2.0
"""Every published segmenter in miniature: shapes, batches, scales, loading of its files."""

import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.segmenters import SEGMENTERS
from spade_eval.segmenters.deeplab_v2 import DeepLabV2, renamed
from spade_eval.segmenters.drn import bilinear_kernel
from spade_eval.segmenters.label_spaces import ADE20K, CITYSCAPES, COCO_STUFF, COCO_STUFF_USED
from spade_eval.segmenters.upernet import input_size

SMALL: dict[str, Any] = {"blocks": (1, 1, 1, 1), "base_channels": 4}
UPERNET: dict[str, Any] = {**SMALL, "decoder_channels": 8, "short_sides": (64, 96)}
OPTIONS = {
    "deeplab-v2": SMALL,
    "upernet101-baseline": UPERNET,
    "upernet101": UPERNET,
    "upernet101-baseline-single": {**UPERNET, "short_sides": (64,)},
    "upernet101-single": {**UPERNET, "short_sides": (64,)},
    "drn-d-105": SMALL,
    "drn-d-105-ms": SMALL,
}
# Networks of mmsegmentation are built whole or not at all; `test_mmsegmentation.py` has them.
OF_MMSEGMENTATION = {"mask2former-swin-l", "deeplab-v3-r101"}
# Sums in another order: batches, and the averages that follow them.
ROUNDING = 2e-5


def images(height: int = 48, width: int = 64, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, 3, height, width), generator=generator).float() / 255


@pytest.fixture(params=sorted(set(SEGMENTERS) - OF_MMSEGMENTATION))
def name(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("upernet101-baseline"):
        pytest.importorskip("cv2", reason="OpenCV cannot be imported")
    return str(request.param)


@torch.inference_mode()
def test_scores_have_the_size_of_the_images(name: str) -> None:
    entry = SEGMENTERS[name]
    network = entry.filled(**OPTIONS[name])
    scores = network(images())
    assert scores.shape == (2, entry.labels.num_classes, 48, 64)
    assert network.num_classes == entry.labels.num_classes
    assert scores.isfinite().all()
    assert scores.argmax(dim=1).unique().numel() > 1
    assert not network.training


@torch.inference_mode()
def test_a_batch_is_its_images(name: str) -> None:
    network = SEGMENTERS[name].filled(**OPTIONS[name])
    batch = images()
    alone = torch.cat([network(image[None]) for image in batch])
    assert (network(batch) - alone).abs().max() < ROUNDING * alone.abs().max()


@torch.inference_mode()
def test_files_bring_the_weights(name: str) -> None:
    """Written from one network in the form of its files, read into another."""
    entry = SEGMENTERS[name]
    filled = entry.filled(**OPTIONS[name])
    states = [
        {f"module.{n}": t for n, t in filled.get_submodule(file.part).state_dict().items()}
        for file in entry.files
    ]
    loaded = entry.load([{"state_dict": state} for state in states], **OPTIONS[name])
    assert torch.equal(loaded(images()), filled(images()))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with pytest.raises(ValueError, match=f"takes {len(states)} files"):
        entry.load([*states, {}], **OPTIONS[name])


def test_filled_weights_are_always_the_same(name: str) -> None:
    first, second = (SEGMENTERS[name].filled(**OPTIONS[name]) for _ in range(2))
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key])


def test_filled_weights_are_those_of_the_reference_data() -> None:
    """The rule in the notes on that data, written out for one tensor of each kind."""
    state = SEGMENTERS["drn-d-105"].filled(**SMALL).state_dict()

    def drawn(key: str) -> Tensor:
        seed = zlib.crc32(key.encode())
        numbers = np.random.Generator(np.random.PCG64(seed)).standard_normal(state[key].shape)
        return torch.from_numpy(numbers.astype(np.float32))

    expected = {
        "base.0.0.weight": drawn("base.0.0.weight") * np.float32(0.9 / np.sqrt(3 * 7 * 7)),
        "base.0.1.weight": 1 + 0.1 * drawn("base.0.1.weight"),
        "base.0.1.bias": 0.1 * drawn("base.0.1.bias"),
        "base.0.1.running_mean": 0.1 * drawn("base.0.1.running_mean"),
        "base.0.1.running_var": 0.5 * drawn("base.0.1.running_var").abs() + 0.5,
    }
    for key, tensor in expected.items():
        assert torch.equal(state[key], tensor), key


@pytest.mark.parametrize("name", SEGMENTERS)
def test_entry_is_complete(name: str) -> None:
    entry = SEGMENTERS[name]
    assert all(0 < score < 1 for score in entry.published.values())
    for file in entry.files:
        assert file.origin.startswith("http")


def test_the_table_needs_no_torch() -> None:
    code = "import sys, segmenters; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _deeplab(**options: Any) -> DeepLabV2:
    network = SEGMENTERS["deeplab-v2"].filled(**SMALL, **options)
    assert isinstance(network, DeepLabV2)
    return network


@torch.inference_mode()
def test_deeplab_samplings_differ_off_multiples_of_four() -> None:
    ratio, nominal = _deeplab(), _deeplab(sampling="nominal")
    assert torch.equal(ratio(images(48, 64)), nominal(images(48, 64)))
    assert not torch.equal(ratio(images(49, 63)), nominal(images(49, 63)))


@torch.inference_mode()
def test_deeplab_takes_the_maximum_of_the_scales() -> None:
    x = torch.randn(1, 3, 49, 63, generator=torch.Generator().manual_seed(0)) * 60
    assert (_deeplab().logits(x) >= _deeplab(scales=()).logits(x)).all()


def test_deeplab_files_of_before_2019() -> None:
    state = _deeplab().state_dict()
    old = {
        n.replace("base.", "scale.", 1).replace(".shortcut.", ".proj."): t for n, t in state.items()
    }
    assert old.keys() != state.keys()
    assert renamed(old).keys() == state.keys() == renamed(state).keys()
    loaded = SEGMENTERS["deeplab-v2"].load([old], **SMALL)
    assert all(torch.equal(t, state[n]) for n, t in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((61, 83), 300, (320, 416)),
        ((128, 256), 525, (512, 1024)),  # the longer side is at most 1000 before rounding up
        ((256, 256), 256, (256, 256)),
    ],
)
def test_upernet_input_sizes(
    size: tuple[int, int], short_side: int, expected: tuple[int, int]
) -> None:
    assert input_size(size, short_side) == expected


@torch.inference_mode()
def test_upernet_gives_probabilities() -> None:
    probabilities = SEGMENTERS["upernet101"].filled(**UPERNET)(images(50, 63))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(()), atol=1e-5)


@torch.inference_mode()
def test_drn_sizes() -> None:
    entry = SEGMENTERS["drn-d-105"]
    with pytest.raises(ValueError, match="multiples of 8"):
        entry.filled(**SMALL)(images(49, 64))
    assert entry.filled(**SMALL, scales=(0.5, 1.5))(images(49, 63)).shape == (2, 19, 49, 63)


def test_bilinear_kernel_keeps_a_constant() -> None:
    layer = nn.ConvTranspose2d(1, 1, 16, stride=8, padding=4, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel())
        enlarged = layer(torch.ones(1, 1, 5, 5))
    assert torch.equal(enlarged[..., 4:-4, 4:-4], torch.ones(1, 1, 32, 32))


def test_label_spaces() -> None:
    assert COCO_STUFF.classes[:182] == tuple(range(182))
    assert len(COCO_STUFF_USED) == 171
    assert ADE20K.classes[:3] == (IGNORE_INDEX, 0, 1)
    assert ADE20K.classes[150:152] == (149, IGNORE_INDEX)
    assert [CITYSCAPES.classes[i] for i in (0, 7, 29, 33, 34)] == [255, 0, 255, 18, 255]
    label_map = torch.tensor([[[0, 7], [33, 255]]], dtype=torch.uint8)
    assert CITYSCAPES.targets(label_map).tolist() == [[[255, 0], [18, 255]]]
    for space in (COCO_STUFF, ADE20K, CITYSCAPES):
        assert sorted({*space.classes} - {IGNORE_INDEX}) == list(range(space.num_classes))
