# SPDX-License-Identifier: Apache-2.0
"""Released files become ours and come back, number by number; what does not fit is refused."""

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_description, save_network
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.discriminators import MultiscaleDiscriminator
from spade_eval.models.encoders import ImageEncoder
from spade_eval.models.labels import RELEASED_LAYOUTS, SemanticLayout
from spade_eval.models.systems.presets import build_generator
from spade_eval.sources.checkpoints import ReleasedOptions, description
from spade_eval.sources.convert import convert

SIZE = (64, 64)
GENERATORS: list[tuple[str, int, dict[str, Any], ReleasedOptions]] = [
    ("spade", 184, {}, ReleasedOptions()),
    ("spade", 151, {}, ReleasedOptions(arch="spade", label_layout="ade20k_raw")),
    ("spade", 36, {"upsampling": "more"}, ReleasedOptions()),
    ("spade_instance", 9, {}, ReleasedOptions(upsampling="normal", label_layout="9")),
    ("spade_vae", 151, {}, ReleasedOptions(label_layout="ade20k_shifted", image_size=SIZE)),
    ("pix2pixhd", 36, {}, ReleasedOptions(arch="pix2pixhd")),
    ("pix2pixhd", 36, {"num_features": 3}, ReleasedOptions(num_features=3)),
    ("pix2pixhd_local", 36, {}, ReleasedOptions()),
    ("pix2pixhdpp", 36, {}, ReleasedOptions(arch="pix2pixhdpp")),
    ("oasis", 151, {}, ReleasedOptions(arch="oasis")),
    ("oasis", 20, {}, ReleasedOptions(label_layout="19+unknown-first")),
    ("oasis_without_noise", 35, {}, ReleasedOptions()),
    ("sean", 19, {"class_means": False}, ReleasedOptions(arch="sean")),
    ("sean", 5, {"class_means": False}, ReleasedOptions(upsampling="normal", label_layout="5")),
]


def save_released(path: Path, network: nn.Module) -> dict[str, torch.Tensor]:
    tensors = to_published(network)
    torch.save(tensors, path)
    return tensors


def round_trip(folder: Path, network: nn.Module, options: ReleasedOptions) -> dict[str, Any]:
    """Released -> ours -> released; returns the description in the middle."""
    tensors = save_released(folder / "latest_net_G.pth", network)
    ours, back = folder / "ours.safetensors", folder / "back.pth"
    convert(folder / "latest_net_G.pth", ours, options)
    convert(ours, back, ReleasedOptions())
    again = torch.load(back, weights_only=True)
    assert list(again) == list(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(again[name], tensor)
    return load_description(ours)


@pytest.mark.parametrize(("name", "num_labels", "settings", "options"), GENERATORS)
def test_generators_come_back_bit_by_bit(
    tmp_path: Path, name: str, num_labels: int, settings: dict[str, Any], options: ReleasedOptions
) -> None:
    network = build_generator(name, num_labels, SIZE, width=1 / 32, seed=2, **settings)
    found = round_trip(tmp_path, network, options)
    assert found["format"] == 1
    assert found["origin"] == "released: latest_net_G.pth"
    assert found["train"] is None
    assert SemanticLayout(**found["layout"]).num_labels == num_labels
    if options.label_layout is not None:
        assert found["layout_name"] == options.label_layout


@pytest.mark.parametrize(
    "network",
    [
        ImageEncoder(ImageEncoder.Config(base_channels=2)),
        MultiscaleDiscriminator(MultiscaleDiscriminator.Config(num_labels=4, base_channels=2)),
    ],
    ids=["E", "D"],
)
def test_encoders_and_discriminators_come_back(tmp_path: Path, network: nn.Module) -> None:
    assert round_trip(tmp_path, network, ReleasedOptions())["layout"] is None


def test_a_network_without_released_layout_is_refused(tmp_path: Path) -> None:
    network = build_generator("concat", 9, SIZE, width=1 / 32)
    ours = tmp_path / "ours.safetensors"
    layout = SemanticLayout(num_classes=9)
    save_network(ours, network.state_dict(), description(network, layout, "nine", "a test"))
    with pytest.raises(UserError, match="no released layout holds this network"):
        convert(ours, tmp_path / "back.pth", ReleasedOptions())
    assert not (tmp_path / "back.pth").exists()


def test_class_means_are_not_lost_on_the_way(tmp_path: Path) -> None:
    ours, network = tmp_path / "ours.safetensors", build_generator("sean", 9, SIZE, width=1 / 32)
    described = description(network, SemanticLayout(num_classes=9), "nine", "a test")
    save_network(ours, network.state_dict(), described)
    with pytest.raises(UserError, match="class_means=True, read back as False"):
        convert(ours, tmp_path / "back.pth", ReleasedOptions(upsampling="normal"))


def test_statistics_of_one_process_are_written_as_of_all(tmp_path: Path) -> None:
    network = build_generator("spade_batch", 36, SIZE, width=1 / 32)
    ours = tmp_path / "ours.safetensors"
    layout = SemanticLayout(num_classes=36)
    save_network(ours, network.state_dict(), description(network, layout, "36", "a test"))
    convert(ours, tmp_path / "back.pth", ReleasedOptions())
    assert (tmp_path / "back.pth").is_file()


@pytest.mark.parametrize(
    ("source", "target"), [("G.pth", "x.safetensors"), ("G.safetensors", "x.pth")]
)
def test_a_disk_that_is_full_is_one_line_and_leaves_no_file(
    source: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build_generator("spade", 184, SIZE, width=1 / 32)
    save_released(tmp_path / "G.pth", network)
    described = description(network, RELEASED_LAYOUTS["coco_stuff"], "coco_stuff", "a test")
    save_network(tmp_path / "G.safetensors", network.state_dict(), described)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))  # bytes of any file
    try:
        with pytest.raises(SystemExit) as ended:
            main(["convert", str(tmp_path / source), str(tmp_path / target)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert target in printed
    assert {path.name for path in tmp_path.iterdir()} == {"G.pth", "G.safetensors"}


def test_names_that_mislead_and_files_in_the_way_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "G.pth"
    save_released(file, build_generator("spade", 184, SIZE, width=1 / 32))
    with pytest.raises(UserError, match=r"ending in \.safetensors, not other\.pth"):
        convert(file, tmp_path / "other.pth", ReleasedOptions())
    target = tmp_path / "ours.safetensors"
    convert(file, target, ReleasedOptions())
    with pytest.raises(UserError, match="exists already"):
        convert(file, target, ReleasedOptions())
    with pytest.raises(UserError, match=r"ending in \.pth or \.pt"):
        convert(target, tmp_path / "again.safetensors", ReleasedOptions())
    with pytest.raises(UserError, match="does not exist"):
        convert(tmp_path / "no.pth", tmp_path / "new.safetensors", ReleasedOptions())
