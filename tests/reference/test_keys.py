# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of whole published networks, built on the meta device."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from parity.case import layout_of
from torch import nn

from models.discriminators import MultiscaleDiscriminator
from models.encoders import ImageEncoder, InstanceFeatureEncoder
from models.published import to_published
from models.published_configs import generator_config_of

FILES = sorted((Path(__file__).parent / "data" / "keys").glob("*.json"))


def _network(stem: str, meta: dict[str, Any], tensors: dict[str, torch.Tensor]) -> nn.Module:
    """The network of a key list; generators are recognised by their shapes alone."""
    if "_G" in stem:
        latent = {"image_size": (256, 512)} if "cityscapes_G_vae" in stem else {}
        features = 3 if "feature" in meta.get("note", "") else 0
        network, config = generator_config_of(
            tensors, upsampling=None, image_size=latent.get("image_size"), num_features=features
        )
        return network(config)
    if stem.endswith("_D"):
        pix2pixhd = "label_nc" not in meta
        return MultiscaleDiscriminator(
            MultiscaleDiscriminator.Config(
                num_labels=meta["input_nc"] - 3,
                base_channels=meta["ndf"],
                num_layers=meta["n_layers_D"] + pix2pixhd,
                num_scales=meta["num_D"],
                norm=meta["norm"] if pix2pixhd else meta["norm_D"],
            )
        )
    if "feat_num" in meta:
        return InstanceFeatureEncoder(
            InstanceFeatureEncoder.Config(
                num_features=meta["feat_num"],
                base_channels=meta["nef"],
                num_downsamplings=meta["n_downsample_E"],
            )
        )
    return ImageEncoder(ImageEncoder.Config(base_channels=meta["ngf"]))


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
