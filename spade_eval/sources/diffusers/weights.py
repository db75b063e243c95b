# SPDX-License-Identifier: Apache-2.0
"""Whether the networks that configurations describe are those whose weights lie beside them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from spade_eval.sources.diffusers.folder import PipelineFolder, config_of

_LARGEST = 1 << 20  # of any whole number: vocabularies have up to 262,144 words
_MOST_PIXELS = 4096  # of a side, from which tables of positions are computed
_PIXELS = ("sample_size", "image_size", "pos_embed_max_size")
_LAYERS = ("layers", "depth", "blocks")
# Tied weights and buffers, beyond what is stored.
_MOST_TIMES = 4
_GRACE = 1 << 20


def require_described(folder: PipelineFolder, name: str, kind: Any, is_diffusers: bool) -> None:
    """Refuse a network that its weights do not fill; it is built without memory to know it."""
    part = folder.path / name
    config = config_of(folder.path, part / "config.json")
    tensors = stored_shapes(folder, part)
    for key, value in _numbers(config):
        most = _LARGEST
        if key.endswith(_PIXELS):
            most = _MOST_PIXELS
        elif any(word in key for word in _LAYERS):
            most = max(len(tensors), 1)
        if value > most:
            raise folder.refusal(
                f"{name}/config.json: {key} is {value}, expected at most {most} beside its "
                "weights; save the pipeline anew"
            )
    try:
        with torch.device("meta"):
            network = kind.from_config(config) if is_diffusers else kind(
                kind.config_class.from_dict(config)
            )  # fmt: skip
    except Exception as error:  # whatever a library raises for a strange configuration
        line = " ".join(str(error).split())
        raise folder.refusal(
            f"{name}/config.json describes no {kind.__name__} ({type(error).__name__}: "
            f"{line:.300}); save the pipeline anew"
        ) from error
    described = sum(item.numel() for item in (*network.parameters(), *network.buffers()))
    stored = sum(tensors.values())
    if described > _MOST_TIMES * stored + _GRACE:
        raise folder.refusal(
            f"{name}/config.json describes {described:,} weights, {stored:,} are stored; save the "
            "pipeline anew"
        )


def stored_shapes(folder: PipelineFolder, part: Path) -> Mapping[str, int]:
    """Return how many numbers each tensor of a part has, by the headers of its files."""
    found: dict[str, int] = {}
    for file in sorted(part.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (no dictionary)
                    shape = tensors.get_slice(name).get_shape()
                    found[name] = int(torch.Size(shape).numel())
        except (SafetensorError, OSError, ValueError) as error:
            line = " ".join(str(error).split())
            raise folder.refusal(
                f"{file.relative_to(folder.path)} cannot be read ({line:.200}); copy it again"
            ) from error
    if not found:
        raise folder.refusal(
            f"{part.name} has no .safetensors file, and others can hold code; save the pipeline "
            "with safe_serialization=True"
        )
    return found


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield every whole number of a configuration with its key; a list counts its length, too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, str(name))
    elif isinstance(value, list):
        yield f"length of {key}", len(value)
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, abs(value)
