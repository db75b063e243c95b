# SPDX-License-Identifier: Apache-2.0
import pytest

from spade_eval.models.training.order import DataOrder
from spade_eval.models.training.schedule import RateSchedule


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
    schedule = RateSchedule(constant=40, decay=40, every=10)
    by_epoch = [schedule.factor(10 * epoch) for epoch in range(8)]
    assert by_epoch == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [schedule.factor(10 * epoch + 9) for epoch in range(8)] == by_epoch


def test_the_rate_of_a_step_forgets_earlier_rates() -> None:
    schedule = RateSchedule(constant=2, decay=2)
    assert [schedule.factor(step) for step in (3, 0, 2, 4)] == [0.5, 1.0, 1.0, 0.0]


def test_other_ways_for_a_rate_to_fall() -> None:
    schedule = RateSchedule(constant=2, decay=2)
    assert [schedule.factor(step, "constant") for step in (0, 3, 100)] == [1, 1, 1]
    halved = [schedule.factor(step, "halving", 10) for step in (0, 9, 10, 19, 20, 35)]
    assert halved == [1, 1, 0.5, 0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="expected a number of steps"):
        schedule.factor(0, "halving")
    fallen = [schedule.factor(step, "cosine") for step in (0, 1, 2, 3, 4, 100)]
    assert fallen == pytest.approx([1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0, 0], abs=1e-15)


def test_orders_of_one_seed_are_told_apart_by_name() -> None:
    labels = DataOrder(num_samples=100, batch_size=8, seed=1)
    photos = DataOrder(num_samples=100, batch_size=8, seed=1, name="photos")
    assert labels.at(0)[0] == photos.at(0)[0]
    assert labels.at(0)[1] != photos.at(0)[1]


def test_fine_tuning_goes_on_at_a_fifth_of_the_rate() -> None:
    schedule = RateSchedule(constant=20, decay=10, every=10)
    rates = [schedule.factor(step, "fine-tuning") for step in (0, 19, 20, 29, 100)]
    assert rates == [1, 1, 0.2, 0.2, 0.2]
    assert [schedule.is_second_part(step) for step in (0, 19, 20)] == [False, False, True]
