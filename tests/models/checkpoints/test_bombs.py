# SPDX-License-Identifier: Apache-2.0
"""Small checkpoint files that ask for gigabytes or minutes are refused by the limit they pass."""

import dataclasses
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from spade_eval.models.checkpoints import restricted_pickle
from spade_eval.models.checkpoints.bounds import require_buildable
from spade_eval.models.checkpoints.description import rebuild
from spade_eval.models.checkpoints.files import has_description, load_description, load_state
from spade_eval.models.checkpoints.published import load_published_network, refuse_absurd
from spade_eval.models.checkpoints.safe_load import load_plain, load_tensors
from spade_eval.models.limits import LARGEST_WEIGHT, MOST_HEADER_BYTES, MOST_UNPACKING
from spade_eval.models.systems.presets import GENERATORS, networks
from spade_eval.models.systems.scaling import network_config

NETWORKS = networks()


def config_of(network: type[nn.Module]) -> Any:
    """The defaults, with one label channel."""
    config: Any = network.Config  # type: ignore[attr-defined]
    required = [f.name for f in dataclasses.fields(config) if f.default is dataclasses.MISSING]
    return config(**dict.fromkeys(required, 1))


def numbers_of(config: Any) -> list[tuple[str, Any]]:
    """Every field that holds whole numbers, with values that would build for minutes."""
    huge = []
    for name, value in dataclasses.asdict(config).items():
        if type(value) is int or name == "z_dim":
            huge += [(name, 1 << 20), (name, 1 << 62)]
        elif isinstance(value, tuple):
            huge += [(name, (1 << 20,) * len(value)), (name, (4,) * (1 << 16))]
    return huge


@pytest.mark.parametrize(
    ("network", "name", "value"),
    [
        pytest.param(network, name, value, id=f"{network}-{name}-{index % 2}")
        for network, made in NETWORKS.items()
        for index, (name, value) in enumerate(numbers_of(config_of(made)))
    ],
)
def test_no_number_of_a_description_can_build_for_minutes(
    network: str, name: str, value: Any
) -> None:
    config = {**dataclasses.asdict(config_of(NETWORKS[network])), name: value}
    described = json.loads(json.dumps({"network": network, "config": config}))
    with pytest.raises(ValueError, match=rf"^{name} (is|has) [^\n]*, expected [^\n]*$"):
        rebuild(described, {})


@pytest.mark.parametrize("name", GENERATORS)
def test_every_preset_is_far_from_the_limits(name: str) -> None:
    """Also where it is four times as wide, for large images and for many labels."""
    preset = GENERATORS[name]
    size = (1024, 1024) if hasattr(preset.network.Config, "scaled") else (2048, 4096)
    require_buildable(preset.network, network_config(preset, 2000, size, width=4))


def test_names_of_a_released_file_do_not_build_for_minutes() -> None:
    """The number of layers is that of numbered names."""
    tensors = {f"layer{i}.0.weight_orig": torch.zeros(1, 1, 3, 3) for i in range(1, 70)}
    tensors |= {"fc_mu.weight": torch.zeros(4, 4), "fc_mu.bias": torch.zeros(4)}
    with pytest.raises(ValueError, match=r"input_size is \d+, expected 0 to"):
        load_published_network(tensors)


@pytest.mark.parametrize("value", [1e38, -1e38, float("inf"), float("nan"), LARGEST_WEIGHT * 2])
def test_a_weight_that_no_training_leaves_is_named(value: float) -> None:
    weights = {"conv.weight": torch.zeros(3, 3), "to_rgb.weight": torch.zeros(4)}
    refuse_absurd({**weights, "steps": torch.tensor(1 << 40), "empty": torch.zeros(0)})
    refuse_absurd({"norm.running_var": torch.tensor(LARGEST_WEIGHT * 4)})
    weights["to_rgb.weight"][2] = value
    with pytest.raises(ValueError, match=r"^to_rgb\.weight: NaN or infinity, or numbers"):
        refuse_absurd(weights)


def expanded(*size: int) -> Tensor:
    return torch.zeros(1).expand(*size)


