# SPDX-License-Identifier: Apache-2.0
"""A folder of a pipeline, judged before its library opens it: no code in it, no size is believed.

The library would import what `model_index.json` names and run Python files that lie beside weights;
here both libraries are named, and a folder with such files is refused.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.models.limits import MOST_CONFIG_BYTES, MOST_PIPELINE_BYTES

INDEX = "model_index.json"
SAFETY = "safety_checker"  # it blackens images, so it is left out
_CLASS = re.compile(r"[A-Za-z]\w{0,99}")
_LIBRARIES = ("diffusers", "transformers")
_CONFIGS = ("config.json", ".index.json")
_CODE = (".py", ".pyc", ".so", ".pkl", ".pickle")
# What makes a library load code or further models.
_FOREIGN_KEYS = ("auto_map", "custom_pipelines", "quantization_config")


@dataclass(frozen=True)
class PipelineFolder:
    """The class of a pipeline and of its parts, by name of the part: (library, class)."""

    path: Path
    pipeline: str
    parts: Mapping[str, tuple[str, str]]
    has_safety_checker: bool

    def refusal(self, told: str) -> UserError:
        """Return the error about this folder."""
        return refusal(self.path, told)


def refusal(path: Path, told: str) -> UserError:
    """Return the error about a folder."""
    return UserError(f"--generator diffusers:{path}: {told}")


def inspected(path: Path, pipeline: str | None = None) -> PipelineFolder:
    """Judge a folder by its files, without the library; `pipeline` in the place of its class."""
    if not path.is_dir():
        raise refusal(path, "no such folder; expected one that a pipeline was saved in")
    index = config_of(path, path / INDEX)
    name = pipeline or index.get("_class_name")
    if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise refusal(path, f"{INDEX} names {name!r:.100}, expected a class of diffusers")
    parts = dict(_parts(path, index))
    for file in _files(path):
        if file.suffix.lower() in _CODE:
            raise refusal(path, f"{file.relative_to(path)} is code, which is never run; remove it")
    size = sum(file.stat().st_size for file in _files(path))
    if size > MOST_PIPELINE_BYTES:
        raise refusal(
            path, f"{size >> 30} GB, expected at most {MOST_PIPELINE_BYTES >> 30}; remove what is "
            "no part of the pipeline"
        )  # fmt: skip
    for part in parts:
        if not (path / part).is_dir():
            raise refusal(path, f"there is no folder {part}; save the pipeline anew")
        for config in sorted((path / part).glob("*.json")):
            if config.name.endswith(_CONFIGS):
                _require_plain_names(path, config, config_of(path, config))
    has_checker = index.get(SAFETY) not in (None, [None, None])
    return PipelineFolder(path, name, parts, has_checker)


def files_of(folder: PipelineFolder) -> list[Path]:
    """Return the files that decide which images are made."""
    kept = [folder.path / INDEX]
    for part in sorted(folder.parts):
        kept += _files(folder.path / part)
    return kept


def library(path: Path) -> tuple[Any, Any]:
    """Import diffusers and transformers, offline."""
    import os

    os.environ["HF_HUB_OFFLINE"] = "1"  # read when they are imported
    try:
        diffusers = importlib.import_module("diffusers")
        transformers = importlib.import_module("transformers")
        _ = diffusers.DiffusionPipeline, transformers.PreTrainedModel  # imported when asked for
    except Exception as error:  # binary packages that do not fit each other raise anything
        line = " ".join(str(error).split())
        raise refusal(
            path, f"needs Hugging Face diffusers and transformers ({line:.200}); install the extra "
            "`diffusers`: pip install 'spade-eval[diffusers]'"
        ) from error  # fmt: skip
    return diffusers, transformers


def config_of(path: Path, file: Path) -> dict[str, Any]:
    """Read a JSON object of the folder, of bounded size and without references to code."""
    try:
        if file.stat().st_size > MOST_CONFIG_BYTES:
            raise ValueError(f"more than {MOST_CONFIG_BYTES >> 20} MB")
        found = parsed_json(file.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refusal(
            path, f"{file.relative_to(path)}: {reason}; save the pipeline anew"
        ) from error
    for key in _FOREIGN_KEYS:
        if key in found:
            raise refusal(
                path, f"{file.relative_to(path)} has {key}, which loads code or more than the "
                "folder holds; save the pipeline without it"
            )  # fmt: skip
    return found


def _require_plain_names(path: Path, file: Path, config: Mapping[str, Any]) -> None:
    """Refuse an index of weights that leads out of its folder."""
    shards = config.get("weight_map", {})
    for name in shards.values() if isinstance(shards, dict) else [shards]:
        if not isinstance(name, str) or Path(name).name != name:
            raise refusal(
                path, f"{file.relative_to(path)} names the file {name!r:.100}, expected one "
                "beside it; save the pipeline anew"
            )  # fmt: skip


def _parts(path: Path, index: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or name == SAFETY:
            continue
        if value == [None, None]:
            continue
        sound = len(value) == 2 and all(isinstance(item, str) for item in value)
        if (
            not sound
            or value[0] not in _LIBRARIES
            or not _CLASS.fullmatch(value[1])
            or (value[0] == "transformers" and value[1].startswith("Auto"))
            or not _CLASS.fullmatch(name)
        ):
            raise refusal(
                path, f"{INDEX}: {name!r:.100} is {value!r:.200}, expected a class of "
                f"{' or '.join(_LIBRARIES)} by its name"
            )  # fmt: skip
        yield name, (value[0], value[1])


def _files(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.rglob("*")) if file.is_file())
