# SPDX-License-Identifier: Apache-2.0
"""One process runs a copy of a synchronised network alone; what all do is in test_distributed."""

import itertools

import torch
from small_training import batch_at, narrow
from torch import nn

from spade_eval.models.training.distributed import World
from spade_eval.models.training.sync_batch_norm import (
    AllReduceBatchNorm2d,
    synchronise_batch_norm,
    with_local_batch_norm,
)

CPU = torch.device("cpu")


def test_a_copy_with_local_norms_asks_nobody_and_leaves_the_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, eps=1e-3, momentum=0.3))
    plain = with_local_batch_norm(network)
    synchronise_batch_norm(network, CPU)
    local = with_local_batch_norm(network)
    assert type(network[1]) is AllReduceBatchNorm2d
    assert type(local[1]) is nn.BatchNorm2d
    assert (local[1].eps, local[1].momentum, local[1].training) == (1e-3, 0.3, True)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(local(x), plain(x))
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)
    assert torch.equal(local[1].running_mean, plain[1].running_mean)


def test_the_first_of_several_processes_finishes_a_network_alone() -> None:
    """Otherwise its batch norms would wait for processes that do something else."""
    training = narrow("oasis")
    batches = [batch for step in range(2) for batch in batch_at(step)]
    alone = training.finished(itertools.cycle(batches)).state_dict()
    synchronise_batch_norm(training.scored_network, CPU)
    training.world = World(rank=0, size=2)
    shared = training.finished(itertools.cycle(batches)).state_dict()
    assert all(torch.equal(shared[name], alone[name]) for name in alone)