def shared(count: int) -> dict[str, Tensor]:
    base = torch.zeros(1 << 18)
    return {f"w{i}": base.view(-1) for i in range(count)}


FORMS = pytest.mark.parametrize("zip_form", [True, False], ids=["zip", "legacy"])


@FORMS
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"w": expanded(1 << 40)}, "claims 1,099,511,627,776 numbers, its storage has 1"),
        ({"w": expanded(1 << 20, 1 << 20)}, "claims 1,099,511,627,776 numbers"),
        ({"a": torch.zeros(4), "w": torch.zeros(8)[:4].as_strided((4, 3), (1, 1))}, "claims 12"),
        (shared(20), "claim more than 4 times the numbers"),
    ],
)
def test_tensors_that_claim_more_than_is_stored(
    tmp_path: Path, content: dict[str, Tensor], said: str, zip_form: bool
) -> None:
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zip_form)
    with pytest.raises(ValueError, match=rf"^[^\n]*{said}[^\n]*$"):
        load_tensors(path)


def test_tied_weights_are_no_bomb(tmp_path: Path) -> None:
    weight = torch.arange(1 << 20, dtype=torch.float32)
    torch.save({"G": {"w": weight}, "ema": {"w": weight}, "half": weight[::2]}, tmp_path / "a.pth")
    found = load_tensors(tmp_path / "a.pth")
    assert torch.equal(found["ema"]["w"], weight)
    assert torch.equal(found["half"], weight[::2])


