# SPDX-License-Identifier: Apache-2.0
"""Unpickler of what `torch.save` writes, which runs nothing and is bounded in memory and time.

`torch.load(weights_only=True)`, up to PyTorch 2.14, does not do here:

- it does not know pickles of protocol 4 and 5, and refuses whole files that hold objects of foreign
  classes besides their tensors (mmsegmentation's training history): `safe_globals` would have to
  name each class, `getattr` among them, and lets no such object be filled item by item;
- it takes memory for whatever a file names: `bytearray(1 << 40)`, tensors of stride 0, sparse ones.

The unpickler knows strided tensors, storages, `OrderedDict` and `torch.Size`; every other name
stands for an inert class, and nothing that a file can reach has a side effect or can be modified.
Python's own unpickler in Python is its base: its memo is a dictionary, where that in C makes room
for any index that a file names. For `spade_eval.models.checkpoints.safe_load`.
"""

import collections
import pickle
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import torch

from spade_eval.models.limits import (
    LARGEST_INTEGER,
    MOST_DIMENSIONS,
    MOST_PICKLE_BYTES,
    MOST_PICKLE_STEPS,
)


class _Inert:
    """Stands for every other class and function; can be called and filled, without effect."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> "_Inert":
        return self

    def __setitem__(self, _: object, __: object) -> None: ...

    def append(self, _: object) -> None: ...

    def extend(self, _: object) -> None: ...

    def add(self, _: object) -> None: ...


# What the unpickler makes is a NamedTuple until the file has been read: tensors have methods and
# attributes that a pickle could reach, tuples have none that it can set.


class _StorageType(NamedTuple):
    dtype: torch.dtype


class Storage(NamedTuple):
    """A stretch of the numbers stored under `key`."""

    key: str
    dtype: torch.dtype
    numel: int
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.dtype.itemsize


class Strided(NamedTuple):
    """A tensor that is not made yet."""

    storage: Storage
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
            made = isinstance(args[0], _Rebuild)
            return args[0](*_few(args[2])) if made else _Inert()
        storage, offset, size, stride = args[:4]
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        dtype = args[6] if self.kind == "typed" else storage.dtype
        return Strided(storage, _whole(offset), _numbers(size), _numbers(stride), dtype)


def _few(items: Any = ()) -> tuple[Any, ...]:
    """Copy a sequence that is short in every sound file."""
    if len(items) > MOST_DIMENSIONS:
        raise pickle.UnpicklingError(
            f"a size of {len(items):,} numbers, expected at most {MOST_DIMENSIONS}"
        )
    return tuple(items)


def _numbers(items: Any) -> tuple[int, ...]:
    return tuple(map(_whole, _few(items)))


def _whole(number: Any) -> int:
    """Return a number that can be multiplied and shown at no cost."""
    if not isinstance(number, int) or abs(number) > LARGEST_INTEGER:
        raise pickle.UnpicklingError("the size of a tensor is not a whole number of 64 bits")
    return number


_KNOWN: dict[tuple[str, str], object] = {
    ("torch", "Size"): _few,
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


class _Bounded:
    """A file of which no more is read at once than a pickle may have; asking costs no memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(_bounded(size))

    def readinto(self, buffer: bytearray) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined]

    def readline(self) -> bytes:
        return self._file.readline(MOST_PICKLE_BYTES)


def _bounded(size: int) -> int:
    if not 0 <= size <= MOST_PICKLE_BYTES:
        raise pickle.UnpicklingError(
            f"a text or frame of {size:,} bytes, expected at most {MOST_PICKLE_BYTES:,}"
        )
    return size


class _Steps(dict[int, Callable[[Any], None]]):
    """The instructions that an unpickler knows; asking for one counts."""

    left = MOST_PICKLE_STEPS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.spend(1)
        return super().__getitem__(code)

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise pickle.UnpicklingError(
                f"more than {MOST_PICKLE_STEPS:,} instructions, expected fewer"
            )


class InertUnpickler(pickle._Unpickler):
    """Builds dictionaries, lists, numbers and `Strided` tensors, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        # Python 2 wrote strings as bytes; some names of old files are such.
        super().__init__(_Bounded(file), encoding="utf-8", errors="replace")
        self.storages: dict[str, Storage] = {}
        self.steps = _Steps(_INSTRUCTIONS)
        self.dispatch = self.steps  # type: ignore[misc]

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the few names that tensors need, and every other one to an inert class."""
        if (module, name) == ("collections", "OrderedDict"):
            return self._ordered
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
        known = kind == "storage" and isinstance(storage_type, _StorageType)
        if not known or not isinstance(key, str | int):
            raise pickle.UnpicklingError("a storage of an unknown type")
        storage = Storage(str(_whole(key) if isinstance(key, int) else key),
                          storage_type.dtype, _whole(numel))  # fmt: skip
        self.storages[storage.key] = storage
        view = pid[5] if len(pid) > 5 else None
        return storage if view is None else storage._replace(offset=_whole(view[1]))

    def _ordered(self, items: Any = ()) -> "collections.OrderedDict[Any, Any]":
        """Make an `OrderedDict`, which Python 2 wrote as a list of pairs."""
        self.steps.spend(len(items))
        return collections.OrderedDict((_key(key), value) for key, value in items)


def _key(key: object) -> object:
    """Refuse keys whose hash takes long: nested tuples, of which each may stand in many others."""
    for part in _few(key) if isinstance(key, tuple) else (key,):
        if isinstance(part, tuple) or (isinstance(part, int) and abs(part) > LARGEST_INTEGER):
            raise pickle.UnpicklingError("a nested tuple or a number of over 64 bits as a key")
    return key


def _charged(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Count the items that an instruction copies."""

    def charged(unpickler: Any) -> None:
        operands = unpickler.stack[-2:]
        unpickler.steps.spend(sum(len(x) for x in operands if isinstance(x, tuple | list | dict)))
        load(unpickler)

    return charged


def _keyed(load: Callable[[Any], None], keys: Callable[[list[Any]], list[Any]]) -> Any:
    """Judge the names under which an instruction puts items into a dictionary."""

    def keyed(unpickler: Any) -> None:
        for key in keys(unpickler.stack):
            _key(key)
        load(unpickler)

    return keyed


def _instructions() -> Mapping[int, Callable[[Any], None]]:
    """Return Python's instructions without those that take memory or hash whatever a file says."""
    known = dict(pickle._Unpickler.dispatch)
    for code in (pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        known[code[0]] = _refused
    known[pickle.BYTEARRAY8[0]] = known[pickle.BINBYTES8[0]]  # takes no memory before reading
    known[pickle.BUILD[0]] = _build
    for code in (pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX):
        known[code[0]] = _charged(known[code[0]])
    known[pickle.SETITEM[0]] = _keyed(known[pickle.SETITEM[0]], lambda stack: stack[-2:-1])
    for code in (pickle.SETITEMS, pickle.DICT):
        known[code[0]] = _keyed(known[code[0]], lambda stack: stack[::2])
    for code in (pickle.ADDITEMS, pickle.FROZENSET):
        known[code[0]] = _keyed(known[code[0]], lambda stack: stack)
    return known


def _build(unpickler: Any) -> None:
    """Give an object its attributes: none but the versions of modules, which state dicts carry."""
    state = unpickler.stack.pop()
    inst = unpickler.stack[-1]
    if isinstance(inst, collections.OrderedDict) and isinstance(state, dict):
        inst.__dict__.update({name: state[name] for name in ("_metadata",) if name in state})


def _refused(_: object) -> None:
    raise pickle.UnpicklingError("an instruction that torch.save does not write")


_INSTRUCTIONS = _instructions()
