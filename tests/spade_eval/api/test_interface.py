# SPDX-License-Identifier: Apache-2.0
"""`import spade_eval`, `docs/python.md` and the notebook: what a reader tries first."""

import importlib.util
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

import spade_eval as se

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
NOTEBOOK = REPOSITORY / "examples" / "evaluate.ipynb"


def test_the_import_is_light() -> None:
    """Measured by the interpreter itself: what a loaded machine adds is no cost of ours."""
    code = (
        "import sys, time; start = time.process_time(); import spade_eval; "
        "print(time.process_time() - start, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, *heavy = zip(*(run.stdout.split() for run in runs), strict=True)
    assert min(map(float, seconds)) < 0.1
    assert set(heavy) == {("False",) * 3}


def test_every_name_of_the_interface_is_there_and_documented() -> None:
    for name in se.__all__:
        assert getattr(se, name).__doc__
        assert name in dir(se)
    assert sorted(se._PLACES) == sorted(se.__all__)
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        se.evaluat  # type: ignore[attr-defined]  # noqa: B018


def test_the_page_is_short_and_runs(
    four_scenes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(PAGE.splitlines()) <= 140
    fake = types.ModuleType("lightning")  # not installed: the page needs its base class alone
    fake.Callback = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", fake)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        # Four images, not eight: the blocks say what they do and not how long it takes.
        exec(block.replace("(8, 64", "(4, 64").replace("(8, 2, 64", "(4, 2, 64"), names)
    assert (tmp_path / "page.html").is_file()
    logged: list[object] = []
    module = SimpleNamespace(generator=names["my_generator"])
    module.log_dict = lambda found, **_: logged.append(found)
    hook = names["Scored"]().on_train_batch_end  # type: ignore[operator]
    hook(SimpleNamespace(is_global_zero=True, global_step=3000), module)
    hook(SimpleNamespace(is_global_zero=True, global_step=3001), module)
    accelerator = SimpleNamespace(is_main_process=True, unwrap_model=lambda model: model)
    accelerator.log = lambda found, step: logged.append(found)
    names["score"](accelerator, 4000, names["my_generator"])  # type: ignore[operator]
    assert [list(found) for found in logged] == [["val/miou"]] * 2  # type: ignore[call-overload]


def cells() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def test_the_notebook_holds_no_outputs() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    for package in ("nbclient", "nbformat", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed, which the extra `test` brings")
    import nbclient
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = json.dumps(notebook.cells)
    assert "<table>" in shown, "a result shows itself"
    assert (tmp_path / "comparison.html").is_file()
