# SPDX-License-Identifier: Apache-2.0
"""The images that a generator makes from a split's label maps, as a source of images to score."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.batches import semantic_map, to_8_bit, to_unit_range
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import UserError, as_user_error
from spade_eval.json_fields import require_types
from spade_eval.models.checkpoints.files import has_description
from spade_eval.models.choices import NoisePer, Precision, Sampling, StyleInput, TestMode
from spade_eval.models.cost import multiplications
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.systems.base import System
from spade_eval.models.systems.presets import system_of
from spade_eval.models.training.precision import DTYPES
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.records import Measurement, sha256_of_file, sha256_of_json
from spade_eval.sources.checkpoints import Checkpoint, ReleasedOptions, open_generator
from spade_eval.sources.sampling import sampled_as, sampling_facts
from spade_eval.sources.style_photos import (
    chosen_style,
    require_class_means,
    style_notes,
    style_photos,
)


class SynthesizedByCheckpoint:
    """Images that a generator makes from the split's label maps.

    Generators with a latent get z ~ N(0, 1), drawn for each image from `seed` and its index; those
    with styles the `style_input` that is asked for, or their usual one, other photos being those of
    `training`. `sampling` is for diffusion models alone; `shown` says whether a bar shows how far
    they are. Of each label map it makes so many `draws`, one where nothing of it is drawn. In a
    `precision` other than float32 a note says so, and how far it is from that.
    """

    def __init__(
        self,
        name: str,
        file: Path,
        dataset: Dataset,
        protocol: ScoringProtocol,
        device: torch.device,
        source_kind: str = "checkpoint",
        *,
        released: ReleasedOptions | None = None,
        seed: int = 0,
        precision: Precision = "float32",
        noise_per: NoisePer = "image",
        test_mode: TestMode | None = None,
        style_input: StyleInput | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        training: Callable[[], Dataset] | None = None,
        shown: bool = True,
        draws: int = 1,
    ) -> None:
        self.name, self.protocol, self.device, self.shown = name, protocol, device, shown
        self._seconds, self._num_synthesized = 0.0, 0
        self.file, self.seed = file, seed
        checkpoint = open_generator(file, dataset, released)
        assert checkpoint.layout is not None
        self.layout = checkpoint.layout
        self.generator = checkpoint.network.to(device)
        if test_mode is not None:
            _set_test_mode(file, self.generator, test_mode)
        said_of_sampling = sampled_as(f"the generator of {file}", self.generator, sampling)
        self.system = system_of(self.generator)
        known = self.system.style_inputs(self.generator)
        style = chosen_style(name, f"the generator of {file}", style_input, known)
        self.styles = style_photos(style, training, self.layout, device, seed)
        self.noise_per = noise_per
        _require_noise(file, noise_per, self.system.noise_levels(self.generator))
        self._half = None
        if precision != "float32":
            self._half = HalfPrecision(self.system, self.generator, precision)
        self.provenance: Mapping[str, Any] = {
            "source_kind": source_kind,
            "source_sha256": sha256_of_file(file),
            "style_input": style,
            "text_input": "none",
            **sampling_facts(self.generator),
            "parameters": sum(weight.numel() for weight in self.generator.parameters()),
            "multiplications": multiplications(self.system, self.generator, dataset.size),
            **_training_record(checkpoint),
        }
        self._notes = tuple(map(str, checkpoint.description["notes"]))
        self._notes += _notes_of_choice(name, self.provenance.get("checkpoint_rule"), self._notes)
        self._notes += tuple(f"{name}: {note}" for note in self.system.notes(self.generator))
        self._notes += tuple(f"{name}: {note}" for note in said_of_sampling)
        is_drawn = self.system.is_stochastic(self.generator, style)
        completed = "class means" in known if self.system.styles_regions else None
        self._notes += style_notes(name, style, seed, completed)
        if is_drawn:
            self._notes += (
                f"{name}: {self.system.drawn} for each {_DRAWN[noise_per]}, from seed {seed} and "
                "the image's index.",
            )
        self.num_draws = draws if is_drawn or style == "another photo" else 1
        if self.num_draws < draws:
            self._notes += (
                f"{name}: one image of each label map instead of {draws}, since its generator "
                "draws nothing.",
            )
        # What besides the file decides which images it makes.
        self.identity: Mapping[str, Any] = {
            "checkpoint": self.provenance["source_sha256"],
            **({"z_seed": seed} if is_drawn else {}),
            **({"style_input": style} if len(known) > 1 else {}),
            **({"draws": draws} if self.num_draws > 1 else {}),
            **({} if noise_per == "image" else {"noise_per": noise_per}),
            **({} if test_mode is None else {"test_mode": test_mode}),
            **sampling.identity,
            **({} if self._half is None else {"precision": precision}),
            **_from_flags(checkpoint),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences below a table with this row."""
        return self._notes if self._half is None else (*self._notes, self._half.note(self.name))

    def require_styles(self, dataset: Dataset, count: int) -> None:
        """Refuse label maps (the first `count`) that have labels without a class mean."""
        if self.provenance["style_input"] == "class means":
            absent = self.system.absent_styles(self.generator)
            require_class_means(self.file, absent, self.layout, dataset, count)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        return to_unit_range(self._synthesized(indices, samples, draw))

    def samples(self, index: int, sample: Sample, count: int) -> Tensor:
        """Synthesize (count, 3, H, W) uint8: one label map, each time with other noise.

        With another photo as well, where styles come from other photos.
        """
        drawn = [self._synthesized([index], [sample], draw) for draw in range(count)]
        return to_8_bit(to_unit_range(torch.cat(drawn)), self.protocol)

    @torch.inference_mode()
    def _synthesized(
        self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0
    ) -> Tensor:
        """Synthesize (N, 3, H, W) in [-1, 1]; `draw` numbers the latents of an image."""
        started = time.perf_counter()
        with as_user_error(f"{self.name}: {self.file}"):
            semantics = semantic_map(samples, self.layout, self.device)
            noise = Noise.of_images(self.seed, indices, draw, self.device)
            style = None if self.styles is None else self.styles.of(indices, samples, draw)
            inputs = Inputs(semantics, noise, style, self.noise_per, self.shown)
            if self._half is None:
                synthesized = self.system.synthesized_by(self.generator, inputs)
            else:
                synthesized = self._half(inputs)
        finite = torch.isfinite(synthesized).flatten(1).all(dim=1)
        if not finite.all():
            first = samples[int((~finite).nonzero()[0])].name
            raise UserError(
                f"{self.name}: the image synthesized for {first} holds NaN or infinite values, "
                f"expected numbers in [-1, 1]; the checkpoint {self.file} is damaged or its "
                "training diverged: train again with a lower learning rate"
            )
        # The look at the values above has waited for the device.
        self._seconds += time.perf_counter() - started
        self._num_synthesized += len(indices)
        return synthesized

    @property
    def images_per_second(self) -> float | None:
        """Label maps to images, the first batch included; None before there is one."""
        return self._num_synthesized / self._seconds if self._num_synthesized else None


