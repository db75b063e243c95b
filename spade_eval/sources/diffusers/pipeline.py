# SPDX-License-Identifier: Apache-2.0
"""A pipeline of Hugging Face diffusers as a generator; its condition is the painted label map.

Nothing is downloaded, no code of the folder is run, weights have to be safetensors; see `folder`.
"""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from spade_eval.datasets.condition_palettes import condition_palette
from spade_eval.datasets.fingerprints import content_hashes
from spade_eval.errors import UserError
from spade_eval.records import sha256_of_json
from spade_eval.sources.diffusers.folder import (
    SAFETY,
    PipelineFolder,
    files_of,
    inspected,
    library,
)
from spade_eval.sources.diffusers.settings import PipelineSettings
from spade_eval.sources.diffusers.texts import TextInput
from spade_eval.sources.diffusers.weights import require_described
from spade_eval.sources.given import Split
from spade_eval.sources.map_batch import MapBatch
from spade_eval.sources.value_range import ValueRange

_CONDITIONS = ("control_image", "image")  # names of the argument, the first that is there
_SETTINGS = {"num_inference_steps": "steps", "guidance_scale": "guidance"}
_SEEDS = 1 << 24  # what float32 can tell apart


class Pipeline:
    """Label maps, painted in a palette, and texts -> images (N, H, W, 3) in [0, 1].

    Images depend on seed, index and draw, by a torch generator for each image. Raises `UserError`.
    """

    value_range: ValueRange = "[0,1]"

    def __init__(self, path: Path, name: str | None, settings: PipelineSettings, split: Split):
        self.text = TextInput.parse(settings.text_input)
        self.text.require(split.dataset.names[: split.count])
        self.palette = condition_palette(settings.palette, split.dataset)
        self.folder = inspected(path, name)
        diffusers, transformers = library(path)
        self.pipeline = _opened(self.folder, diffusers, transformers)
        if settings.sampler is not None:
            self._sample_by(diffusers, settings.sampler)
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.to(split.device)
        self._arguments = self._chosen(settings)
        self._num_cut = 0

    @property
    def stated(self) -> Mapping[str, Any]:
        """What decides the images besides the folder, as fields of a record."""
        facts = {
            "sampler": type(self.pipeline.scheduler).__name__,
            "text_input": self.text.fact,
            "condition_palette": f"{self.palette.name} {self.palette.sha256[:8]}",
            "sampling_steps": self._arguments.get("num_inference_steps"),
            "guidance": self._arguments.get("guidance_scale"),
        }
        return {name: value for name, value in facts.items() if value is not None}

    @property
    def content_sha256(self) -> str:
        """Identify the folder's files."""
        hashes = content_hashes(files_of(self.folder))
        relative = {str(file.relative_to(self.folder.path)): digest
                    for file, digest in hashes.items()}  # fmt: skip
        return sha256_of_json([self.folder.pipeline, relative])

    @property
    def num_parameters(self) -> int:
        """Count the weights of all parts."""
        parts = (part for part in self.pipeline.components.values()
                 if isinstance(part, torch.nn.Module))  # fmt: skip
        return sum(weight.numel() for part in parts for weight in part.parameters())

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said of the images."""
        notes = []
        if self.folder.has_safety_checker:
            notes.append("its safety checker, which blackens images, was left out")
        if self._num_cut:
            notes.append(
                f"{self._num_cut} texts are longer than its text encoder reads, and were cut"
            )
        return tuple(notes)

    def __call__(self, batch: MapBatch) -> Any:
        """Return (N, H, W, 3) float32 in [0, 1]."""
        labels = batch.label_map.cpu().numpy()
        conditions = [Image.fromarray(image) for image in self.palette.painted(labels)]
        texts = [
            self.text.of(name, one, batch.class_names)
            for name, one in zip(batch.names, labels, strict=True)
        ]
        self._num_cut += sum(map(self._is_cut, texts))
        height, width = batch.size
        sizes = {"height": height, "width": width} if self._takes("height") else {}
        return self.pipeline(
            prompt=texts,
            generator=_generators(batch),
            output_type="np",
            **{self._condition: conditions},
            **sizes,
            **self._arguments,
        ).images

    @property
    def _condition(self) -> str:
        return next(name for name in _CONDITIONS if self._takes(name))

    def _takes(self, argument: str) -> bool:
        return argument in inspect.signature(self.pipeline.__call__).parameters

    def _chosen(self, settings: PipelineSettings) -> dict[str, Any]:
        """Return steps and guidance, those of the class where none are asked for."""
        known = inspect.signature(self.pipeline.__call__).parameters
        chosen = {}
        for argument, name in _SETTINGS.items():
            asked = getattr(settings.sampling, name)
            if argument not in known and asked is not None:
                raise self.folder.refusal(
                    f"{self.folder.pipeline} takes no {argument}; leave its flag out"
                )
            value = known[argument].default if asked is None and argument in known else asked
            if value is not None:
                chosen[argument] = value
        return chosen

    def _sample_by(self, diffusers: Any, name: str) -> None:
        """Take another scheduler, with the settings of the one that was saved."""
        kind = getattr(diffusers, name, None)
        known = [item.__name__ for item in self.pipeline.scheduler.compatibles]
        if kind is None or name not in known:
            raise UserError(
                f"--sampler {name}: no scheduler of diffusers that fits {self.folder.pipeline}; "
                f"expected one of {', '.join(sorted(known))}"
            )
        self.pipeline.scheduler = kind.from_config(self.pipeline.scheduler.config)

    def _is_cut(self, text: str) -> bool:
        tokenizer = getattr(self.pipeline, "tokenizer", None)
        if tokenizer is None:
            return False
        return len(tokenizer(text).input_ids) > tokenizer.model_max_length


def _opened(folder: PipelineFolder, diffusers: Any, transformers: Any) -> Any:
    """Open a pipeline whose class and parts are judged first."""
    kind = getattr(diffusers, folder.pipeline, None)
    if not (inspect.isclass(kind) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise folder.refusal(f"{folder.pipeline} is no pipeline of diffusers; name one of its own")
    if getattr(kind, "_load_connected_pipes", False):
        raise folder.refusal(f"{folder.pipeline} opens further pipelines; name one that does not")
    _require_conditioned(folder, kind)
    for name, (of, called) in folder.parts.items():
        part = getattr({"diffusers": diffusers, "transformers": transformers}[of], called, None)
        if not inspect.isclass(part) or not issubclass(part, _kinds(diffusers, transformers)):
            raise folder.refusal(f"{name} is {called}, which is no model, scheduler or tokenizer")
        if issubclass(part, (diffusers.ModelMixin, transformers.PreTrainedModel)):
            require_described(folder, name, part, issubclass(part, diffusers.ModelMixin))
    for each in (diffusers.utils.logging, transformers.utils.logging):
        each.disable_progress_bar()
        each.set_verbosity_error()
    checker = {SAFETY: None} if folder.has_safety_checker else {}
    opens: Any = kind
    try:
        return opens.from_pretrained(
            folder.path, local_files_only=True, use_safetensors=True, **checker
        )
    except Exception as error:  # whatever the library raises for a folder that it does not take
        line = " ".join(str(error).split())
        raise folder.refusal(
            f"{folder.pipeline} cannot be opened ({type(error).__name__}: {line:.400}); save the "
            "pipeline anew, or name its class behind the folder"
        ) from error


def _kinds(diffusers: Any, transformers: Any) -> tuple[type, ...]:
    """Return what a part of a pipeline may be."""
    inputs = ("feature_extraction_utils", "image_processing_base")
    features, processing = (importlib.import_module(f"transformers.{name}") for name in inputs)
    return (
        diffusers.ModelMixin,
        diffusers.SchedulerMixin,
        transformers.PreTrainedModel,
        transformers.PreTrainedTokenizerBase,
        transformers.ProcessorMixin,
        features.FeatureExtractionMixin,
        processing.ImageProcessingMixin,
    )


def _require_conditioned(folder: PipelineFolder, kind: Any) -> None:
    """Refuse pipelines that see no label map, or that need a photo beside it."""
    known = inspect.signature(kind.__call__).parameters
    taken = [name for name in _CONDITIONS if name in known]
    if len(taken) != 1 or "mask_image" in known or not {"prompt", "generator"} <= known.keys():
        told = "sees no condition image" if not taken else "needs a further image"
        raise folder.refusal(
            f"{folder.pipeline} {told}; expected one of texts and one condition image, as "
            "StableDiffusionControlNetPipeline"
        )


def _generators(batch: MapBatch) -> list[torch.Generator]:
    """Return the random numbers of each image, on the CPU: the same on every machine."""
    pairs = (batch.noise.uniform("diffusers", 2).cpu().double() * _SEEDS).long().tolist()
    return [torch.Generator().manual_seed(first * _SEEDS + second) for first, second in pairs]
