# SPDX-License-Identifier: Apache-2.0
"""Further files of the known families need no change here: what their meta may say is obeyed.

Cases are made here, or are those of `data` with another meta. What training steps may say is in
`test_training_steps.py`.
"""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity.case import Case
from parity.fill import fill
from parity.kinds import KINDS, check_of
from parity.pix2pixhd import check_washaway, uniform_outputs, washaway_networks
from parity.segmenter_case import image_of, input_of, load_filled
from parity.segmenters import check_segmenter

from spade_eval.segmenters.deeplab_v2 import DeepLabV2
from spade_eval.segmenters.eight_bit import to_bytes

DATA = Path(__file__).parent / "data"
PREFIX = "own/"
# Nothing is filled in these; those of the segmenters name their prefix `salt`.
WITHOUT_WEIGHTS = ("edges_", "losses_", "preprocess_", "segmenter_")
BY_SIZE = sorted(DATA.glob("*.npz"), key=lambda path: path.stat().st_size, reverse=True)
# The smallest file of each other kind.
FILLED = {
    kind: path
    for kind, check in KINDS.items()
    for path in BY_SIZE
    if kind not in WITHOUT_WEIGHTS and check_of(path.stem) is check
}


def written(path: Path, meta: dict[str, Any], arrays: dict[str, Any]) -> Case:
    np.savez(path, meta=json.dumps(meta), **arrays)
    return Case(path)


@pytest.mark.parametrize("kind", FILLED)
def test_the_prefix_of_a_case_enters_every_fill(tmp_path: Path, kind: str) -> None:
    """Filled with other numbers, the networks miss those of the file."""
    known = Case(FILLED[kind])
    prefixes = {name: text for name, text in known.meta.items() if name.startswith("fill_prefix")}
    moved = {name: PREFIX + text for name, text in {"fill_prefix": "", **prefixes}.items()}
    rule = {"input_rule": Case(DATA / "sft_layer.npz").meta["input_rule"]} if kind == "sft_" else {}
    path, check = tmp_path / FILLED[kind].name, KINDS[kind]
    check(written(path, {**known.meta, **rule}, known.arrays))
    with pytest.raises(AssertionError, match="differs by"):
        check(written(path, {**known.meta, **rule, **moved}, known.arrays))


@pytest.mark.parametrize("name", ["cbn_layer", "sft_layer"])
def test_a_case_names_the_draws_of_its_inputs(tmp_path: Path, name: str) -> None:
    known = Case(DATA / f"{name}.npz")
    rule = known.meta["input_rule"].replace("normal:s", "normal:own")
    case = written(tmp_path / f"{name}.npz", {**known.meta, "input_rule": rule}, known.arrays)
    with pytest.raises(AssertionError, match="differs by"):
        check_of(name)(case)


def test_a_washaway_case_with_a_prefix(tmp_path: Path) -> None:
    labels, size = [1, 4], (32, 32)
    options = {
        "pix2pixhd": {"input_nc": 8, "ngf": 4, "n_blocks_global": 1, "n_downsample_global": 2,
                      "norm": "instance"},
        "pix2pixhdpp": {"label_nc": 7, "ngf": 4, "no_instance": False,
                        "norm_G": "spectralsync_batch", "resnet_n_blocks": 1,
                        "resnet_n_downsample": 2},
        "spade": {"label_nc": 7, "ngf": 4, "no_instance": False, "crop_size": 32,
                  "contain_dontcare_label": False, "norm_G": "spectralspadesyncbatch3x3"},
    }  # fmt: skip
    networks = washaway_networks(options)
    for network in networks.values():
        fill(network, PREFIX)
    images = {name: uniform_outputs(networks[name].eval(), labels, size) for name in networks}
    bias = [p for name, p in networks["pix2pixhd"].named_parameters() if name.endswith("bias")][-1]
    largest = {name: float((one - two).abs().max()) for name, (one, two) in images.items()}
    meta = {
        "options": options, "labels": labels, "size": size, "fill_prefix": PREFIX,
        "tanh_of_last_bias": bias.tanh().tolist(),
        "max_abs_difference": {
            "spade_syncbatch_eval": {"1_vs_4": largest["spade"]},
            "pix2pixhdpp_spectralsync_batch_eval": {"1_vs_4": largest["pix2pixhdpp"]},
        },
    }  # fmt: skip
    arrays = {
        f"out_{name}_{label}": image.numpy()
        for name in ("spade", "pix2pixhdpp")
        for label, image in zip(labels, images[name], strict=True)
    }
    centre = torch.stack([image[0, :, 16, 16] for image in images["pix2pixhd"]])
    arrays["out_pix2pixhd_center"] = centre.numpy()
    path = tmp_path / "washaway_own.npz"
    case = written(path, meta, arrays)
    check_washaway(case)
    assert max(case.differences.values()) <= 1e-6
    with pytest.raises(AssertionError, match="differs by"):
        check_washaway(written(path, {**meta, "fill_prefix": ""}, arrays))


@pytest.mark.parametrize("kind", ["image", "odd"])
def test_a_deeplab_case_says_how_it_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    small = functools.partial(
        DeepLabV2.Config, blocks=(1, 1, 1, 1), base_channels=2, num_classes=3, scales=(0.75,)
    )
    monkeypatch.setattr(DeepLabV2, "Config", small)
    meta: dict[str, Any] = {
        "gain": 0.7, "salt": PREFIX, "sampling": "nominal", "stage_mean_std_maxabs": {},
        "input_tag": "own", "input_shape": [1, 3, 33, 57], "input_scale": 60.0,
    }  # fmt: skip
    path = tmp_path / f"segmenter_deeplab_{kind}.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (33, 57, 3), np.uint8)
    case = written(path, meta, {"image": pixels})
    arrays = deeplab_arrays(case, kind)
    check_segmenter(written(path, meta, arrays))
    other = {**meta, "sampling": "ratio"}
    with pytest.raises(AssertionError, match="differs by"):
        check_segmenter(written(path, other, arrays))


def deeplab_arrays(case: Case, kind: str) -> dict[str, Any]:
    """What a case with nominal sampling holds."""
    network = DeepLabV2(DeepLabV2.Config(sampling="nominal"))
    load_filled(case, network)
    image = image_of(case)
    with torch.inference_mode():
        x = input_of(case) if kind == "odd" else network.network_input(to_bytes(image))
        logits = network.logits(x)
        labels = F.interpolate(logits, x.shape[-2:], mode="bilinear").argmax(dim=1)[0]
    name = "logits_msc" if kind == "odd" else "logits"
    return {"image": case.arrays["image"], name: logits.numpy(), "labels": labels.numpy()}