class HalfPrecision:
    """A generator in bf16 or fp16: weights, label maps and activations.

    The first batch is made in float32 as well, so that every number comes with the difference.
    """

    def __init__(self, system: type[System], generator: nn.Module, precision: Precision) -> None:
        self.system, self.generator, self.precision = system, generator, precision
        self.dtype = DTYPES[precision]
        self._half = copy.deepcopy(generator).to(self.dtype)
        self._deviation: Tensor | None = None  # of the first batch, in 8-bit levels

    def __call__(self, inputs: Inputs) -> Tensor:
        """Synthesize (N, 3, H, W) float32 images in [-1, 1]."""
        images = self.system.synthesized_by(self._half, inputs.to(self.dtype)).float()
        if self._deviation is None:
            exact = self.system.synthesized_by(self.generator, inputs)
            self._deviation = (images - exact).abs() * 127.5
        return images

    def note(self, name: str) -> str:
        """Return the sentence that accompanies every number of these images."""
        differs = ""
        if self._deviation is not None:
            mean, largest = self._deviation.mean().item(), self._deviation.max().item()
            differs = (
                f": on the first batch {mean:.2f} of 255 levels from float32 on average, "
                f"{largest:.1f} at most"
            )
        return (
            f"{name}: images synthesized in {self.precision}{differs}; scores are reported in "
            "float32 unless asked otherwise."
        )


_DRAWN = {"image": "image", "class": "class of each image", "region": "region of each label map"}


def _require_noise(file: Path, noise_per: NoisePer, known: Sequence[NoisePer]) -> None:
    if noise_per not in known:
        raise UserError(
            f"--noise-per {noise_per}: the generator of {file} has no noise that may vary within "
            "an image; leave the flag out"
        )


def _set_test_mode(file: Path, generator: nn.Module, test_mode: TestMode) -> None:
    config: Any = generator.config
    if not hasattr(config, "test_mode"):
        raise UserError(
            f"--test-mode {test_mode}: the generator of {file} is no pix2pix and synthesizes in "
            "one way alone; leave the flag out"
        )
    generator.config = dataclasses.replace(config, test_mode=test_mode)


def _notes_of_choice(name: str, rule: str | None, said: Sequence[str]) -> tuple[str, ...]:
    """Warn of a checkpoint chosen by the number that is then reported: it scores too well."""
    if rule in (None, "last") or any(str(rule) in note for note in said):
        return ()
    return (
        f"{name}: the checkpoint was chosen by a score ({rule}), so that score of it is too good "
        'by the choice; compare "last" with "last".',
    )


def _from_flags(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return network and label layout where flags, not the file, determine them."""
    if has_description(checkpoint.file):
        return {}
    return {name: checkpoint.description[name] for name in ("network", "config", "layout")}


def _training_record(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what is known about the training; nothing where the file is not ours."""
    train = checkpoint.description["train"]
    if train is None:
        return {}
    with as_user_error(f"checkpoint {checkpoint.file}"):
        unseeded = {name: value for name, value in train.items() if name != "seed"}
        record = {
            "train_steps": train.get("steps"),
            "train_batch_size": train.get("batch_size"),
            "train_config_sha256": checkpoint.description["train_config_sha256"],
            "train_way_sha256": sha256_of_json(unseeded),
            "train_perceptual": _perceptual(train.get("perceptual")),
            "checkpoint_rule": checkpoint.description["checkpoint_rule"],
            "seed": train.get("seed"),
            "train_settings": train.get("method"),
        }
        require_types(Measurement, record)
    return record


def _perceptual(said: Any) -> Any:
    """Name the network of the loss; old files say whether they had that of VGG-19."""
    if isinstance(said, bool):
        return "vgg19" if said else "none"
    return said
