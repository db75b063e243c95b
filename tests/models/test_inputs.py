# SPDX-License-Identifier: Apache-2.0
"""Noise by name: what it depends on, and that nothing else moves it."""

import numpy as np
import torch

from spade_eval.models.inputs import Noise


def test_noise_of_a_step_is_a_function_of_seed_step_micro_step_and_name() -> None:
    first = Noise.of_step(1, 2, 0, 4).normal("generator", 8)
    assert first.shape == (4, 8)
    assert torch.equal(first, Noise.of_step(1, 2, 0, 4).normal("generator", 8))
    others = [
        Noise.of_step(2, 2, 0, 4).normal("generator", 8),
        Noise.of_step(1, 3, 0, 4).normal("generator", 8),
        Noise.of_step(1, 2, 1, 4).normal("generator", 8),
        Noise.of_step(1, 2, 0, 4).normal("discriminator", 8),
    ]
    assert not any(torch.equal(first, other) for other in others)


def test_noise_is_standard() -> None:
    noise = Noise.of_step(0, 0, 0, 100)
    # 10,000 draws: mean within 5 standard errors of 0.01, deviation likewise.
    normal, uniform = noise.normal("n", 100), noise.uniform("u", 100)
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 5 * 12**-0.5 / 100


def test_processes_share_out_the_noise_of_one() -> None:
    whole = Noise.of_step(5, 7, 1, 4).normal("generator", 3, 2, 2)
    parts = [
        Noise.of_step(5, 7, 1, 4, slice(2 * rank, 2 * rank + 2)).normal("generator", 3, 2, 2)
        for rank in range(2)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_what_is_drawn_once_for_a_step_is_the_same_in_all_its_processes() -> None:
    whole = Noise.of_step(5, 7, 1, 4).uniform_of_step("bits", 3)
    assert whole.shape == (3,)
    for rank in range(2):
        part = Noise.of_step(5, 7, 1, 4, slice(2 * rank, 2 * rank + 2))
        assert torch.equal(part.uniform_of_step("bits", 3), whole)
    assert not torch.equal(Noise.of_step(5, 8, 1, 4).uniform_of_step("bits", 3), whole)
    assert not torch.equal(Noise.of_step(5, 7, 1, 4).uniform_of_step("others", 3), whole)


def test_noise_of_an_image_depends_on_its_index_and_draw_alone() -> None:
    many = Noise.of_images(3, [5, 1, 9]).normal("z", 16)
    assert torch.equal(many[1:2], Noise.of_images(3, [1]).normal("z", 16))
    assert not torch.equal(many, Noise.of_images(3, [5, 1, 9], draw=1).normal("z", 16))
    assert not torch.equal(many, Noise.of_images(3, [5, 1, 9]).normal("start", 16))


def test_z_keeps_the_numbers_of_recorded_rows() -> None:
    """Scored images were drawn from (seed, index, draw) before noise had names."""
    expected = []
    for index in (4, 2):
        stream = np.random.PCG64(np.random.SeedSequence((7, index, 1)))
        expected.append(np.random.Generator(stream).standard_normal(256, dtype=np.float32))
    assert torch.equal(
        Noise.of_images(7, [4, 2], 1).normal("z", 256), torch.from_numpy(np.stack(expected))
    )


def test_global_random_state_is_neither_read_nor_moved() -> None:
    before = torch.get_rng_state()
    first = Noise.of_images(1, [0]).normal("z", 4)
    torch.manual_seed(99)
    assert torch.equal(first, Noise.of_images(1, [0]).normal("z", 4))
    torch.set_rng_state(before)
