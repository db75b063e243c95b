# SPDX-License-Identifier: Apache-2.0
"""The tensors that `torch.save` has stored, in both of its forms, sizes compared before reading.

What a file holds is made from the pickle of `spade_eval.models.checkpoints.restricted_pickle`,
where a tensor is a claim: a stretch of a storage, with strides. A claim of more numbers than its
storage has is refused, since whoever copies the tensor takes memory for them all.
"""

import io
import math
import sys
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from spade_eval.models.checkpoints.restricted_pickle import InertUnpickler, Storage, Strided
from spade_eval.models.limits import (
    DEEPEST_NESTING,
    MOST_PICKLE_BYTES,
    MOST_SHARING,
    MOST_STATE_VALUES,
    SHARING_GRACE,
)
from spade_eval.models.zip_members import read_member, require_bounded

# First two of the five pickles with which files of the older form begin.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_PLAIN = (Tensor, str, int, float, type(None))  # bool is an int

Making = Callable[[Strided], Tensor]


def read_zip(archive: zipfile.ZipFile, root: str) -> tuple[object, Making]:
    """Read a zip file whose members are below the folder `root`: its content, and its tensors."""
    require_bounded(archive)
    if f"{root}byteorder" in archive.namelist():
        _require_little_endian(
            read_member(archive, f"{root}byteorder", len(b"little")) == b"little"
        )
    pickled = read_member(archive, f"{root}data.pkl", MOST_PICKLE_BYTES)
    unpickler = InertUnpickler(io.BytesIO(pickled))
    content = unpickler.load()
    numbers = {}
    for key, storage in unpickler.storages.items():
        name = f"{root}data/{key}"
        data = read_member(archive, name, archive.getinfo(name).file_size)  # bounded with the rest
        numbers[key] = _numbers(data, storage)
    return content, _Tensors(numbers)


def read_legacy(file: BinaryIO, file_size: int) -> tuple[object, Making]:
    """Read five pickles, then the storages: the content, and its tensors.

    The pickles are magic number, protocol, system, content and storage keys.
    """
    header: list[Any] = [InertUnpickler(file).load() for _ in range(3)]
    if header[:2] != [_LEGACY_MAGIC, _LEGACY_PROTOCOL]:
        raise ValueError("a pickle, but not of torch.save")
    _require_little_endian(header[2]["little_endian"] is True)
    unpickler = InertUnpickler(file)
    content = unpickler.load()
    numbers = {}
    for key in map(str, InertUnpickler(file).load()):
        storage = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little") != storage.numel or storage.size > file_size:
            raise ValueError(f"storage {key} has another size than its tensors say")
        numbers[key] = _numbers(bytearray(file.read(storage.size)), storage)
    return content, _Tensors(numbers)


def tensors_in(content: object, made: Making) -> dict[str, Any]:
    """Copy the nested dictionaries down to their tensors; a dictionary inside itself is cut."""
    copies: dict[int, dict[str, Any]] = {}
    unfinished: set[int] = set()

    def copy(node: object) -> dict[str, Any]:
        if not isinstance(node, dict) or id(node) in unfinished:
            return {}
        if id(node) not in copies:
            unfinished.add(id(node))
            named = [(name, value) for name, value in node.items() if isinstance(name, str)]
            kept = {n: made(v) if isinstance(v, Strided) else copy(v) for n, v in named}
            copies[id(node)] = {
                name: part for name, part in kept.items() if isinstance(part, Tensor) or part
            }
            unfinished.remove(id(node))
        return copies[id(node)]

    return copy(content)


def plain_data(content: object, made: Making) -> object:
    """Put tensors in their places in lists, tuples and dictionaries; `ValueError` for other things.

    A list that stands in many places counts in each, as it does for whoever reads it.
    """
    values = 0

    def filled(node: Any, depth: int) -> Any:
        nonlocal values
        values += 1
        if values > MOST_STATE_VALUES or depth > DEEPEST_NESTING:
            raise ValueError(
                f"it holds more than {MOST_STATE_VALUES:,} values, or lists nested more than "
                f"{DEEPEST_NESTING} deep"
            )
        if isinstance(node, Strided):
            return made(node)
        if isinstance(node, dict):
            for key in node:
                node[key] = filled(node[key], depth + 1)
                filled(key, depth + 1)
        elif type(node) is list:
            node[:] = [filled(item, depth + 1) for item in node]
        elif type(node) is tuple:
            return tuple(filled(item, depth + 1) for item in node)
        elif not isinstance(node, _PLAIN):
            raise ValueError(f"it holds a {type(node).__name__}, not only tensors and plain data")
        return node

    return filled(content, 0)


def _require_little_endian(little: bool) -> None:
    if not little or sys.byteorder != "little":
        raise ValueError("numbers are stored with the most significant byte first")


def _numbers(data: bytearray, storage: Storage) -> Tensor:
    if not 0 <= storage.size <= len(data):
        raise ValueError(f"storage {storage.key} is cut off")
    if storage.size == 0:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(data, dtype=torch.uint8, count=storage.size).view(storage.dtype)


class _Tensors:
    """Makes tensors of stored numbers, once all elements are known to be there."""

    def __init__(self, storages: Mapping[str, Tensor]) -> None:
        self.storages = storages
        stored = sum(numbers.nbytes for numbers in storages.values())
        self._left = SHARING_GRACE + MOST_SHARING * stored  # bytes

    def __call__(self, strided: Strided) -> Tensor:
        """Return the tensor; `ValueError` if it claims what is not stored."""
        if min((0, *strided.size, *strided.stride)) < 0:
            raise _outside(strided)
        if 0 in strided.size:
            return torch.empty(strided.size, dtype=strided.dtype)
        numbers = self.storages[strided.storage.key].view(strided.dtype)
        steps = list(zip(strided.size, strided.stride, strict=True))
        first = strided.storage.offset + strided.offset
        last = first + sum((size - 1) * stride for size, stride in steps)
        if not 0 <= first <= last < len(numbers):
            raise _outside(strided)
        self._claim(strided, len(numbers))
        return numbers.as_strided(strided.size, strided.stride, first)

    def _claim(self, strided: Strided, stored: int) -> None:
        elements = math.prod(strided.size)
        if elements > stored:
            raise ValueError(
                f"a tensor of size {strided.size} claims {elements:,} numbers, its storage has "
                f"{stored:,}"
            )
        self._left -= elements * strided.dtype.itemsize
        if self._left < 0:
            raise ValueError(
                f"its tensors claim more than {MOST_SHARING} times the numbers that it stores"
            )


def _outside(strided: Strided) -> ValueError:
    return ValueError(f"a tensor of size {strided.size} reaches outside its storage")
