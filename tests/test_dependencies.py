# SPDX-License-Identifier: Apache-2.0
"""What the program declares it imports, and what it imports it declares."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
IMPORT_NAMES = {"pillow": "PIL", "mmsegmentation": "mmseg", "mmcv-lite": "mmcv", "pyyaml": "yaml",
                "mlflow-skinny": "mlflow"}  # fmt: skip
# Declared, and imported by another library alone, which does not declare or not require it.
NEEDED_BY = {
    "ftfy": "mmseg",
    "regex": "mmseg",
    "mmcv-lite": "mmseg",
    "tensorboard": "torch.utils.tensorboard",
}
COME_ALONG = {"markupsafe": "jinja2", "cv2": "mmengine", "typing_extensions": "torch",
              "huggingface_hub": "transformers"}  # fmt: skip


def declared() -> dict[str, list[str]]:
    """Names of the distributions: those always needed, and those of each extra."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]
        for extra, requirements in lists.items()
    }


def import_name(distribution: str) -> str:
    return IMPORT_NAMES.get(distribution, distribution.replace("-", "_"))


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
        yield from (str(word.value) for word in node.args if isinstance(word, ast.Constant))


def product_imports() -> set[str]:
    """Other people's modules that product code imports, by their first name."""
    paths = [path for place in ("models", "segmenters", "reports", "spade_eval")
             for path in (ROOT / place).rglob("*.py")]  # fmt: skip
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    names = {name.split(".")[0] for node in nodes for name in imported(node)}
    return names - sys.stdlib_module_names - {"spade_eval"}


@pytest.mark.parametrize("distribution", declared()[""])
def test_a_dependency_is_imported_or_needed_by_another(distribution: str) -> None:
    is_imported = import_name(distribution) in product_imports()
    assert is_imported != (distribution in NEEDED_BY), f"drop {distribution}, or say who needs it"


@pytest.mark.parametrize("distribution", NEEDED_BY)
def test_the_other_library_does_import_it(distribution: str) -> None:
    spec = importlib.util.find_spec(NEEDED_BY[distribution])
    if spec is None or spec.origin is None:
        pytest.skip(f"{NEEDED_BY[distribution]} is not installed")
    statement = re.compile(rf"^\s*(import|from) {import_name(distribution)}\b", re.MULTILINE)
    sources = Path(spec.origin).parent.rglob("*.py")
    assert any(statement.search(path.read_text("utf-8")) for path in sources)


def test_what_is_imported_is_declared() -> None:
    known = {import_name(name) for names in declared().values() for name in names}
    assert product_imports() - known - set(COME_ALONG) == set()
    assert set(COME_ALONG.values()) <= known
