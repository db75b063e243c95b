# SPDX-License-Identifier: Apache-2.0
"""Operations, bytes and seconds of each stage from a label map to its scores, counted by running.

`OperationCounter` sees every operation on tensors that torch carries out. A multiply-add is two
operations, other arithmetic one for each element; bytes are those that a call has to read and write
(docs/roofline.md has the rules). The stage of an operation is told by the code of `models` that
asks for it, because there each file does one thing.
"""

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from spade_eval.bench.generator import latent
from spade_eval.bench.maps import BenchMaps
from spade_eval.memory import wait_for
from spade_eval.models import semantics
from spade_eval.models.fast import (
    convolution,
    label_convolution,
    modulation,
    neighbourhoods,
    winograd,
)
from spade_eval.models.fast import spade as fast_spade
from spade_eval.models.fast.accelerate import set_form
from spade_eval.models.fast.convolution import Form
from spade_eval.models.layers import norms, spade
from spade_eval.segmenters.in_domain import InDomainFeatures, InDomainSegmenter

LABEL_MAP, PRODUCTS, MODULATION = "label map", "label products", "modulation"
CONVOLUTIONS, REST, SEGMENTER, FEATURES = "convolutions", "rest", "segmenter", "features"
STAGES = (LABEL_MAP, PRODUCTS, MODULATION, CONVOLUTIONS, REST, SEGMENTER, FEATURES)

_STAGE_OF_MODULE = {
    semantics.__name__: LABEL_MAP,
    neighbourhoods.__name__: LABEL_MAP,
    label_convolution.__name__: PRODUCTS,
    fast_spade.__name__: PRODUCTS,
    modulation.__name__: MODULATION,
    spade.__name__: MODULATION,
    norms.__name__: MODULATION,
}

_INSIDE_CONVOLUTIONS = {convolution.__name__, winograd.__name__}

# Names of torch's operations (aten).
_GIVE_MEMORY = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}
_LOOK_UP = {"index", "index_select", "gather", "embedding"}
_SCATTER = {"index_put_", "scatter_", "masked_scatter_"}
_OVERWRITE = {"copy_", "fill_", "zero_"}  # their first tensor is not read
_MOVE = _GIVE_MEMORY | _LOOK_UP | _SCATTER | _OVERWRITE | {
    "_to_copy", "clone", "cat", "stack", "repeat", "constant_pad_nd", "reflection_pad2d",
    "upsample_nearest2d", "pixel_shuffle", "pixel_unshuffle",
    "zeros", "zeros_like", "new_zeros", "ones", "ones_like", "full", "full_like",
}  # fmt: skip
_ADD_ROWS = {"_embedding_bag", "_embedding_bag_forward_only"}
_MULTIPLY_ADD = {"addcmul", "addcmul_", "mv", "dot", "native_batch_norm", "cudnn_batch_norm"}


@dataclass(frozen=True)
class Work:
    """What a stage did."""

    operations: int = 0
    bytes: int = 0  # read and written
    seconds: float = 0.0  # inside of operations; Python between them is left out

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.operations + other.operations,
            self.bytes + other.bytes,
            self.seconds + other.seconds,
        )


class OperationCounter(TorchDispatchMode):
    """Adds up, by stage, the operations that run inside of `with counter:`.

    `stage_of` gets the name of an operation, such as "convolution", while the code that asked for
    it is still on the stack.
    """

    def __init__(self, stage_of: Callable[[str], str], device: torch.device) -> None:
        super().__init__()
        self.stage_of = stage_of
        self.device = device
        self.work: dict[str, Work] = defaultdict(Work)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        # There, compound operations such as conv2d would come whole, under names not known here.
        assert not torch.is_inference_mode_enabled(), "count under torch.no_grad() instead"
        if _is_view(func):
            return func(*args, **kwargs)
        wait_for(self.device)
        started = time.perf_counter()
        found = func(*args, **kwargs)
        wait_for(self.device)
        seconds = time.perf_counter() - started
        operations = count_operations(func, args, kwargs, found)
        moved = count_bytes(_name(func), args, kwargs, found)
        self.work[self.stage_of(_name(func))] += Work(operations, moved, seconds)
        return found


def generator_stage(name: str) -> str:
    """The stage of an operation that a generator is carrying out."""
    frame, convolving = _frame_of_models()
    module = frame.f_globals["__name__"] if frame else ""
    stage = _STAGE_OF_MODULE.get(module, REST)
    if frame and frame.f_code is spade.SPADE.modulation.__code__:
        return PRODUCTS  # gamma and beta of the dense form
    if module == fast_spade.__name__ and (name == "clone" or "batch_norm" in name):
        return MODULATION  # of x; all else in that file prepares the weights of the tables
    convolving |= name == "convolution"
    return CONVOLUTIONS if convolving and stage != PRODUCTS else stage