def saved(content: object) -> dict[str, bytes]:
    """The members of what torch.save writes, by name."""
    torch.save(content, file := io.BytesIO())
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes], packed: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("member", ["data.pkl", "byteorder", "data/0"])
def test_members_that_unpack_to_more_than_a_file_can_hold(tmp_path: Path, member: str) -> None:
    members = saved({"w": torch.zeros(3)})
    path = write(tmp_path / "sound.pth", members, zipfile.ZIP_DEFLATED)
    assert torch.equal(load_tensors(path)["w"], torch.zeros(3))
    members[f"archive/{member}"] += bytes(80 << 20)
    path = write(tmp_path / "a.pth", members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size * MOST_UNPACKING < 80 << 20
    for read in (load_tensors, load_plain):
        with pytest.raises(ValueError, match=r"bytes unpack to 83,[\d,]+, expected at most"):
            read(path)


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_ways_of_packing_are_refused(tmp_path: Path, packed: int) -> None:
    path = write(tmp_path / "a.pth", saved({"w": torch.zeros(3)}), packed)
    with pytest.raises(ValueError, match=f"is packed by method {packed}"):
        load_tensors(path)


def test_a_size_that_lies_is_found(tmp_path: Path) -> None:
    """The directory says less than the member holds, or more."""
    members = saved({"w": torch.zeros(300)})
    path = write(tmp_path / "a.pth", members, zipfile.ZIP_DEFLATED)
    true = struct.pack("<I", 1200)
    for lie in (1100, 1300, 1200 << 10):
        data = path.read_bytes()
        assert data.count(true) == 2
        (tmp_path / "lie.pth").write_bytes(data.replace(true, struct.pack("<I", lie)))
        with pytest.raises(ValueError, match=r"has another size|its checksum|cut off"):
            load_tensors(tmp_path / "lie.pth")


def pickled(path: Path, data: bytes) -> Path:
    """A file of torch.save with this pickle."""
    return write(path, {**saved({"w": torch.zeros(3)}), "archive/data.pkl": data})


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.args


def nested_key() -> object:
    key: tuple[object, ...] = ()
    for _ in range(60):
        key = (key, key)
    return key


def key_of_tuples() -> bytes:
    """Pickle {key: 1} without the hash of the key being taken here."""
    return b"\x80\x02}" + pickle.dumps(nested_key(), 2)[2:-1] + b"K\x01s."


REPEATED_CALL = b"\x80\x02cbuiltins\nlist\n" + b"(" + b"N" * 99_990 + b"tq\x01R" + b"h\x01R" * 60


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps({"w": Call(bytearray, Call(bytearray, 1 << 40))}, 2), "no dictionary of"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".", "of 1,099,511,627,776 bytes"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".", "of 1,099,511,627,776 bytes"),
        (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b".", "of 1,099,511,627,776 bytes"),
        (b"\x80\x02}r" + struct.pack("<I", (1 << 32) - 1) + b".", "no dictionary of tensors"),
        (key_of_tuples(), "a nested tuple"),
        (b"\x80\x02}\x8a\x14" + b"\x7f" * 20 + b"K\x01s.", "a number of over 64 bits as a key"),
        (b"\x80\x02" + b"N0" * 1_000_001 + b"}.", "more than 2,000,000 instructions"),
        (REPEATED_CALL + b"}.", "more than 2,000,000 instructions"),
    ],
    ids=["bytearray", "counted", "bytes", "frame", "memo", "tuples", "key", "steps", "copies"],
)
def test_pickles_that_ask_for_memory_or_time(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*{said}[^\n]*$"):
        load_tensors(pickled(tmp_path / "a.pth", data))


def test_a_size_of_many_numbers_is_refused(tmp_path: Path) -> None:
    storage = torch.storage.TypedStorage(4, dtype=torch.float32, _internal=True)
    for size, said in (((1,) * 65, "a size of 65 numbers"), ((1 << 70,), "of 64 bits")):
        hostile = Call(torch._utils._rebuild_tensor, storage, 0, size, size)
        torch.save({"w": hostile}, tmp_path / "a.pth")
        with pytest.raises(ValueError, match=said):
            load_tensors(tmp_path / "a.pth")


def test_nothing_that_a_pickle_reaches_can_be_changed(tmp_path: Path) -> None:
    """Attributes of the functions that stand for torch's would stay for the next file."""
    state = pickle.dumps((None, {"__defaults__": (5,), "__doc__": "x"}), 2)[2:-1]
    for name in (b"ctorch\nSize\n", b"ccollections\nOrderedDict\n", b"cos\nsystem\n"):
        with pytest.raises(ValueError, match="no dictionary of tensors"):
            load_tensors(pickled(tmp_path / "a.pth", b"\x80\x02" + name + state + b"b."))
    assert restricted_pickle._few.__defaults__ == ((),)


def shared_lists(depth: int, width: int = 2) -> list[object]:
    """Hold width^depth values for whoever walks through it."""
    node: list[object] = [1]
    for _ in range(depth):
        node = [node] * width
    return node


@pytest.mark.parametrize(
    "content",
    [{"x": shared_lists(10, 4)}, {"x": shared_lists(60)}, {"x": [0] * 1_000_001}],
    ids=["many", "deep", "long"],
)
def test_states_of_lists_without_end_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"^it holds more than 1,000,000 values, or lists nested"):
        load_plain(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_with_a_broken_weight_is_refused_by_name(tmp_path: Path, value: float) -> None:
    weight = torch.zeros(3)
    state = {"trainable": {"generator": {"conv": weight}, "rates": [0.1], "none": None}}
    torch.save(state, tmp_path / "a.pt")
    load_state(tmp_path / "a.pt")
    weight[1] = value
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"trainable\.generator\.conv in it holds NaN or infin"):
        load_state(tmp_path / "a.pt")


def test_the_versions_of_modules_come_back(tmp_path: Path) -> None:
    """`load_state_dict` reads them, so a state without would be another one."""
    state = nn.BatchNorm2d(2).state_dict()
    torch.save({"trainable": state}, tmp_path / "a.pt")
    assert load_state(tmp_path / "a.pt")["trainable"]._metadata == state._metadata  # type: ignore[attr-defined]


def test_a_header_of_safetensors_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    size = MOST_HEADER_BYTES + 8
    path.write_bytes(struct.pack("<Q", size) + b"{}".ljust(size))
    assert not has_description(path)
    with pytest.raises(ValueError, match="its header has 16,777,224 bytes, expected at most"):
        load_tensors(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("[" * 100_000, "nested deeper than 20"), ("1" + "0" * 5000, "of 5,001 digits")],
)
def test_a_description_that_is_deep_or_large(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(1)}, path, {"spade_eval": text})
    with pytest.raises(ValueError, match=said):
        load_description(path)
