# SPDX-License-Identifier: Apache-2.0
"""`DuringTraining` in a loop of somebody else's: it scores, and moves nothing."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spade_eval as se


class Painter(nn.Module):
    """A colour a class, and what training usually has: dropout, batch norm, random numbers."""

    value_range = "[-1,1]"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.colours = nn.Embedding(256, 3)
        self.norm, self.dropout = nn.BatchNorm2d(3), nn.Dropout(0.5)

    def forward(self, batch: se.MapBatch) -> Tensor:
        colours = self.colours(batch.label_map).permute(0, 3, 1, 2)
        return torch.tanh(self.dropout(self.norm(colours)) + 0.01 * torch.randn(1))


def trained(callback: se.DuringTraining | None, steps: int = 4) -> list[Tensor]:
    """The weights, buffers and random state after some steps."""
    painter = Painter()
    painter.norm.eval()  # as somebody may leave it
    optimizer = torch.optim.SGD(painter.parameters(), lr=0.1)
    maps = torch.randint(0, 8, (2, 8, 8))
    for step in range(1, steps + 1):
        colours = painter.dropout(painter.colours(maps)).square().mean()
        optimizer.zero_grad()
        colours.backward()
        optimizer.step()
        if callback is not None:
            callback(step, painter)
    assert painter.training
    assert painter.dropout.training
    assert not painter.norm.training
    return [*painter.state_dict().values(), torch.random.get_rng_state()]


@pytest.fixture
def callback(four_scenes: None, tmp_path: Path) -> se.DuringTraining:
    return se.DuringTraining(
        dataset="scenes", every=2, images=3, device="cpu", log=tmp_path / "scores.jsonl"
    )


def test_scores_come_every_so_many_steps_and_move_nothing(
    callback: se.DuringTraining, tmp_path: Path
) -> None:
    alone, watched = trained(None), trained(callback)
    assert all(torch.equal(*pair) for pair in zip(alone, watched, strict=True))
    assert callback.frame["step"].tolist() == [2, 4]
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert lines == callback.history
    assert "first 3 val images, every 2 steps" in lines[0]["rule"]
    assert callback.best_step in (2, 4)


def test_a_score_is_that_of_the_generator_in_evaluation_mode(callback: se.DuringTraining) -> None:
    painter = Painter()
    found = callback(2, painter)
    assert found is not None
    assert callback(3, painter) is None
    assert callback.is_best
    whole = se.evaluate(painter.eval(), dataset="scenes", limit=3, device="cpu")
    assert found["miou"] == whole["miou"]
    again = callback(4, painter)
    assert again is not None
    assert again["miou"] == found["miou"]
    assert not callback.is_best, "no better than before"
    assert callback.best_step == 2


def test_a_diverged_generator_is_told_and_left_in_its_mode(callback: se.DuringTraining) -> None:
    painter = Painter()
    callback(2, painter)
    with torch.no_grad():
        painter.colours.weight.fill_(float("nan"))
    with pytest.raises(se.UserError, match="holds NaN"):
        callback(4, painter)
    assert painter.training
    assert [line["step"] for line in callback.history] == [2]


@pytest.mark.parametrize("wrong", [{"every": 0}, {"images": 1}])
def test_nonsense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(se.UserError, match="expected at least 1 step and 2 images"):
        se.DuringTraining(**wrong)  # type: ignore[arg-type]
