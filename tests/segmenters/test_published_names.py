# SPDX-License-Identifier: Apache-2.0
"""Names, order and shapes of whole networks are those of the official files."""

import json
from pathlib import Path

import pytest
import torch

from spade_eval.metrics.inception_network import inception_v3
from spade_eval.segmenters import SEGMENTERS
from spade_eval.segmenters.loading import is_optional

FOLDER = Path(__file__).parents[1] / "reference" / "data" / "keys_segmenters"
NETWORKS = (
    ("deeplabv2_cocostuff164k", "deeplab-v2", "", 55_919_384),
    ("drn_d_105_cityscapes", "drn-d-105", "", 54_302_915),
    ("upernet101_encoder", "upernet101", "encoder", 42_623_936),
    ("upernet101_decoder", "upernet101", "decoder", 40_590_486),
    ("upernet101_encoder", "upernet101-baseline", "encoder", 42_623_936),
    ("upernet101_decoder", "upernet101-baseline", "decoder", 40_590_486),
)


def known_shapes(stem: str) -> dict[str, list[int]]:
    keys = json.loads((FOLDER / f"segmenter_{stem}.json").read_text())["keys"]
    return {name: shape for name, shape in keys.items() if not is_optional(name)}


@pytest.mark.parametrize(("stem", "name", "part", "parameters"), NETWORKS)
def test_names_and_shapes(stem: str, name: str, part: str, parameters: int) -> None:
    entry = SEGMENTERS[name]
    with torch.device("meta"):
        module = entry.network(**entry.options).get_submodule(part)
    ours = {n: list(t.shape) for n, t in module.state_dict().items() if not is_optional(n)}
    assert list(ours.items()) == list(known_shapes(stem).items())
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_inception() -> None:
    state = inception_v3().state_dict()
    ours = {n: list(t.shape) for n, t in state.items() if not is_optional(n)}
    known = known_shapes("inception_fid")
    assert ours == {n: shape for n, shape in known.items() if not n.startswith("fc.")}


def test_all_key_lists_are_used() -> None:
    used = {f"segmenter_{stem}" for stem, *_ in NETWORKS} | {"segmenter_inception_fid"}
    assert {path.stem for path in FOLDER.glob("*.json")} == used
