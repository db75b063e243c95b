# SPDX-License-Identifier: Apache-2.0
"""Functions of strangers as sources: what they are given, what they may not do, who they are."""

import threading
from collections.abc import Callable

import pytest
import torch
from source_splits import split_of
from torch import Tensor, nn

from spade_eval.errors import UserError
from spade_eval.sources.called import CalledGenerator, called
from spade_eval.sources.map_batch import MapBatch
from spade_eval.sources.source import require_floats


def grey(batch: MapBatch) -> Tensor:
    return torch.zeros(len(batch), 3, *batch.size)


def opened(generator: Callable[[MapBatch], object], **options: object) -> CalledGenerator:
    source = called(generator, "[-1,1]", **options)(split_of())
    assert isinstance(source, CalledGenerator)
    return source


def images_of(source: CalledGenerator, *indices: int) -> Tensor:
    return source.floats(indices, [source.split.dataset[index] for index in indices])


def test_a_batch_holds_the_maps_of_the_split() -> None:
    seen: list[MapBatch] = []

    def look(batch: MapBatch) -> Tensor:
        seen.append(batch)
        return grey(batch)

    source = opened(look)
    images_of(source, 3)
    first, last = seen
    dataset = source.split.dataset
    assert first.names == tuple(dataset.names[:2])
    assert torch.equal(last.label_map[0], torch.from_numpy(dataset[3].label_map).long())
    assert last.instance_map is not None
    assert last.instance_map.shape == (1, 64, 64)
    assert torch.equal(last.one_hot[:, : len(last.class_names)].argmax(1), last.label_map)
    assert last.style is None, "no photo unless it is asked for"
    drawn = [batch.noise.normal("z", 8) for batch in (first, last)]
    assert drawn[0].shape == (2, 8)
    images_of(source, 1, 3)
    assert torch.equal(seen[-1].noise.normal("z", 8), torch.stack([drawn[0][1], drawn[1][0]]))


@pytest.mark.parametrize("style", ["another photo", "real image (same)"])
def test_photos_are_given_where_they_are_asked_for(style: str) -> None:
    def copy(batch: MapBatch) -> Tensor:
        assert batch.style is not None
        return batch.style

    source = opened(copy, style_input=style)
    photo = torch.from_numpy(source.split.dataset[0].photo.copy()).permute(2, 0, 1) / 255
    is_own = torch.allclose(images_of(source, 0)[0], photo, atol=1e-6)
    assert is_own == (style == "real image (same)")
    assert source.provenance["style_input"] == style
    assert any("photo" in note or "real image" in note for note in source.notes)


def test_a_style_that_is_no_photo_is_refused() -> None:
    with pytest.raises(UserError, match="class means"):
        opened(grey, style_input="class means")


def test_random_numbers_of_torch_are_seeded_and_left_alone() -> None:
    def draws(batch: MapBatch) -> Tensor:
        return torch.rand(len(batch), 3, *batch.size)

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other = opened(draws), opened(draws)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.identity == other.identity
    assert torch.equal(images_of(one, 3), images_of(other, 3))
    assert not torch.equal(images_of(one, 3), images_of(one, 2))


class Painter(nn.Module):
    value_range = "[-1,1]"

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.25))
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, batch: MapBatch) -> Tensor:
        return self.level.expand(len(batch), 3, *batch.size)


def test_a_module_is_known_by_its_images_and_its_weights() -> None:
    painter = Painter().eval()
    first = opened(painter)
    assert first.provenance["parameters"] == 4
    assert not any("training mode" in note for note in first.notes)
    assert opened(painter).identity == first.identity
    with torch.no_grad():
        painter.unused += 1  # no image tells
    assert opened(painter).identity != first.identity
    assert any("training mode" in note for note in opened(painter.train()).notes)


def test_the_first_batch_is_made_once() -> None:
    calls: list[int] = []

    def count(batch: MapBatch) -> Tensor:
        calls.append(len(batch))
        return grey(batch)

    open_it = called(count, "[-1,1]")
    source = open_it(split_of())
    assert open_it(split_of()) is source
    images_of(source, 0, 1)  # type: ignore[arg-type]
    assert calls == [2]


def test_a_range_is_an_argument_or_an_attribute() -> None:
    called(Painter())
    with pytest.raises(UserError, match="generator grey: no value range is declared"):
        called(grey)


def test_eight_bit_images_are_no_floats() -> None:
    source = called(lambda batch: [torch.zeros(3, 64, 64, dtype=torch.uint8)] * len(batch), "uint8")
    with pytest.raises(UserError, match="declares uint8"):
        require_floats(source(split_of()))
    require_floats(opened(grey))


def test_a_doubtful_range_is_said() -> None:
    assert any("no value lies below 0" in note for note in opened(grey).notes)


def test_what_a_function_raises_is_one_line() -> None:
    def fail(batch: MapBatch) -> Tensor:
        raise RuntimeError("CUDA out of\nmemory")

    with pytest.raises(UserError) as told:
        opened(fail)
    name = split_of().dataset.names[0]
    assert str(told.value) == (
        f"generator mine raised RuntimeError for the 2 label maps from {name} on: CUDA out of "
        "memory"
    )


def test_a_later_wrong_image_is_named() -> None:
    def late(batch: MapBatch) -> Tensor:
        images = grey(batch)
        for place, name in enumerate(batch.names):
            if name == split_of().dataset.names[3]:
                images[place, 0, 0, 0] = float("nan")
        return images

    source = opened(late)
    with pytest.raises(UserError, match=f"image for {split_of().dataset.names[3]} holds NaN"):
        images_of(source, 2, 3)


def test_a_function_that_hangs_is_left_alone() -> None:
    ended = threading.Event()

    def hang(batch: MapBatch) -> Tensor:
        ended.wait(30)
        return grey(batch)

    with pytest.raises(UserError, match=r"no images after 0.05 s for the 2 label maps from"):
        opened(hang, time_limit=0.05)
    ended.set()


def test_in_time_is_as_without_a_limit() -> None:
    assert opened(Painter(), time_limit=30).identity == opened(Painter()).identity
    with pytest.raises(UserError, match="raised ZeroDivisionError"):
        opened(lambda batch: 1 / 0, time_limit=30)


def test_samples_differ_by_their_noise() -> None:
    def noisy(batch: MapBatch) -> Tensor:
        return batch.noise.uniform("z", 3, *batch.size) * 2 - 1

    source = opened(noisy)
    samples = source.samples(0, source.split.dataset[0], 3)
    assert samples.dtype == torch.uint8
    assert len(samples.flatten(1).unique(dim=0)) == 3
