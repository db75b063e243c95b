# SPDX-License-Identifier: Apache-2.0
"""Regions of label maps, and the noise that images, classes and regions get."""

import torch

from spade_eval.models.choices import NoisePer
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.regions import latent, regions
from spade_eval.models.semantics import SemanticMap

LAYOUT = SemanticLayout(num_classes=3, unknown="first")
LABELS = torch.tensor(
    [
        [[0, 0, 1, 0], [0, 2, 1, 0], [1, 2, 2, 2]],
        [[2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 255]],
    ]
)


def drawn(noise_per: NoisePer, rows: slice = slice(None), draw: int = 0) -> torch.Tensor:
    semantics = SemanticMap(LABELS[rows], LAYOUT)
    noise = Noise.of_images(5, [7, 3][rows], draw)
    return latent(Inputs(semantics, noise, noise_per=noise_per), 6)


def test_regions_are_connected_by_their_sides() -> None:
    found = regions(LABELS)
    assert found[0].tolist() == [[0, 0, 2, 1], [0, 4, 2, 1], [3, 4, 4, 4]]
    assert found[1].tolist() == [[0] * 4, [0] * 4, [0, 0, 0, 1]]


def test_an_image_has_one_vector_and_it_is_that_of_recorded_rows() -> None:
    assert torch.equal(drawn("image"), Noise.of_images(5, [7, 3]).normal("z", 6))


def test_a_class_has_one_vector_in_all_its_pixels() -> None:
    z = drawn("class")
    assert z.shape == (2, 6, 3, 4)
    for image in range(2):
        for label in LABELS[image].unique():
            vectors = z[image].permute(1, 2, 0)[LABELS[image] == label]
            assert (vectors == vectors[0]).all()
    assert len(z[0].flatten(1).unique(dim=1).T) == 3
    assert not torch.equal(z[0, :, 2, 1], z[1, :, 0, 0]), "the same class of another image"


def test_a_region_has_one_vector_and_the_next_of_its_class_another() -> None:
    z = drawn("region")
    assert len(z[0].flatten(1).unique(dim=1).T) == 5
    assert torch.equal(z[0, :, 0, 0], z[0, :, 1, 0])
    assert not torch.equal(z[0, :, 0, 0], z[0, :, 0, 3])


def test_what_an_image_gets_does_not_hang_on_its_batch() -> None:
    for noise_per in ("image", "class", "region"):
        both = drawn(noise_per)
        assert torch.equal(drawn(noise_per, slice(1, 2))[0], both[1])
        assert torch.equal(drawn(noise_per, slice(0, 1))[0], both[0])
        assert not torch.equal(drawn(noise_per, draw=1), both)
