# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from spade_eval.models.training.order import DataOrder
from spade_eval.models.training.schedule import LinearDecay


def test_every_epoch_is_another_permutation_without_the_incomplete_batch() -> None:
    order = DataOrder(num_samples=11, batch_size=3, seed=5)
    epochs = []
    for epoch in range(3):
        batches = [order.at(epoch * order.steps_per_epoch + i) for i in range(3)]
        assert [found for found, _ in batches] == [epoch] * 3
        epochs.append([index for _, indices in batches for index in indices])
    assert all(len(set(epoch)) == 9 and set(epoch) < set(range(11)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_depends_on_seed_and_step_alone() -> None:
    first, again = (DataOrder(num_samples=100, batch_size=8, seed=1) for _ in range(2))
    forwards = [first.at(step) for step in range(30)]
    backwards = [again.at(step) for step in reversed(range(30))]
    assert forwards == backwards[::-1]
    assert forwards[0] != DataOrder(num_samples=100, batch_size=8, seed=2).at(0)


@pytest.mark.parametrize("batch_size", [0, 4])
def test_a_batch_that_cannot_be_filled_is_refused(batch_size: int) -> None:
    with pytest.raises(ValueError, match=r"batch size \d, expected 1\.\.3"):
        DataOrder(num_samples=3, batch_size=batch_size, seed=0)


def test_decay_by_epoch_is_the_release_s_schedule() -> None:
    # 4 epochs constant, 4 decaying, 10 steps each (spade_family: the first epoch of the decay
    # still runs at the full rate, the last one at 1/4 of it).
    schedule = LinearDecay(constant=40, decay=40, every=10)
    by_epoch = [schedule.factor(10 * epoch) for epoch in range(8)]
    assert by_epoch == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [schedule.factor(10 * epoch + 9) for epoch in range(8)] == by_epoch


def test_the_rate_of_a_step_forgets_earlier_rates() -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LinearDecay(constant=2, decay=2)
    for step, expected in ((3, 0.5), (0, 1.0), (2, 1.0), (4, 0.0)):
        schedule.apply(optimizer, 1.0, step)
        assert optimizer.param_groups[0]["lr"] == expected
