# SPDX-License-Identifier: Apache-2.0
"""Folders of pipelines are judged by their files, before any library is imported."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from spade_eval.errors import UserError
from spade_eval.sources.diffusers.folder import files_of, inspected

INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionControlNetPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
}


def written(folder: Path, **changes: Any) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "model_index.json").write_text(json.dumps({**INDEX, **changes}))
    return folder


def test_a_sound_folder_is_read_without_its_library(tmp_path: Path) -> None:
    before = set(sys.modules)
    folder = inspected(written(tmp_path / "it"))
    assert folder.pipeline == "StableDiffusionControlNetPipeline"
    assert folder.parts == {"unet": ("diffusers", "UNet2DConditionModel")}
    assert not folder.has_safety_checker
    assert [file.name for file in files_of(folder)] == ["model_index.json", "config.json"]
    assert not {"diffusers", "transformers"} & (set(sys.modules) - before)
    assert inspected(tmp_path / "it", "Other").pipeline == "Other"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"_class_name": ["pipeline", "Evil"]}, r"names \['pipeline', 'Evil'\], expected a class"),
        ({"_class_name": "os.system"}, "expected a class of diffusers"),
        ({"_class_name": None}, "expected a class of diffusers"),
        ({"unet": ["os", "system"]}, "expected a class of diffusers or transformers by its name"),
        ({"unet": ["diffusers", "utils.torch"]}, "expected a class of diffusers or transformers"),
        ({"unet": ["transformers", "AutoModel"]}, "expected a class of diffusers or transformers"),
        ({"unet": ["diffusers"]}, "expected a class of diffusers or transformers"),
        ({"../unet": ["diffusers", "UNet2DModel"]}, "expected a class of diffusers or"),
        ({"vae": ["diffusers", "AutoencoderKL"]}, "there is no folder vae"),
        ({"custom_pipelines": {}}, "model_index.json has custom_pipelines"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "model_index.json has auto_map"),
    ],
    ids=str,
)
def test_what_would_load_more_than_the_folder_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told) as found:
        inspected(written(tmp_path / "it", **changes))
    assert str(found.value).startswith(f"--generator diffusers:{tmp_path / 'it'}: ")


@pytest.mark.parametrize("name", ["pipeline.py", "unet/diffusers.py", "unet/a/b.PY", "x.pkl"])
def test_code_in_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "it")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("raise SystemExit")
    with pytest.raises(UserError, match=f"{name} is code, which is never run"):
        inspected(folder)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("unet/config.json", '{"auto_map": {}}', "unet/config.json has auto_map"),
        ("unet/config.json", '{"quantization_config": {}}', "has quantization_config"),
        ("unet/tokenizer_config.json", '{"auto_map": {}}', "has auto_map"),
        ("unet/config.json", "[" * 100_000, "unet/config.json: lists or objects are nested"),
        ("unet/config.json", "[]", "unet/config.json: no object"),
        ("unet/config.json", '{"a": "' + "x" * (1 << 20) + '"}', "more than 1 MB"),
        ("unet/a.safetensors.index.json", '{"weight_map": {"a": "../b"}}', "names the file"),
        ("unet/a.safetensors.index.json", '{"weight_map": [1]}', "names the file"),
        ("model_index.json", "no json", "model_index.json: "),
    ],
    ids=lambda value: value[:30],
)
def test_strange_files_are_one_line(tmp_path: Path, file: str, text: str, told: str) -> None:
    folder = written(tmp_path / "it")
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=told) as found:
        inspected(folder)
    assert len(str(found.value)) < 1000


def test_an_absent_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        inspected(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"model_index\.json: No such file"):
        inspected(tmp_path / "empty")
