# SPDX-License-Identifier: Apache-2.0
"""Reader of checkpoint files that `torch.load(weights_only=True)` does not read, or not as safely.

These are, up to PyTorch 2.14:

- pickles of protocol 4 and 5, whose instructions it does not know;
- files that hold objects of foreign classes besides their tensors (mmsegmentation's training
  history): `safe_globals` would have to name each class, `getattr` among them, cannot let pass what
  is of `os`, and lets no such object be filled item by item;
- files of the form before PyTorch 1.6: it takes memory for whatever size a tensor claims and
  compares with the stored numbers afterwards; here sizes are compared first.

The unpickler knows tensors, storages, `OrderedDict` and `torch.Size`; every other name stands for
an inert class, and nothing that a file can reach has a side effect or can be modified. For
`spade_eval.models.checkpoints.safe_load`, which says what is opened in which way.
"""

import collections
import io
import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

# First two of the five pickles with which files of the older form begin.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


def collect(root: object, tensor: Callable[[object], Tensor | None]) -> dict[str, Any]:
    """Copy the nested dictionaries down to their tensors; a dictionary inside itself is cut."""
    copies: dict[int, dict[str, Any]] = {}
    unfinished: set[int] = set()

    def copy(node: object) -> dict[str, Any]:
        if not isinstance(node, dict) or id(node) in unfinished:
            return {}
        if id(node) not in copies:
            unfinished.add(id(node))
            named = [(name, value) for name, value in node.items() if isinstance(name, str)]
            values = [(name, tensor(value), value) for name, value in named]
            kept = {name: copy(value) if leaf is None else leaf for name, leaf, value in values}
            copies[id(node)] = {
                name: part for name, part in kept.items() if isinstance(part, Tensor) or part
            }
            unfinished.remove(id(node))
        return copies[id(node)]

    return copy(root)


class _Inert:
    """Stands for every other class and function; can be called and filled, without effect."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> "_Inert":
        return self

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...

    def append(self, _: object) -> None: ...

    def extend(self, _: object) -> None: ...

    def add(self, _: object) -> None: ...


# What the unpickler makes is a NamedTuple until the file has been read: tensors have methods and
# attributes that a pickle could reach, tuples have none that it can set.


class _StorageType(NamedTuple):
    dtype: torch.dtype


class _Storage(NamedTuple):
    """A stretch of the numbers stored under `key`."""

    key: str
    dtype: torch.dtype
    numel: int
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.dtype.itemsize


class _Strided(NamedTuple):
    """A tensor that is not made yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


class _Rebuild(NamedTuple):
    """One of the functions of torch that pickled tensors name; `kind` says which."""

    kind: str

    def __call__(self, *args: Any) -> object:
        if self.kind == "parameter":  # data, requires_grad, hooks
            return args[0]
        if self.kind == "subclass":  # function, type, its arguments, state
            return args[0](*args[2]) if isinstance(args[0], _Rebuild) else _Inert()
        storage, offset, size, stride = args[:4]
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        dtype = args[6] if self.kind == "typed" else storage.dtype
        return _Strided(storage, offset, tuple(size), tuple(stride), dtype)


_KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Rebuild("tensor"),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild("tensor"),
    ("torch._utils", "_rebuild_tensor_v3"): _Rebuild("typed"),
    ("torch._utils", "_rebuild_parameter"): _Rebuild("parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"): _Rebuild("parameter"),
    ("torch._tensor", "_rebuild_from_type_v2"): _Rebuild("subclass"),
    ("torch", "UntypedStorage"): _StorageType(torch.uint8),
    ("torch.storage", "UntypedStorage"): _StorageType(torch.uint8),
}
_STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


