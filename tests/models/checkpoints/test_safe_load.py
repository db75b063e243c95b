# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files are read whole and nothing in them is run, in every form of torch.save."""

import collections
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from spade_eval.models.checkpoints.safe_load import load_plain, load_tensors

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
)  # fmt: skip
FORMS = pytest.mark.parametrize("zip_form", [True, False], ids=["zip", "legacy"])
# torch.load remarks on pickle protocols above 2, which it reads.
pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")
PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3, 4, 5])


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.args


class History:
    """Stands for a training history: a foreign class with state, list and dictionary items."""

    def __init__(self) -> None:
        self.values = np.arange(3.0)

    def __reduce__(self) -> tuple[Any, ...]:
        items = iter([np.float64(0.5), getattr])
        return History, (), {"values": self.values}, items, iter([("a", {1}), ("b", History)])

    def extend(self, items: list[object]) -> None: ...

    def __setitem__(self, key: str, value: object) -> None: ...


def tensors() -> dict[str, Tensor]:
    """Every dtype, views into a shared storage, an empty and a 0-d tensor, a parameter."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 5, generator=generator)
    state: dict[str, Tensor] = {f"t{i}": base.mul(9).to(d) for i, d in enumerate(DTYPES)}
    state |= {"base": base, "transposed": base.T, "row": base[2], "strided": base[1::2, 1:4:2]}
    state |= {"empty": torch.empty(0, 3), "scalar": torch.tensor(7), "weight": nn.Parameter(base)}
    return collections.OrderedDict(state)


def write(path: Path, content: object, zip_form: bool, protocol: int = 2) -> Path:
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zip_form)
    return path


def assert_same(found: dict[str, Any], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach()), name
        assert not found[name].requires_grad


@FORMS
@PROTOCOLS
def test_state_dict(tmp_path: Path, zip_form: bool, protocol: int) -> None:
    assert_same(load_tensors(write(tmp_path / "a.pth", tensors(), zip_form, protocol)), tensors())


@FORMS
@PROTOCOLS
def test_foreign_classes_are_left_out(tmp_path: Path, zip_form: bool, protocol: int) -> None:
    content = {
        "state_dict": tensors(),
        "message_hub": {"loss": History(), "get": getattr},
        "meta": {"epoch": np.int64(3), "classes": ("sky", "sea"), "anchor": tensors()["row"]},
        "optimizer": {"state": {0: {"momentum": torch.ones(2)}}, "step": History()},
    }
    found = load_tensors(write(tmp_path / "a.pth", content, zip_form, protocol))
    assert list(found) == ["state_dict", "meta"]
    assert_same(found["state_dict"], tensors())
    assert_same(found["meta"], {"anchor": tensors()["row"]})


@FORMS
@PROTOCOLS
def test_tensor_subclasses_and_new_dtypes(tmp_path: Path, zip_form: bool, protocol: int) -> None:
    """Types that torch describes by other functions than plain tensors."""
    parameter = nn.Parameter(torch.ones(2, 2))
    parameter.note = "state"  # type: ignore[attr-defined]
    content = {
        "buffer": torch.nn.Buffer(torch.arange(4.0)),
        "small": torch.arange(3).to(torch.uint16),
        "eighth": torch.arange(3.0).to(torch.float8_e4m3fn),
        "noted": parameter,
    }
    found = load_tensors(
        write(tmp_path / "a.pth", {**content, "foreign": History()}, zip_form, protocol)
    )
    assert list(found) == list(content)
    for name, tensor in content.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].double(), tensor.detach().double())


def test_safetensors_by_content(tmp_path: Path) -> None:
    state = {name: t.detach().clone().contiguous() for name, t in tensors().items()}
    del state[f"t{DTYPES.index(torch.complex128)}"]  # which the format does not have
    path = tmp_path / "weights.pth"
    safetensors.torch.save_file(state, path)
    found = load_tensors(path)
    assert sorted(found) == sorted(state)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def _hostile(target: Path) -> dict[str, object]:
    """Ways in which unpickling would create the target."""
    script = f"open({str(target)!r}, 'w').close()"
    inner = pickle.dumps(Call(os.mkdir, str(target)))
    torch.save(Call(os.mkdir, str(target)), storage := io.BytesIO())
    return {
        "function": Call(os.mkdir, str(target)),
        "shell": Call(os.system, f"touch {target}"),
        "exec": Call(exec, script),
        "eval": Call(eval, f"__import__('os').mkdir({str(target)!r})"),
        "nested pickle": Call(pickle.loads, inner),
        "nested storage": Call(torch.storage._load_from_bytes, storage.getvalue()),
        "attribute": Call(getattr(os, "mkdir"), str(target)),  # noqa: B009
        "torch": Call(torch.save, {}, str(target)),
        "numpy": Call(np.save, str(target), 0),
        "open": Call(open, str(target), "w"),
        "file storage": Call(torch.UntypedStorage.from_file, str(target), True, 16),
    }


HOSTILE = pytest.mark.parametrize("way", list(_hostile(Path("target"))))


@HOSTILE
@FORMS
@PROTOCOLS
def test_hostile_files_run_nothing(tmp_path: Path, way: str, zip_form: bool, protocol: int) -> None:
    target = tmp_path / "touched"
    hostile = _hostile(target)[way]
    path = write(tmp_path / "a.pth", hostile, zip_form, protocol)
    with pytest.raises(ValueError, match="holds no dictionary of tensors"):
        load_tensors(path)
    path = write(tmp_path / "b.pth", {"model": tensors(), "x": [hostile]}, zip_form, protocol)
    assert_same(load_tensors(path)["model"], tensors())
    state = {"first": hostile, **tensors(), "last": hostile}
    assert_same(load_tensors(write(tmp_path / "c.pth", state, zip_form, protocol)), tensors())
    assert not list(tmp_path.glob("touched*"))


@HOSTILE
def test_hostile_objects_are_hostile(tmp_path: Path, way: str) -> None:
    """Free unpickling does touch the file, so the tests above can fail."""
    target = tmp_path / "touched"
    data = pickle.dumps(_hostile(target)[way])
    with io.BytesIO(data) as file:
        pickle.load(file)
    assert list(tmp_path.glob("touched*"))


def test_tar_archive_with_the_magic_of_a_pickle(tmp_path: Path) -> None:
    """The oldest form is a tar archive, whose reader in torch unpickles its members."""
    target, path = tmp_path / "touched", tmp_path / "a.pth"
    data = pickle.dumps(Call(os.mkdir, str(target)))
    for name in ("sys_info", "\udc80\x02\x8a\n"):
        with tarfile.open(path, "w", errors="surrogateescape") as archive:
            for member in (name, "storages", "tensors", "pickle"):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            load_tensors(path)
    assert not target.exists()


@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pth"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path))
    with pytest.raises(ValueError, match="TorchScript"):
        load_tensors(path)


@FORMS
def test_whole_module_is_refused(tmp_path: Path, zip_form: bool) -> None:
    with pytest.raises(ValueError, match="not a whole module"):
        load_tensors(write(tmp_path / "a.pth", nn.Linear(2, 2), zip_form))


@FORMS
def test_cyclic_dictionaries_end(tmp_path: Path, zip_form: bool) -> None:
    content: dict[str, object] = {"weight": torch.ones(2), "foreign": History()}
    content["self"] = content
    assert list(load_tensors(write(tmp_path / "a.pth", content, zip_form))) == ["weight"]


@FORMS
def test_one_dictionary_under_two_names(tmp_path: Path, zip_form: bool) -> None:
    state = {"weight": torch.ones(2)}
    found = load_tensors(write(tmp_path / "a.pth", {"model": state, "ema": state}, zip_form))
    assert_same(found["model"], state)
    assert_same(found["ema"], state)


@FORMS
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.95])
def test_damaged_files_are_refused(tmp_path: Path, zip_form: bool, kept: float) -> None:
    path = write(tmp_path / "a.pth", {"w": torch.ones(500), "h": History()}, zip_form)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=r"^[^\n]*cannot be read as a checkpoint[^\n]*$"):
        load_tensors(path)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (4,), (2,)), (3, (2,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (-1,), (1,))],
)
def test_tensors_outside_their_storage_are_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    storage = torch.storage.TypedStorage(4, dtype=torch.float32, _internal=True)
    hostile = Call(torch._utils._rebuild_tensor, storage, offset, size, stride)
    path = write(tmp_path / "a.pth", {"w": hostile}, zip_form=False)
    with pytest.raises(ValueError, match="outside its storage"):
        load_tensors(path)


def _text(path: Path) -> None:
    path.write_text("hello, world")


def _plain_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b.txt", "hello")


def _plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": 1}))


@pytest.mark.parametrize("make", [_text, _plain_zip, _plain_pickle, lambda path: None])
def test_other_files_are_refused_in_one_line(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"^[^\n]*cannot be read as a checkpoint[^\n]*$"):
        load_tensors(tmp_path / "a.pth")


STATE = {
    "step": 3,
    "rate": 0.5,
    "name": "x",
    "done": False,
    "none": None,
    "order": [1, (2, "a")],
    "optimizer": {"state": {0: {"step": torch.tensor(3.0), "mean": torch.arange(4.0)}}},
}


def test_plain_data_comes_back_as_it_was(tmp_path: Path) -> None:
    found = load_plain(write(tmp_path / "a.pt", STATE, zip_form=True))
    tensors_of = {"step": torch.tensor(3.0), "mean": torch.arange(4.0)}
    assert {**found, "optimizer": None} == {**STATE, "optimizer": None}
    assert list(found) == list(STATE)
    for name, tensor in tensors_of.items():
        assert torch.equal(found["optimizer"]["state"][0][name], tensor)


@HOSTILE
@FORMS
@PROTOCOLS
def test_hostile_states_run_nothing_and_are_refused(
    tmp_path: Path, way: str, zip_form: bool, protocol: int
) -> None:
    target = tmp_path / "touched"
    hostile = _hostile(target)[way]
    contents = (hostile, {**STATE, "x": [hostile]}, {"first": hostile, **tensors()})
    for index, content in enumerate(contents):
        path = write(tmp_path / f"{index}.pt", content, zip_form, protocol)
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            load_plain(path)
    assert not list(tmp_path.glob("touched*"))


def test_a_state_in_a_tar_archive_is_refused(tmp_path: Path) -> None:
    """The readers of tar archives in torch unpickle their members."""
    target, path = tmp_path / "touched", tmp_path / "a.pt"
    data = pickle.dumps(Call(os.mkdir, str(target)))
    with tarfile.open(path, "w") as archive:
        for member in ("sys_info", "storages", "tensors", "pickle"):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with pytest.raises(ValueError, match="not a zip file of torch"):
        load_plain(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "foreign", [{1, 2}, b"bytes", torch.device("cpu"), torch.float32, 1j, torch.Size([1])]
)
def test_a_state_holds_plain_data_alone(tmp_path: Path, foreign: object) -> None:
    """`weights_only` lets more pass than a state may hold."""
    path = write(tmp_path / "a.pt", {"nested": [{"x": foreign}]}, zip_form=True)
    if isinstance(foreign, tuple):
        assert load_plain(path) == {"nested": [{"x": (1,)}]}
    else:
        with pytest.raises(ValueError, match="tensors and plain data"):
            load_plain(path)


@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_other_files_are_no_states(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path))
    with pytest.raises(ValueError, match="TorchScript"):
        load_plain(path)
    with pytest.raises(ValueError, match="a list, not a dictionary"):
        load_plain(write(tmp_path / "list.pt", [1], zip_form=True))
    with pytest.raises(ValueError, match="No such file"):
        load_plain(tmp_path / "absent.pt")
    for make in (_text, _plain_zip, _plain_pickle):
        make(path)
        with pytest.raises(ValueError, match=r"^[^\n]*not [^\n]*torch\.save$"):
            load_plain(path)


def test_a_state_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, object] = {"step": 1}
    content["self"] = content
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        load_plain(write(tmp_path / "a.pt", content, zip_form=True))
