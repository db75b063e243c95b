# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the source: the rooms of the house and their doors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"spade_eval", "models", "segmenters", "reports", "run_benchmark"}
# A leaf, which itself imports nothing: what of a state dict does not fit is told in one way.
ENTRIES = "models.mismatch"
MAY_IMPORT = {  # besides itself
    "models": (),
    "models/mismatch.py": (),
    "segmenters": (ENTRIES,),
    "spade_eval/metrics": ("spade_eval.errors", "spade_eval.weights", ENTRIES),
    "spade_eval/datasets": ("spade_eval.errors",),
    "spade_eval/records.py": ("spade_eval.errors",),
    "reports": (
        "spade_eval.records",
        "spade_eval.errors",
        "spade_eval.metrics.arrays",
        "spade_eval.metrics.counts",
    ),
}
# Imported only inside the functions that use them.
HEAVY = {"mmseg", "mmengine", "mmcv", "cv2", "pytorch_fid", "matplotlib", "tensorboard",
         "torchvision", "transformers", "sklearn"}  # fmt: skip


def python_files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield node.module or ""


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_import_direction(place: str) -> None:
    own = place.removesuffix(".py").replace("/", ".")
    for path in python_files(place):
        for node in ast.walk(ast.parse(path.read_text())):
            for name in imports(node):
                allowed = name.startswith((own, *MAY_IMPORT[place]))
                assert name.split(".")[0] not in OURS or allowed, f"{path} imports {name}"


@pytest.mark.parametrize("package", ["spade_eval", "models", "segmenters", "reports"])
def test_heavy_libraries_are_imported_where_used(package: str) -> None:
    for path in python_files(package):
        for node in ast.parse(path.read_text()).body:
            for name in imports(node):
                assert name.split(".")[0] not in HEAVY, f"{path} imports {name} at its top"


def test_only_the_command_line_prints_results() -> None:
    for package in ("spade_eval", "models", "segmenters", "reports"):
        for path in python_files(package):
            if "cli" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                    streams = {keyword.arg for keyword in node.keywords}
                    assert "file" in streams, f"{path}:{node.lineno} prints to stdout"