class _InertUnpickler(pickle.Unpickler):
    """Builds dictionaries, lists, numbers and `_Strided` tensors, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        # Python 2 wrote strings as bytes; some names of old files are such.
        super().__init__(file, encoding="utf-8", errors="replace")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the few names that tensors need, and every other one to an inert class."""
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module in ("torch", "torch.cuda") and name in _STORAGE_DTYPES:
            return _StorageType(_STORAGE_DTYPES[name])
        # Not getattr: torch imports parts of itself when they are asked for.
        named = vars(torch).get(name) if module == "torch" else None
        return named if isinstance(named, torch.dtype) else _Inert

    def persistent_load(self, pid: Any) -> object:
        """Resolve a reference to a storage, or to a module class of the older form."""
        if pid[0] == "module":
            return pid[1]
        kind, storage_type, key, _location, numel = pid[:5]
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError(f"unknown storage {storage_type!r}")
        storage = _Storage(str(key), storage_type.dtype, int(numel))
        self.storages[storage.key] = storage
        view = pid[5] if len(pid) > 5 else None
        return storage if view is None else storage._replace(offset=int(view[1]))


def read_zip(archive: zipfile.ZipFile, root: str) -> dict[str, Any]:
    """Read the tensors of a zip file whose members are below the folder `root`."""
    if f"{root}byteorder" in archive.namelist():
        _require_little_endian(archive.read(f"{root}byteorder") == b"little")
    unpickler = _InertUnpickler(io.BytesIO(archive.read(f"{root}data.pkl")))
    content = unpickler.load()

    def read(storage: _Storage) -> Tensor:
        return _numbers(bytearray(archive.read(f"{root}data/{storage.key}")), storage)

    return _finish(content, {key: read(s) for key, s in unpickler.storages.items()})


def read_legacy(file: BinaryIO, file_size: int) -> dict[str, Any]:
    """Read five pickles, then the storages.

    The pickles are magic number, protocol, system, content and storage keys.
    """
    header = [_InertUnpickler(file).load() for _ in range(3)]
    if header[:2] != [_LEGACY_MAGIC, _LEGACY_PROTOCOL]:
        raise ValueError("a pickle, but not of torch.save")
    _require_little_endian(header[2]["little_endian"] is True)
    unpickler = _InertUnpickler(file)
    content = unpickler.load()
    numbers = {}
    for key in map(str, _InertUnpickler(file).load()):
        storage = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little") != storage.numel or storage.size > file_size:
            raise ValueError(f"storage {key} has another size than its tensors say")
        numbers[key] = _numbers(bytearray(file.read(storage.size)), storage)
    return _finish(content, numbers)


def _require_little_endian(little: bool) -> None:
    if not little or sys.byteorder != "little":
        raise ValueError("numbers are stored with the most significant byte first")


def _numbers(data: bytearray, storage: _Storage) -> Tensor:
    if not 0 <= storage.size <= len(data):
        raise ValueError(f"storage {storage.key} is cut off")
    if storage.size == 0:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(data, dtype=torch.uint8, count=storage.size).view(storage.dtype)


def _finish(content: object, numbers: Mapping[str, Tensor]) -> dict[str, Any]:
    """Put tensors in place of their descriptions in nested dictionaries."""
    return collect(content, lambda n: _tensor(n, numbers) if isinstance(n, _Strided) else None)


def _tensor(strided: _Strided, storages: Mapping[str, Tensor]) -> Tensor:
    """Make the tensor, once all its elements are known to lie inside the stored numbers."""
    if 0 in strided.size:
        return torch.empty(strided.size, dtype=strided.dtype)
    numbers = storages[strided.storage.key].view(strided.dtype)
    steps = list(zip(strided.size, strided.stride, strict=True))
    first = strided.storage.offset + strided.offset
    last = first + sum((size - 1) * stride for size, stride in steps)
    if min((0, *strided.size, *strided.stride)) < 0 or not 0 <= first <= last < len(numbers):
        raise ValueError(f"a tensor of size {strided.size} reaches outside its storage")
    return numbers.as_strided(strided.size, strided.stride, first)
