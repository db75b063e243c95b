# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap, channels_of, instance_edges


def _labels() -> torch.Tensor:
    labels = torch.randint(0, 4, (2, 12, 17), generator=torch.Generator().manual_seed(0))
    labels[0, 0, :3] = 255
    return labels


def test_layouts_place_channels() -> None:
    labels = torch.tensor([[[0, 3, 255]]])
    last = SemanticLayout(num_classes=4, unknown="last")
    first = SemanticLayout(num_classes=4, unknown="first", edges=True)
    assert (last.num_labels, first.num_labels) == (5, 6)
    assert channels_of(labels, last).tolist() == [[[0, 3, 4]]]
    assert channels_of(labels.to(torch.uint8), first).tolist() == [[[1, 4, 0]]]


@pytest.mark.parametrize("size", [(12, 17), (6, 9), (5, 4), (24, 40), (1, 1)])
def test_resizing_equals_interpolation_of_the_one_hot_map(size: tuple[int, int]) -> None:
    instances = _labels() // 2
    layout = SemanticLayout(num_classes=4, unknown="last", edges=True)
    semantics = SemanticMap(_labels(), layout, instances)
    one_hot = F.one_hot(channels_of(_labels(), layout), 5).movedim(3, 1).float()
    full = torch.cat([one_hot, instance_edges(instances)[:, None].float()], dim=1)
    assert torch.equal(semantics.full, full)
    assert torch.equal(semantics.at(size), F.interpolate(full, size=size, mode="nearest"))
    assert torch.equal(semantics.at(size)[:, :5].argmax(1), semantics.labels_at(size))


def test_each_resolution_is_made_once() -> None:
    semantics = SemanticMap(_labels(), SemanticLayout(num_classes=4, unknown="last"))
    assert semantics.at((6, 8)) is semantics.at(torch.Size((6, 8)))
    assert semantics.labels_at((6, 8)) is semantics.labels_at((6, 8))


def test_edges_by_brute_force() -> None:
    instances = torch.randint(0, 3, (2, 6, 7), generator=torch.Generator().manual_seed(1))
    edges = instance_edges(instances)
    for n, y, x in torch.cartesian_prod(*(torch.arange(k) for k in instances.shape)).tolist():
        neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(i, j) for i, j in neighbours if 0 <= i < 6 and 0 <= j < 7]
        differs = any(instances[n, i, j] != instances[n, y, x] for i, j in inside)
        assert edges[n, y, x] == differs


def test_label_fractions_of_a_uniform_map() -> None:
    semantics = SemanticMap(torch.full((1, 4, 4), 2), SemanticLayout(num_classes=3))
    assert semantics.label_fractions().tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("value", "unknown", "message"),
    [
        (4, "last", r"holds 4, expected 0\.\.3 or 255"),
        (-1, "last", r"holds -1, expected"),
        (255, "none", r"holds 255, expected 0\.\.3; set unknown="),
    ],
)
def test_labels_outside_the_layout_are_named(value: int, unknown: str, message: str) -> None:
    labels = torch.full((1, 4, 4), value)
    with pytest.raises(ValueError, match=message):
        SemanticMap(labels, SemanticLayout(num_classes=4, unknown=unknown))


def test_wrong_inputs_are_refused() -> None:
    layout = SemanticLayout(num_classes=4, edges=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match="no instance map was given"):
        SemanticMap(labels, layout)
    with pytest.raises(ValueError, match="resize it"):
        SemanticMap(labels, layout, torch.zeros(1, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="integers"):
        SemanticMap(labels.float(), layout, labels)


def test_soft_maps_have_no_labels() -> None:
    soft = torch.rand(2, 3, 8, 8)
    semantics = SemanticMap.from_tensor(soft)
    assert not semantics.is_hard
    assert torch.equal(semantics.full, soft)
    assert torch.equal(semantics.at((4, 4)), F.interpolate(soft, size=(4, 4), mode="nearest"))
    with pytest.raises(ValueError, match="soft semantic map"):
        semantics.labels_at((4, 4))


def test_moving_to_another_device() -> None:
    instances = _labels()
    layout = SemanticLayout(num_classes=4, unknown="last", edges=True)
    semantics = SemanticMap(_labels(), layout, instances)
    assert semantics.to("cpu") is semantics
    moved = semantics.to("meta")
    assert moved.device.type == "meta"
    assert moved.full.shape == semantics.full.shape
    double = semantics.to(dtype=torch.float64)
    assert double.full.dtype == torch.float64
    assert torch.equal(double.full.float(), semantics.full)
