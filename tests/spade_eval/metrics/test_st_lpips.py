# SPDX-License-Identifier: Apache-2.0
"""ST-LPIPS against the package that brings its weights, by numbers that it gave."""

from pathlib import Path

import pytest
import torch

from spade_eval.errors import UserError
from spade_eval.metrics.st_lpips import ShiftTolerantLPIPS
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.scoring.diversity import left_out, open_comparisons
from spade_eval.weights import ST_LPIPS, installed, is_installed

NOWHERE = Path("no such folder")
needs_weights = pytest.mark.skipif(
    not is_installed(ST_LPIPS, NOWHERE), reason="the extra diversity is not installed"
)
# Of stlpips_pytorch 0.0.2, net="alex", variant="shift_tolerant", torch 2.14.1 on a CPU.
GIVEN = {
    (64, 64): (0.010732194408774376, 0.009060360491275787),
    (96, 71): (0.009698038920760155, 0.009653042070567608),
}


def random_weights() -> dict[str, torch.Tensor]:
    """Entries of the file's names and shapes."""
    trunk = ShiftTolerantLPIPS.trunk().state_dict()
    slices = {0: 1, 1: 1, 4: 2, 5: 2, 8: 3, 9: 3, 11: 4, 13: 5}
    widths = (64, 192, 384, 256, 256)
    generator = torch.Generator().manual_seed(0)
    return {
        **{f"net.slice{slices[int(name.split('.')[0])]}.{name}": value.clone()
           for name, value in trunk.items()},
        **{f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
           for i, width in enumerate(widths)},
    }  # fmt: skip


@needs_weights
def test_the_packages_numbers() -> None:
    network = ShiftTolerantLPIPS(load_tensors(installed(ST_LPIPS, NOWHERE)))
    generator = torch.Generator().manual_seed(0)
    for size, given in GIVEN.items():
        first = torch.rand(2, 3, *size, generator=generator)
        second = 0.7 * first + 0.3 * torch.rand(2, 3, *size, generator=generator)
        # Equal to the bit on the machine that gave them; other kernels sum in another order.
        assert network(first, second).tolist() == pytest.approx(given, rel=1e-5)


def test_a_shift_moves_it_less_than_another_image() -> None:
    network = ShiftTolerantLPIPS(random_weights())
    images = torch.rand(1, 3, 72, 72, generator=torch.Generator().manual_seed(1))
    images = torch.nn.functional.avg_pool2d(images, 5, stride=1)
    one, shifted = images[..., :64, :64], images[..., 1:65, :64]
    assert network(one, one).item() == 0
    assert 0 < network(one, shifted).item() < network(one, one.flip(2)).item()


def test_each_subsampling_is_a_binomial_blur_of_mirrored_edges() -> None:
    halved = ShiftTolerantLPIPS.trunk()[4]
    image = torch.arange(36.0).view(1, 1, 6, 6).expand(1, 64, 6, 6)
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2), "reflect")
    line = torch.tensor([1.0, 2.0, 1.0]) / 4
    by_hand = (padded[0, 0, 2:5, 4:7] * line[:, None] * line).sum()
    assert halved(image).shape == (1, 64, 4, 4)
    assert halved(image)[0, 0, 1, 2].item() == pytest.approx(by_hand.item())


def test_other_weights_are_refused_by_name() -> None:
    weights = random_weights()
    weights.pop("lin3.model.1.weight")
    with pytest.raises(UserError, match=r"do not fit ST-LPIPS over AlexNet .*alex_shift_tolerant"):
        ShiftTolerantLPIPS(weights)


@needs_weights
def test_it_stands_in_under_its_own_name(tmp_path: Path) -> None:
    found = open_comparisons((64, 64), tmp_path, torch.device("cpu"))
    assert [item.metric for item in found] == ["st_lpips_diversity"]
    assert found[0].pairs(torch.rand(3, 3, 64, 64)).shape == (3,)
    assert "ST-LPIPS is another distance" in left_out((64, 64), found)[0]
