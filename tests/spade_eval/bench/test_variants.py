# SPDX-License-Identifier: Apache-2.0
"""Ways to compute the same: their names, and CUDA graphs, on a CUDA that only takes notes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from spade_eval.bench.generator import _recorded
from spade_eval.bench.maps import BenchMaps
from spade_eval.bench.variants import Variant, replayed
from spade_eval.errors import UserError
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

CUDA = torch.device("cuda")


class Notes:
    """Streams, graphs and their order, in the place of torch.cuda."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def Stream(self, device: torch.device) -> "Notes":  # noqa: N802 (torch's name)
        self.calls.append("new stream")
        return self

    def current_stream(self, device: torch.device) -> "Notes":
        return self

    def wait_stream(self, other: "Notes") -> None:
        self.calls.append("wait")

    def CUDAGraph(self) -> "Notes":  # noqa: N802
        return self

    def replay(self) -> None:
        self.calls.append("replay")

    @contextlib.contextmanager
    def named(self, name: str) -> Iterator[None]:
        self.calls.append(name)
        yield
        self.calls.append(f"end of {name}")

    def device(self, device: torch.device) -> Any:
        return contextlib.nullcontext()

    def stream(self, stream: "Notes") -> Any:
        return self.named("side stream")

    def graph(self, graph: "Notes") -> Any:
        return self.named("graph")


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    notes = Notes()
    for name in ("Stream", "current_stream", "CUDAGraph", "device", "stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(notes, name))
    return notes


def test_names_say_what_differs() -> None:
    variant = Variant(fast=False, channels_last=True, graph=True, precision="bf16")
    assert variant.name == "dense+channels-last+graph+bf16"
    assert (variant.dtype, variant.needs_cuda) == (torch.bfloat16, True)
    assert Variant(fast=True, precision="tf32").needs_cuda
    assert Variant(fast=True, precision="tf32").dtype == torch.float32
    assert not Variant(fast=True, compiled=True, channels_last=True).needs_cuda


def test_a_graph_is_recorded_after_passes_on_another_stream(notes: Notes) -> None:
    def function() -> torch.Tensor:
        assert not torch.is_grad_enabled()
        notes.calls.append("pass")
        return torch.zeros(1)

    replay = replayed(function, CUDA)
    assert notes.calls == [
        "new stream", "wait", "side stream", "pass", "pass", "pass", "end of side stream", "wait",
        "graph", "pass", "end of graph",
    ]  # fmt: skip
    first = replay()
    assert replay() is first, "one tensor, written by every replay"
    assert notes.calls[-2:] == ["replay", "replay"]
    assert notes.calls.count("pass") == 4


def test_only_cuda_records_graphs() -> None:
    with pytest.raises(UserError, match="a CUDA graph on cpu"):
        replayed(lambda: torch.zeros(1), torch.device("cpu"))


def test_maps_are_written_into_the_recorded_one(notes: Notes) -> None:
    """What the graph reads is what was held when it was recorded, made anew inside of it."""
    layout = SemanticLayout(num_classes=5, unknown="last", edges=True)
    labels = torch.arange(2 * 16).view(2, 4, 4) % 5
    maps = BenchMaps(labels, labels.flip(0), layout)
    held, other = (maps.batch(number, 1, torch.device("cpu")) for number in range(2))
    seen: list[SemanticMap] = []

    def images(semantics: SemanticMap) -> torch.Tensor:
        seen.append(semantics)
        return semantics.full

    of = _recorded(images, held, CUDA)
    assert len({id(item) for item in seen}) == len(seen), "each pass makes its own one-hot map"
    of(other)
    assert torch.equal(images(seen[-1].to(dtype=torch.float64)), other.full.double())
    assert notes.calls[-1] == "replay"
