# SPDX-License-Identifier: Apache-2.0
"""The images that somebody else's function makes from a split's label maps."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.batches import layout_of, to_8_bit
from spade_eval.datasets.base import Sample
from spade_eval.datasets.given_maps import given_sample
from spade_eval.datasets.jpeg import JPEGEncoding
from spade_eval.models.choices import StyleInput
from spade_eval.sources.calling import answer_of, own_random_numbers
from spade_eval.sources.given import Opens, Split, once
from spade_eval.sources.jpeg_photos import jpeg_note
from spade_eval.sources.map_batch import MapBatch, map_batch
from spade_eval.sources.stated import stated_facts
from spade_eval.sources.style_photos import chosen_style, style_notes, style_photos
from spade_eval.sources.value_range import ValueRange, as_unit_range, declared, doubt_of_range

Generator = Callable[[MapBatch], object]
"""Label maps -> images (N, 3, H, W) of the declared range; a tensor, an array or a list."""
_STYLES: tuple[StyleInput, ...] = ("none", "another photo", "real image (same)")


class CalledGenerator:
    """Images of a function that nothing is known about but what it returns.

    The first batch is made when it is opened: what is wrong with it shows before anything else is
    scored, and its bits (with the weights, where it is a module) say which generator it is.
    """

    def __init__(
        self,
        generator: Generator,
        split: Split,
        value_range: ValueRange,
        *,
        kind: str = "callable",
        style_input: StyleInput = "none",
        time_limit: float | None = None,
        about: str = "a function outside this suite",
    ) -> None:
        self.about = about
        self.name, self.generator, self.split = split.name, generator, split
        self.value_range, self.time_limit = value_range, time_limit
        self.device = _device_of(generator) or split.device
        style = chosen_style(self.name, "a function", style_input, _STYLES)
        layout = layout_of(split.dataset)
        self.styles = style_photos(style, split.training, layout, self.device, split.seed)
        self._seconds, self._num_made = 0.0, 0
        self._darkest, self._brightest = 1.0, 0.0
        self._is_alike = False  # whether another draw gave the images of the first batch again
        self._style_notes = style_notes(self.name, style, split.seed)
        self._first = tuple(split.first)
        samples = [
            given_sample(split.dataset[index], split.protocol.given_maps) for index in self._first
        ]
        self._images_of_first = self._made(self._first, samples)
        digest = split.world.on_first(self._sha256)
        facts = stated_facts(getattr(generator, "stated", {}), f"generator {self.name}")
        self.identity: dict[str, Any] = {
            "source_kind": kind, "source_sha256": digest, "style_input": style, **facts
        }  # fmt: skip
        self._facts: Mapping[str, Any] = {**self.identity}
        if split.draws > 1:
            self.identity |= {"draws": split.draws}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The fields of `Measurement` that say whose images these are; complete at the end."""
        formats = getattr(self.generator, "file_format", None)
        files = {} if formats is None else {"file_format": formats}
        return {**self._facts, **files, "parameters": _parameters(self.generator)}

    @property
    def eight_bit(self) -> str:
        """Who says that there are 8 bits alone; "" where there are floats."""
        return f"{self.name} declares uint8" if self.value_range == "uint8" else ""

    @property
    def jpeg(self) -> JPEGEncoding | None:
        """How its images are encoded, where it hands over JPEG files."""
        return getattr(self.generator, "jpeg", None)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences below a table with this row."""
        notes = [
            f"{self.name}: images of {self.about}, which is known by the hash of its first "
            f"{len(self._first)} images; values in {self.value_range} as declared."
        ]
        if isinstance(self.generator, nn.Module) and self.generator.training:
            notes.append(
                f"{self.name}: the module was in training mode (dropout, batch statistics)."
            )
        notes += [f"{self.name}: {note}." for note in getattr(self.generator, "notes", ())]
        if self.jpeg is not None:
            count = getattr(self.generator, "num_jpeg", self._num_made)
            notes.append(jpeg_note(self.name, self.jpeg, count, self._num_made))
        if doubt := doubt_of_range(self.value_range, self._darkest, self._brightest):
            notes.append(f"{self.name}: {doubt}.")
        if self._is_alike:
            notes.append(
                f"{self.name}: another draw gave the very same images, so that nothing is drawn; "
                "let it depend on batch.noise or batch.draw."
            )
        return (*notes, *self._style_notes)

    @property
    def num_draws(self) -> int:
        """Images of each label map."""
        return self.split.draws

    def floats(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        if tuple(indices) == self._first and not draw:
            return self._images_of_first
        images = self._made(indices, samples, draw)
        if tuple(indices) == self._first and torch.equal(images, self._images_of_first):
            self._is_alike = True
        return images

    def samples(self, index: int, sample: Sample, count: int) -> Tensor:
        """Make (count, 3, H, W) uint8: one label map, each time with other noise."""
        drawn = [self._made([index], [sample], draw) for draw in range(count)]
        return to_8_bit(torch.cat(drawn), self.split.protocol)

    @property
    def images_per_second(self) -> float | None:
        """Label maps to images, the first batch included."""
        return self._num_made / self._seconds if self._num_made else None

    def _made(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        """Make (N, 3, H, W) float32 in [0, 1]."""
        split, names = self.split, [sample.name for sample in samples]
        batch = map_batch(
            split.dataset, indices, samples, self.device, split.seed, draw, self.styles
        )

        def call() -> object:
            with torch.no_grad():  # of this thread
                return self.generator(batch)

        started = time.perf_counter()
        with own_random_numbers(split.seed, indices, draw, self.device):
            returned = answer_of(call, names, f"generator {self.name}", self.time_limit)
        size = split.dataset.size
        images = as_unit_range(returned, self.value_range, size, names, f"generator {self.name}")
        # The look at the values has waited for the device.
        self._seconds += time.perf_counter() - started
        self._num_made += len(names)
        self._darkest = min(self._darkest, float(images.min()))
        self._brightest = max(self._brightest, float(images.max()))
        return images

    def _sha256(self) -> str:
        digest = hashlib.sha256(self._images_of_first.cpu().numpy().tobytes())
        digest.update(str(getattr(self.generator, "content_sha256", "")).encode())
        if isinstance(self.generator, nn.Module):
            for name, value in sorted(self.generator.state_dict().items()):
                if isinstance(value, Tensor):
                    digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
                    digest.update(
                        value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
                    )
        return digest.hexdigest()


def called(
    generator: Generator, value_range: object = None, *, kind: str = "callable", **options: Any
) -> Opens:
    """Return what opens a function as a row; see `CalledGenerator`.

    Its range is the one given, else its attribute `value_range`; `UserError` where there is none.
    """
    stated = getattr(generator, "value_range", None) if value_range is None else value_range
    known = declared(stated, f"generator {called_name(generator)}")
    return once(lambda split: CalledGenerator(generator, split, known, kind=kind, **options))


def called_name(generator: Generator) -> str:
    """Return what a function or the class of an object is called."""
    return str(getattr(generator, "__name__", type(generator).__name__))


def _device_of(generator: Generator) -> torch.device | None:
    """Return where the weights of a module are."""
    if not isinstance(generator, nn.Module):
        return None
    return next((weight.device for weight in generator.parameters()), None)


def _parameters(generator: Generator) -> int | None:
    if not isinstance(generator, nn.Module):
        return getattr(generator, "num_parameters", None)
    return sum(weight.numel() for weight in generator.parameters())