def count_stages(
    generator: nn.Module,
    maps: BenchMaps,
    batch_size: int,
    *,
    form: Form,
    repeats: int,
    device: torch.device,
) -> dict[str, Work]:
    """Work of `STAGES`: the generator in that form, then the in-domain scoring networks.

    Of several passes the one of median time. Random weights do: costs do not depend on values.
    """
    generator = generator.to(device).eval()
    set_form(generator, form)
    config = InDomainSegmenter.Config(num_classes=maps.layout.num_classes)
    segmenter = InDomainSegmenter(config).to(device).eval()
    with torch.no_grad():
        # The first pass divides out spectral norms and asks for memory; nobody looks at its counts.
        passes = [
            _one_pass(generator, segmenter, maps, batch_size, device) for _ in range(repeats + 1)
        ]
    passes = sorted(passes[1:], key=lambda work: total(work).seconds)
    return passes[(repeats - 1) // 2]


def total(work: dict[str, Work]) -> Work:
    """All stages together."""
    return sum(work.values(), Work())


def _one_pass(
    generator: nn.Module,
    segmenter: InDomainSegmenter,
    maps: BenchMaps,
    batch_size: int,
    device: torch.device,
) -> dict[str, Work]:
    batch = maps.batch(0, batch_size, device)  # a new one: it keeps the windows that it has found
    with OperationCounter(generator_stage, device) as of_generator:
        image = generator(batch, *latent(generator, batch))
    images = (image + 1) / 2
    with OperationCounter(lambda name: SEGMENTER, device) as of_segmenter:
        segmenter(images)
    with OperationCounter(lambda name: FEATURES, device) as of_features:
        InDomainFeatures(segmenter)(images)
    counted = of_generator.work | of_segmenter.work | of_features.work
    return dict.fromkeys(STAGES, Work()) | counted


def count_operations(func: Any, args: Sequence[Any], kwargs: dict[str, Any], found: Any) -> int:
    """Of one call of an aten operation, with what it returned."""
    formula = flop_registry.get(func.overloadpacket)
    if formula is not None:  # convolutions and matrix products
        counted: int = formula(*args, **kwargs, out_val=found)
        return counted
    name = _name(func)
    if name in _ADD_ROWS:
        return _picked_elements(name, args, found)
    if name in _MOVE:
        return 0
    # A sum or a sort handles each element that it reads, anything else each that it writes.
    largest = max((tensor.numel() for tensor in _tensors((args, found))), default=0)
    return largest * (2 if name in _MULTIPLY_ADD or kwargs.get("alpha", 1) != 1 else 1)


def count_bytes(name: str, args: Sequence[Any], kwargs: dict[str, Any], found: Any) -> int:
    """Each tensor that a call reads, once, and each that it writes.

    A look-up reads no more than it picks, a scatter writes no more than it is given.
    """
    if name in _GIVE_MEMORY:
        return 0
    read = list(_tensors((args, [value for key, value in kwargs.items() if key != "out"])))
    written = list(_tensors(found))
    if name in _ADD_ROWS:
        written = written[:1]  # the sums; the rest serves a gradient
    moved = 0
    if name in _LOOK_UP | _ADD_ROWS | _SCATTER:
        picked = _picked_elements(name, args, found) * read[0].element_size()
        moved = min(_size(read[0]), picked)
    if name in _LOOK_UP | _ADD_ROWS | _SCATTER | _OVERWRITE:
        read = read[1:]
    if name in _SCATTER:
        written = []
    once = {(tensor.data_ptr(), tensor.shape): tensor for tensor in read}
    return moved + sum(map(_size, once.values())) + sum(map(_size, written))


def _picked_elements(name: str, args: Sequence[Any], found: Any) -> int:
    """Of the first tensor: how many are looked up, or written to."""
    if name in _ADD_ROWS:
        table, indices = args[0], args[1]
        return int(indices.numel() * table.shape[1])
    tensors = list(_tensors(args))[1:] if name in _SCATTER else list(_tensors(found))
    return max(tensor.numel() for tensor in tensors)


def _size(tensor: Tensor) -> int:
    """Bytes; of an expanded tensor those that exist."""
    strides = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(n for n, stride in strides if stride or not n) * tensor.element_size()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _name(func: Any) -> str:
    """aten::addcmul.out -> addcmul."""
    name: str = func.name().removeprefix("aten::")
    return name.partition(".")[0]


def _is_view(func: Any) -> bool:
    """Whether a call only looks at memory that was there."""
    aliases = [returned.alias_info for returned in func._schema.returns]
    return _name(func) == "_unsafe_view" or any(a and not a.is_write for a in aliases)


def _frame_of_models() -> tuple[FrameType | None, bool]:
    """The innermost function of `models` on the stack that is not a convolution's own, and whether
    one of these is further in."""
    frame: FrameType | None = sys._getframe(1)
    convolving = False
    while frame:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("models.") and module not in _INSIDE_CONVOLUTIONS:
            break
        convolving |= module in _INSIDE_CONVOLUTIONS
        frame = frame.f_back
    return frame, convolving
