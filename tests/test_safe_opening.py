# SPDX-License-Identifier: Apache-2.0
"""No file that could hold code is opened but in one place, read from the source of the program."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Modules of which any function can run what a file holds. The inert reader derives its unpickler.
UNPICKLERS = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve",
    "torch.package", "torch.hub", "torch.utils.model_zoo", "yaml", "runpy",
}  # fmt: skip
# Functions that open files, or run text.
OPENERS = {
    "torch.load", "torch.jit.load", "torch.serialization.load", "torch.export.load",
    "numpy.load", "np.load", "numpy.loadtxt", "np.lib.format.read_array", "scipy.io.loadmat",
    "pandas.read_pickle", "pd.read_pickle", "pandas.read_hdf", "pd.read_hdf",
    "eval", "exec", "compile", "__import__",
}  # fmt: skip
# Where each may stand, and how often.
ALLOWED = {
    ("models/checkpoints/restricted_pickle.py", "pickle"): 1,
    ("reports/tables/exported.py", "yaml"): 1,
    ("reports/tables/exported.py", "yaml.safe_dump"): 1,  # writes; nothing reads YAML
    ("spade_eval/metrics/arrays.py", "np.load(allow_pickle=False)"): 1,
    ("spade_eval/sources/given_images.py", "np.load(allow_pickle=False)"): 1,
}


def opened(tree: ast.AST) -> Iterator[str]:
    """Names of the modules and functions in a source that can open files with code in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_unpickler(alias.name))
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if _is_unpickler(name) or name in OPENERS)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in OPENERS or _is_unpickler(name):
                yield name + _safety(node)


def _is_unpickler(name: str) -> bool:
    parts = name.split(".")
    heads = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return bool(heads & UNPICKLERS) and not name.endswith("Error")


def _safety(call: ast.Call) -> str:
    told = [ast.unparse(word) for word in call.keywords]
    return "".join(f"({word})" for word in told if word.startswith(("weights_only", "allow_pic")))


def _product() -> Iterator[Path]:
    for place in ("models", "segmenters", "spade_eval", "reports"):
        yield from sorted((ROOT / place).rglob("*.py"))
    yield ROOT / "run_benchmark.py"


def test_the_program_opens_pickles_in_one_place() -> None:
    found: dict[tuple[str, str], int] = {}
    for path in _product():
        for name in opened(ast.parse(path.read_text("utf-8"))):
            if name.startswith("pickle."):
                continue  # what the import, which is counted, makes possible
            key = (path.relative_to(ROOT).as_posix(), name)
            found[key] = found.get(key, 0) + 1
    assert found == ALLOWED


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("import dill as d", "dill"),
        ("from pickle import load", "pickle.load"),
        ("from torch import load", "torch.load"),
        ("def f(path):\n    return torch.load(path)", "torch.load"),
        ("torch.load(p, weights_only=False)", "torch.load(weights_only=False)"),
        ("torch.load(p, map_location='cpu', weights_only=True)", "torch.load(weights_only=True)"),
        ("torch.hub.load_state_dict_from_url(u)", "torch.hub.load_state_dict_from_url"),
        ("np.load(p, allow_pickle=True)", "np.load(allow_pickle=True)"),
        ("pd.read_pickle(p)", "pd.read_pickle"),
        ("import yaml", "yaml"),
        ("eval(text)", "eval"),
    ],
)
def test_such_a_source_is_noticed(source: str, name: str) -> None:
    assert list(opened(ast.parse(source))) == [name]


def test_other_sources_are_not() -> None:
    source = "network.eval()\njson.load(file)\nmodule.load_state_dict(state)\nre.compile(x)"
    assert not list(opened(ast.parse(source)))
