# SPDX-License-Identifier: Apache-2.0
"""Several processes as one run: torch.distributed behind the few calls that this suite needs.

torchrun, or anything else that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, starts the
processes; `join` makes them one `World`. A run of one process has the world `ALONE`, in which each
call is the plain thing itself, so that callers have one path. No other file of the product imports
torch.distributed.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

# A process that ends breaks its connections at once; these are for processes that hang.
_STEP_PATIENCE = timedelta(hours=1)
# One process may score, or train a segmenter, while the others wait for it.
_WORK_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among the processes of this machine
    group: Any = None  # for objects and counts, on the CPU and with patience
    store: Any = None  # a dictionary that all processes share

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, shows progress and prints results."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return the slice of `count` items of the whole run that is this process's equal part."""
        if count % self.size:
            raise ValueError(
                f"{count} images cannot be dealt evenly to {self.size} processes; choose a batch "
                f"size that is a multiple of {self.size}, or another number of processes"
            )
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def dealt(self, count: int) -> range:
        """Return which of `count` pieces of work are this process's, if any."""
        return range(self.rank, count, self.size)

    def on_first(self, make: Callable[[], T]) -> T:
        """Return in all processes what `make` returns in the first; its error is theirs too."""
        if self.size == 1:
            return make()
        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome = [make(), None]
            except Exception as error:
                outcome = [None, error]
        dist.broadcast_object_list(outcome, src=0, group=self.group)
        if outcome[1] is not None:
            raise outcome[1]
        return cast(T, outcome[0])

    def gathered(self, parts: Mapping[int, T], count: int) -> list[T]:
        """Collect `count` parts of all processes, in order, in the first one; elsewhere none.

        `ValueError` in every process if one is missing or there twice.
        """
        if self.size == 1:
            return _in_order([parts], count)
        everywhere: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(dict(parts), everywhere, dst=0, group=self.group)
        collected: list[T] = []

        def keep() -> None:
            collected.extend(_in_order(everywhere or [], count))

        self.on_first(keep)
        return collected

    def summed(self, counts: Tensor) -> Tensor:
        """Sum an integer tensor over processes; exact, so order cannot change it."""
        assert not counts.is_floating_point()
        if self.size == 1:
            return counts
        total = counts.cpu().clone()
        dist.all_reduce(total, group=self.group)
        return total.to(counts.device)

    def together(self, rows: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Return this process's rows of what `make` gives for the rows of all, in their order.

        Each process has equally many and makes the whole, so what `make` keeps is equal in all.
        """
        if self.size == 1:
            return make(rows)
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous())
        return make(torch.cat(parts)).chunk(self.size)[self.rank]

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Average each scalar over processes: a loss of the whole batch from its shares'."""
        if self.size == 1:
            return {name: float(value) for name, value in values.items()}
        total = torch.tensor([float(value) for value in values.values()], dtype=torch.float64)
        dist.all_reduce(total, group=self.group)
        return dict(zip(values, (total / self.size).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in some process; the same answer in all."""
        return bool(self.summed(torch.tensor(int(flag))))

    def claims(self, name: str) -> bool:
        """Return whether this process is the first to ask for `name`.

        False as well where nobody can be asked: then the first process has ended before.
        """
        if self.size == 1:
            return True
        try:
            return bool(self.store.add(name, 1) == 1)
        except RuntimeError:  # every error of the store is one
            return False

    def equalise(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the values that the first one has, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over processes, in one exchange a device and type.

        One flat exchange instead of a wrapper around each network: a system may call its networks
        as often as it likes. The price is that the exchange waits for the backward pass.
        """
        if self.size == 1:
            return
        kinds: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
        for parameter in parameters:
            if (gradient := parameter.grad) is not None:
                kinds.setdefault((gradient.device, gradient.dtype), []).append(gradient)
        for gradients in kinds.values():
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat)
            parts = (flat / self.size).split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view(gradient.shape))


ALONE = World()


def all_sum(tensor: Tensor) -> Tensor:
    """Sum over processes; gradients flow through it."""
    return cast(Tensor, _AllSum.apply(tensor))


class _AllSum(torch.autograd.Function):
    """Each process's result depends on every input, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


@contextmanager
def join() -> Iterator[World]:
    """Meet the other processes of a run; after an error the group is left to the exit."""
    store, rank, size = next(dist.rendezvous("env://"))
    with_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if with_gpus else "gloo",
        store=dist.PrefixStore("collectives", store),
        rank=rank,
        world_size=size,
        timeout=_STEP_PATIENCE,
    )
    yield World(
        rank=rank,
        size=size,
        local_rank=int(os.environ.get("LOCAL_RANK", 0)),
        group=dist.new_group(backend="gloo", timeout=_WORK_PATIENCE),
        store=dist.PrefixStore("claims", store),
    )
    dist.destroy_process_group()


def is_loss_of_another(error: BaseException) -> bool:
    """Return whether an error says that another process ended or cannot be reached."""
    if isinstance(error, dist.DistError):
        return True
    # Gloo raises plain RuntimeErrors.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "gloo" in text or "connection closed by peer" in text or "connection reset" in text
    )


@dataclass(frozen=True)
class Ended:
    """How the processes of this machine ended: the signal that ended all, or who failed."""

    signal: int | None = None
    failures: Mapping[int, int] = field(default_factory=dict)  # rank: exit code, or minus a signal


def run_workers(arguments: Sequence[str]) -> Ended:
    """Run torchrun, in this process, with its own arguments until the processes end for good."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(list(arguments)))
    except ChildFailedError as error:
        return Ended(failures={rank: item.exitcode for rank, item in error.failures.items()})
    except SignalException as error:
        return Ended(signal=int(error.sigval))
    return Ended()


def _in_order(parts: Sequence[Mapping[int, T]], count: int) -> list[T]:
    numbers = [number for part in parts for number in part]
    by_number = {number: item for part in parts for number, item in part.items()}
    missing = sorted(set(range(count)) - by_number.keys())
    if missing or len(numbers) != count:
        doubled = sorted({number for number in numbers if numbers.count(number) > 1})
        raise ValueError(
            f"the processes brought {len(numbers)} parts, expected each of {count} once "
            f"(missing {missing[:8]}, doubled {doubled[:8]}); start again"
        )
    return [by_number[number] for number in range(count)]
