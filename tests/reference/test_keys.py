# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of whole published networks, built on the meta device."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from parity.case import layout_of
from torch import nn

from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.checkpoints.recognition import recognised
from spade_eval.models.released import Hints

FILES = sorted((Path(__file__).parent / "data" / "keys").glob("*.json"))
# Lists that need not be in this repository, by the beginnings of their names.
OUTSIDE = Path(__file__).resolve().parents[3] / "shared" / "parity" / "keys"
FAMILIES = ("oasis_", "pix2pix_", "cyclegan_", "munit_", "unit_", "sean_", "sdm_")


def _network(stem: str, meta: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    """The network of a key list, recognised by names and shapes as far as these can tell."""
    hints = Hints(
        image_size=(256, 512) if "cityscapes_G_vae" in stem else None,
        num_features=3 if "feature" in meta.get("note", "") and "_G" in stem else 0,
    )
    network, config = recognised(tensors, hints)
    return network(config)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_names_and_shapes(path: Path) -> None:
    known = json.loads(path.read_text())
    meta = known["meta"]
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in known["tensors"].items()}
        network = _network(path.stem, meta, tensors)
    ours = {name: list(tensor.shape) for name, tensor in to_published(network).items()}
    assert ours == known["tensors"]
    assert sum(parameter.numel() for parameter in network.parameters()) == meta["n_parameters"]
    if "label_nc" in meta and "_G" in path.stem:
        assert network.config.num_labels == layout_of(meta).num_labels
        if hasattr(network.config, "upsampling"):
            assert network.config.upsampling == meta["num_upsampling_layers"]


def test_all_key_lists_are_here() -> None:
    assert len(FILES) == 21


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_shapes_of_lists_from_outside(family: str) -> None:
    paths = sorted(OUTSIDE.glob(f"{family}*.json"))
    if not paths:
        pytest.skip(f"key lists of {family} are not part of the repository: no {OUTSIDE}")
    for path in paths:
        known = json.loads(path.read_text())
        with torch.device("meta"):
            tensors = {name: torch.empty(shape) for name, shape in known["keys"].items()}
            network, config = recognised(tensors)
            built = network(config)
        ours = {name: list(tensor.shape) for name, tensor in to_published(built).items()}
        assert ours == known["keys"], path.name
        count = sum(parameter.numel() for parameter in built.parameters())
        assert count == known["parameters"], path.name


@pytest.mark.parametrize(
    ("stem", "edges", "norm"),
    [
        ("generator_ade20k", False, "clade"),
        ("generator_ade20k_icpe", False, "clade_icpe"),
        ("generator_cityscapes", True, "clade"),
        ("generator_cityscapes_icpe", True, "clade_icpe"),
        ("discriminator_ade20k", None, None),
    ],
)
def test_names_and_shapes_of_clade(stem: str, edges: bool | None, norm: str | None) -> None:
    path = OUTSIDE / f"clade_{stem}.json"
    if not path.is_file():
        pytest.skip(f"lists of CLADE's keys are not part of the repository: no {path}")
    known = json.loads(path.read_text())
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in known["keys"].items()}
        network = _network(path.stem, {}, tensors)
    ours = {name: list(tensor.shape) for name, tensor in to_published(network).items()}
    assert ours == known["keys"]
    assert sum(parameter.numel() for parameter in network.parameters()) == known["parameters"]
    if norm is not None:
        assert (network.config.edges, network.config.norm) == (edges, norm)
