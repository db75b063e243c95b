# SPDX-License-Identifier: Apache-2.0
"""One of several processes that ask a `World` everything: `world_worker.py FOLDER`, by torchrun.

Each writes what it was told to FOLDER/RANK.json.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from spade_eval.jobs.processes import joined
from spade_eval.models.layers.norms import LocalBatchNorm2d
from spade_eval.models.training.distributed import World
from spade_eval.models.training.sync_batch_norm import AllReduceBatchNorm2d, synchronise_batch_norm

COUNT = 7


def error_of(call: object) -> str:
    try:
        call()  # type: ignore[operator]
    except ValueError as error:
        return str(error)
    return ""


def answers(world: World) -> dict[str, object]:
    parts = {number: f"part {number}" for number in world.dealt(COUNT)}
    alone = {number: number for number in world.dealt(2)}  # nothing for the third process
    lost = dict(list(parts.items())[1:]) if world.rank == 1 else parts
    doubled = {**parts, 0: "again"}

    def refuse() -> int:
        raise ValueError(f"refused in process {world.rank}")

    return {
        "share": [world.share(12).start, world.share(12).stop],
        "uneven": error_of(lambda: world.share(8)),
        "from the first": world.on_first(lambda: f"rank {world.rank}"),
        "its error": error_of(lambda: world.on_first(refuse)),
        "gathered": world.gathered(parts, COUNT),
        "few": world.gathered(alone, 2),
        "missing": error_of(lambda: world.gathered(lost, COUNT)),
        "doubled": error_of(lambda: world.gathered(doubled, COUNT)),
        "summed": world.summed(torch.tensor([2**60, world.rank])).tolist(),
        "together": world.together(
            torch.tensor([[world.rank], [world.rank + 10]]), lambda rows: rows.cumsum(0)
        ).tolist(),
        "mean": world.mean({"loss": torch.tensor(float(world.rank))}),
        "any": [world.any(world.rank == 2), world.any(False)],
        "claims": [world.claims("a"), world.claims("a")],
    }


def batch_norm(world: World) -> dict[str, float]:
    """The largest differences from one batch norm over the images of all processes."""
    random = torch.Generator().manual_seed(0)
    images = torch.randn(6, 4, 5, 3, generator=random) * 3 + 2
    weights = torch.randn(6, 4, 5, 3, generator=random)
    mine = world.share(6)

    def outcome(layer: nn.Module, x: Tensor, weight: Tensor) -> list[Tensor]:
        x = x.clone().requires_grad_()
        y = layer(x)
        (y * weight).sum().backward()
        assert x.grad is not None
        layer.eval()
        return [y, x.grad, layer(x)]

    whole = nn.Sequential(nn.BatchNorm2d(4))
    shared = nn.Sequential(nn.BatchNorm2d(4))
    synchronise_batch_norm(shared, torch.device("cpu"))
    assert type(shared[0]) is AllReduceBatchNorm2d
    expected = [value[mine] for value in outcome(whole, images, weights)]
    found = outcome(shared, images[mine], weights[mine])
    differences = {
        name: float((a - b).abs().max())
        for name, a, b in zip(("output", "gradient", "evaluation"), expected, found, strict=True)
    }
    for name, tensor in whole.state_dict().items():
        differences[name] = float((tensor - shared.state_dict()[name]).abs().max())
    return differences


def converted() -> dict[str, object]:
    network = nn.Sequential(
        nn.BatchNorm2d(4, affine=False), LocalBatchNorm2d(4), nn.Conv2d(4, 4, 1)
    )
    before = list(network.state_dict())
    synchronise_batch_norm(network, torch.device("cpu"))
    return {
        "types": [type(layer).__name__ for layer in network],
        "same keys": before == list(network.state_dict()),
    }


def gradients(world: World) -> dict[str, object]:
    """Weights start as the first process has them; gradients of two micro batches are averaged."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    network.weight.data += world.rank
    world.equalise(list(network.parameters()))
    started_equal = float(network.weight) == 1.0
    seen = []
    for micro in range(2):
        network(torch.full((1, 1), float(world.rank + 10 * micro))).sum().backward()
        if micro == 1:
            world.average_gradients(network.parameters())
        assert network.weight.grad is not None
        seen.append(float(network.weight.grad))
    return {"gradients": seen, "started equal": started_equal}


def main() -> None:
    with joined() as world:
        found = answers(world) | {
            "batch norm": batch_norm(world),
            **converted(),
            **gradients(world),
        }
        Path(sys.argv[1], f"{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
