# SPDX-License-Identifier: Apache-2.0
"""The loop on a toy, and on a narrow SPADE: killed anywhere, it continues bit for bit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from small_training import batch_at, flat, gan_loop, narrow
from torch import Tensor, nn

from spade_eval.models.checkpoints.files import save_state
from spade_eval.models.training.loop import Loop, LoopSettings, prefetched


class Toy:
    """Momentum descent on a number; dies on request."""

    def __init__(self, die_at: int | None = None, loss: float = 1.0) -> None:
        self.weight, self.velocity, self.die_at, self.loss = 1.0, 0.0, die_at, loss
        self.steps: list[int] = []

    def step(self, batch: float, step: int) -> dict[str, Tensor]:
        if step == self.die_at:
            raise KeyboardInterrupt
        self.steps.append(step)
        self.velocity = 0.9 * self.velocity + batch * self.weight
        self.weight -= 0.1 * self.velocity
        return {"loss": torch.tensor(self.loss)}

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.weight, "velocity": self.velocity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weight, self.velocity = state["weight"], state["velocity"]


def toy_loop(toy: Toy, folder: Path, seen: list[int] | None = None, sha: str = "a") -> Loop[float]:
    def observe(step: int, losses: Mapping[str, float]) -> None:
        if seen is not None:
            seen.append(step)

    settings = LoopSettings(steps=10, batch_size=1, save_every=3, observe_every=4)
    return Loop(toy, lambda step: 1.0 / (step + 1), settings, folder / "state.pt", sha, (observe,))


@pytest.mark.parametrize("die_at", [0, 2, 3, 4, 9])
def test_a_killed_run_ends_like_an_undisturbed_one(tmp_path: Path, die_at: int) -> None:
    undisturbed = Toy()
    toy_loop(undisturbed, tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        toy_loop(Toy(die_at), tmp_path / "killed").run()
    continued = Toy()
    toy_loop(continued, tmp_path / "killed").run()
    assert continued.state_dict() == undisturbed.state_dict()
    assert continued.steps == list(range(die_at // 3 * 3, 10)), "continues at the last saved state"


def test_observers_see_their_steps_and_the_last(tmp_path: Path) -> None:
    seen: list[int] = []
    toy_loop(Toy(), tmp_path, seen).run()
    assert seen == [4, 8, 10]


def test_a_finished_run_takes_no_step(tmp_path: Path) -> None:
    toy_loop(Toy(), tmp_path).run()
    again = Toy()
    toy_loop(again, tmp_path).run()
    assert again.steps == []


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    toy_loop(Toy(), tmp_path).run()
    with pytest.raises(ValueError, match="was made with other settings"):
        toy_loop(Toy(), tmp_path, sha="b").run()


@pytest.mark.parametrize("trainable", [{}, {"weight": 1.0, "velocity": 0.0, "narrow": [1]}])
def test_a_state_of_other_networks_is_refused(tmp_path: Path, trainable: dict[str, Any]) -> None:
    class Strict(Toy):
        def load_state_dict(self, state: dict[str, Any]) -> None:
            if len(state) != 2:
                raise RuntimeError(f"{len(state)} parts,\nexpected 2")

    save_state(tmp_path / "state.pt", {"step": 1, "config_sha256": "a", "trainable": trainable})
    with pytest.raises(ValueError, match=r"does not fit the networks \([03] parts, expected 2\)"):
        toy_loop(Strict(), tmp_path).run()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_loss_stops_the_run(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"loss loss is (nan|inf) at step 4"):
        toy_loop(Toy(loss=value), tmp_path).run()


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_prefetching_keeps_the_order_and_passes_errors_on(ahead: int) -> None:
    squares = prefetched(lambda step: step * step, 3, 8, ahead)
    assert list(squares) == [(i, i * i) for i in range(3, 8)]

    def broken(step: int) -> int:
        raise ValueError("sample 5 is damaged")

    with pytest.raises(ValueError, match="sample 5"):
        list(prefetched(broken, 0, 2, ahead))


@pytest.mark.parametrize("model", ["spade", "concat", "pix2pixhdpp"])
def test_gan_training_continues_bitwise(tmp_path: Path, model: str) -> None:
    whole, first, second = narrow(model), narrow(model), narrow(model)
    gan_loop(whole, tmp_path / "whole").run()
    # The schedule is in steps, so stopping after two of four is what a kill leaves behind.
    gan_loop(first, tmp_path / "parts", steps=2).run()
    gan_loop(second, tmp_path / "parts").run()
    pairs = list(zip(flat(whole.state_dict()), flat(second.state_dict()), strict=True))
    assert len(pairs) > 100
    assert all(torch.equal(expected, found) for expected, found in pairs)


def test_both_networks_move_and_only_their_own_step_moves_them() -> None:
    training = narrow()
    before = {name: p.detach().clone() for name, p in training.system.generator.named_parameters()}
    losses = training.step(batch_at(0), 0)
    assert {name.split("/")[0] for name in losses} == {"G", "D"}
    moved = [
        n for n, p in training.system.generator.named_parameters() if not torch.equal(p, before[n])
    ]
    assert len(moved) == len(before)
    # The generator's step leaves no gradient in the discriminator: its own step alone does.
    training.optimizers["D"].zero_grad()
    training._update(training.updates["G"], batch_at(1), 1)
    discriminator = training.system.discriminator
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_the_average_follows_the_weights() -> None:
    training = narrow(ema_decay=0.5)
    average, plain = training.scored_network, training.system.generator
    assert average is not plain
    training.step(batch_at(0), 0)  # the first update copies
    first = [p.detach().clone() for p in plain.parameters()]
    training.step(batch_at(1), 1)
    for mean, start, end in zip(average.parameters(), first, plain.parameters(), strict=True):
        # Two roundings of a sum of two float32 numbers.
        torch.testing.assert_close(mean, (start + end) / 2, rtol=1e-5, atol=1e-8)


def test_without_an_average_the_plain_weights_are_scored() -> None:
    training = narrow(ema_decay=None)
    assert training.scored_network is training.system.generator
    assert isinstance(training.scored_network, nn.Module)
