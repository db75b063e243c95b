# SPDX-License-Identifier: Apache-2.0
"""`--generator`: a user's factory, imported on this flag alone, or a program; and as a row."""

import sys
from pathlib import Path

import pytest
from source_splits import split_of

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.records import RecordStore
from spade_eval.sources.factories import generator_row

MODULE = """
import torch

class Painter:
    value_range = "[0,1]"

    def __call__(self, batch):
        return (batch.label_map[:, None] / 255.0).expand(-1, 3, -1, -1)

class Nested:
    make = staticmethod(Painter)

def nothing():
    return None

def failing():
    raise RuntimeError("weights are\\nmissing")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module in the current folder, of this test alone."""
    name = f"painting_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_factory_is_found_in_the_current_folder(module: str) -> None:
    before = list(sys.path)
    opened = generator_row("mine", f"{module}:Painter")
    assert module not in sys.modules, "imported when the row is opened, not before"
    source = opened(split_of())
    assert sys.path == before
    assert source.identity["source_kind"] == "callable"
    assert any(f"the function {module}:Painter" in note for note in source.notes)
    nested = generator_row("mine", f"{module}:Nested.make")(split_of())
    assert nested.identity == source.identity


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        ("nothing", "the factory returned NoneType, expected a generator"),
        ("failing", "RuntimeError: weights are missing"),
        ("absent", "AttributeError"),
    ],
)
def test_a_factory_that_makes_none_is_told(module: str, factory: str, told: str) -> None:
    with pytest.raises(UserError, match=f"^--generator mine={module}:{factory}: {told}"):
        generator_row("mine", f"{module}:{factory}")(split_of())


def test_a_module_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="ModuleNotFoundError: No module named 'nowhere_at_all'"):
        generator_row("mine", "nowhere_at_all:make")(split_of())


@pytest.mark.parametrize("spec", ["package.module", "a b", "1:x", "os:system('x')"])
def test_other_words_are_refused(spec: str) -> None:
    with pytest.raises(UserError, match=r"package\.module:factory, diffusers:DIR, or a command"):
        generator_row("mine", spec)


def test_a_generator_is_a_row_of_the_benchmark(
    four_scenes: None, module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sys,pathlib,shutil\\nfrom PIL import Image\\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.png'):\\n"
        "    Image.open(path).convert('RGB').save(pathlib.Path(sys.argv[2]) / path.name)"
    ).replace("\\n", "\n")
    (tmp_path / "program.py").write_text(code)
    command = ["benchmark", "--model", "none", "--device", "cpu", "--out", "run", "--no-report",
               "--generator", f"function={module}:Painter", "--generator-timeout", "60",
               "--generator", f"program={sys.executable} program.py {{label}} {{out}}",
               "--style-input", "function=none"]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert not ended.value.code, capsys.readouterr().err
    store = list(RecordStore(Path("run/records.jsonl")))
    numbers = {
        name: {(item.metric, item.class_name): item.value for item in store if item.source == name}
        for name in ("function", "program")
    }
    # Grey levels of the ids, k / 255: the same pixels by both ways.
    assert numbers["function"] == numbers["program"]
    assert numbers["function"]["miou", None] is not None
    kinds = {item.source: item.source_kind for item in store}
    assert kinds["function"] == "callable"
    assert kinds["program"] == "program"
