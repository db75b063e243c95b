# SPDX-License-Identifier: Apache-2.0
"""The code that CONTRIBUTING.md shows is whole: it is taken from the page, registered and used."""

import __future__

import importlib
import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from few_scenes import few_scenes
from PIL import Image

from spade_eval.cli import main
from spade_eval.datasets import DATASETS, open_dataset
from spade_eval.models.checkpoints.files import load_description
from spade_eval.records import Measurement, RecordStore
from spade_eval.scoring.segmenter import open_segmenter

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TINY = ["--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625",
        "--segmenter-steps", "1", "--limit", "4", "--size", "64x64"]  # fmt: skip


class Block(NamedTuple):
    """Code of the page: a new file, or the row that goes into an existing one."""

    path: str
    code: str

    @property
    def module(self) -> str:
        """The name under which the file is imported."""
        name = self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return name if name.startswith("spade_eval.") else f"spade_eval.{name}"

    @property
    def is_file(self) -> bool:
        return self.code.startswith("# SPDX-License-Identifier: Apache-2.0\n")


def blocks_of(section: str) -> list[Block]:
    """Each belongs to the file that was named last before it."""
    parts = re.split(r"^```python\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    return [
        Block(re.findall(r"`([\w/]+\.py)`", words)[-1], code)
        for words, code in zip(parts[::2], parts[1::2], strict=False)
    ]


SECTIONS = {
    section.split("\n")[0]: blocks
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    if (blocks := blocks_of(section))
}
BLOCKS = [block for blocks in SECTIONS.values() for block in blocks]


@pytest.fixture
def added(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What the section with the test's `param` registers, by name."""
    (blocks,) = (found for title, found in SECTIONS.items() if title.startswith(request.param))
    for block in blocks[:-1]:
        file = tmp_path / "added" / block.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.code)
        spec = importlib.util.spec_from_file_location(block.module, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, block.module, module)
        spec.loader.exec_module(module)
    return registered(blocks[-1], monkeypatch)


def registered(row: Block, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the row as if it stood at the end of its file, and undo it after the test."""
    (name,) = re.findall(r"^([A-Z_]+) \|= ", row.code, re.MULTILINE)
    module: ModuleType = importlib.import_module(row.module)
    around: dict[str, Any] = {**vars(module), name: {}}
    # As in files that begin with `from __future__ import annotations`.
    flags = __future__.annotations.compiler_flag
    exec(compile(row.code, row.path, "exec", flags), around)
    for key, value in around[name].items():
        assert key not in vars(module)[name]
        monkeypatch.setitem(vars(module)[name], key, value)
    return dict(around[name])


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


def records_of(folder: Path) -> list[Measurement]:
    return list(RecordStore(folder / "records.jsonl"))


def test_every_kind_of_thing_has_an_example() -> None:
    kinds = ["A system", "A segmenter", "A metric", "A dataset", "A paper's table"]
    assert [title[: len(kind)] for title, kind in zip(SECTIONS, kinds, strict=True)] == kinds


@pytest.mark.parametrize("block", BLOCKS, ids=[block.path for block in BLOCKS])
def test_an_example_is_short_and_reads_like_the_suite(block: Block) -> None:
    assert len(block.code.splitlines()) <= 60
    assert (ROOT / block.path).exists() != block.is_file, "a new file, or a row of one of ours"
    for words in (["check", "--ignore", "F821"], ["format", "--check"]):  # names of the row's file
        command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", block.path, "-"]
        done = subprocess.run(command, input=block.code, cwd=ROOT, capture_output=True, text=True)
        assert not done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("added", ["A system"], indirect=True)
def test_the_system_is_listed_trained_opened_and_scored(
    added: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(DATASETS, "scenes", few_scenes(4))
    (name,) = added
    run("models")
    assert added[name].description in capsys.readouterr().out
    tiny = ["--budget", "smoke", "--size", "64x64"]
    run("train", "--model", name, *tiny, "--steps", "1", "--batch-size", "2", "--width", "0.25",
        "--out", str(tmp_path / "run"))  # fmt: skip
    (checkpoint,) = tmp_path.glob(f"run/checkpoints/{name}-*/generator.safetensors")
    described = load_description(checkpoint)
    assert described["network"] == added[name].network.__name__
    assert described["config"]["base_channels"] == 16
    run("score", f"mine={checkpoint}", *tiny, "--limit", "4", "--out", str(tmp_path / "scores"))
    scored = [item for item in records_of(tmp_path / "scores") if item.source == "mine"]
    assert {"miou", "fd_in_domain"} <= {item.metric for item in scored}
    settings = scored[0].train_settings
    assert settings is not None
    assert settings["batch_size"] == 2
    # Times the smoke budget's `rate_scale`.
    own = added[name].system.settings["release", ""].optimizers["G"].rate
    assert settings["optimizers"]["G"]["rate"] == pytest.approx(4 * own)


def write_sample(root: Path, photo: str, label: str, values: tuple[int, ...]) -> None:
    """A photo of noise and its label map of stripes, 64x128."""
    labels = np.repeat(np.array(values, np.uint8), 64 // len(values))[:, None].repeat(128, axis=1)
    random = np.random.default_rng(0)
    for path, pixels in (
        (photo, random.integers(0, 256, (64, 128, 3), dtype=np.uint8)), (label, labels)
    ):  # fmt: skip
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / path)


def write_cityscapes(root: Path) -> None:
    """Two samples a split, of road, sidewalk, building and what is not scored."""
    for split in ("train", "val"):
        for stem in ("ulm_000000_000019", "ulm_000001_000019"):
            labels = f"gtFine/{split}/ulm/{stem}_gtFine"
            photo = f"leftImg8bit/{split}/ulm/{stem}_leftImg8bit.png"
            write_sample(root, photo, f"{labels}_labelIds.png", (7, 8, 11, 0))
            instances = Image.fromarray(np.zeros((64, 128), np.uint16))
            instances.save(root / f"{labels}_instanceIds.png")


@pytest.mark.slow
@pytest.mark.parametrize("added", ["A segmenter"], indirect=True)
def test_the_segmenter_is_loaded_from_its_file_and_scores_a_run(
    added: dict[str, Any], tmp_path: Path
) -> None:
    ((name, entry),) = added.items()
    network = entry.filled()
    (tmp_path / "weights").mkdir()
    torch.save(network.state_dict(), tmp_path / "weights" / entry.files[0].file_name)
    write_cityscapes(tmp_path)
    dataset = open_dataset("cityscapes", "val", (64, 128), tmp_path)
    opened = open_segmenter(
        name, dataset, tmp_path / "weights", torch.device("cpu"), in_domain=lambda: tmp_path
    )
    assert (opened.title, opened.weights) == (entry.title, "published")
    images = torch.rand(2, 3, 64, 128)
    plain = network(images)  # the one that scores is in its fast form
    assert (opened.network(images) - plain).abs().max() <= 1e-5 * plain.std()
    assert opened.network(images).shape == (2, 19, 64, 128)
    # FID of a paper's profile needs Inception's weights, too: all of them noise.
    run("benchmark", "--dataset", "cityscapes", "--data-root", str(tmp_path), "--model", "none",
        *TINY[:-1], "64x128", "--segmenter", name, "--filled-weights",
        "--out", str(tmp_path / "run"))  # fmt: skip
    items = records_of(tmp_path / "run")
    assert {item.segmenter for item in items} == {entry.title}
    assert {item.source for item in items if item.metric == "miou"} >= {"real", "grey"}


@pytest.mark.slow
@pytest.mark.parametrize("added", ["A metric"], indirect=True)
def test_the_metric_has_a_column(
    added: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "scenes", few_scenes(4))
    run("benchmark", "--model", "none", *TINY, "--out", str(tmp_path / "run"))
    (name,) = added
    values = {i.source: i.value for i in records_of(tmp_path / "run") if i.metric == name}
    assert values["real"] is None
    photos = few_scenes(4).opened("val", (64, 64), tmp_path)
    errors = [((photos[i].photo - 128.0) ** 2).mean() for i in range(4)]
    psnr = np.mean([10 * math.log10(255**2 / error) for error in errors])
    assert values["grey"] == pytest.approx(psnr, rel=1e-12)
    assert "PSNR" in (tmp_path / "run" / "tables" / "scores.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("added", ["A dataset"], indirect=True)
def test_the_dataset_is_checked_trained_on_and_scored(
    added: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (name,) = added
    for split in ("train", "val"):
        for stem in "ab":
            place = f"{split}/{stem}.png"
            write_sample(tmp_path / "data", f"photos/{place}", f"labels/{place}", (1, 2, 0, 1))
    words = ["--dataset", name, "--data-root", str(tmp_path / "data")]
    run("data", "check", *words)
    assert "hedge" in capsys.readouterr().out
    run("benchmark", *words, "--model", "spade", *TINY, "--out", str(tmp_path / "run"))
    items = records_of(tmp_path / "run")
    assert {item.source for item in items} == {"real", "grey", "label colours", "spade"}
    assert {item.class_name for item in items if item.metric == "iou"} == {"lawn", "hedge"}


@pytest.mark.slow
@pytest.mark.parametrize("added", ["A paper's table"], indirect=True)
def test_the_table_shows_its_numbers_beside_ours(
    added: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(DATASETS, "scenes", few_scenes(4))
    ((key, table),) = added.items()
    assert key == table.key
    run("benchmark", "--model", "spade", *TINY, "--out", str(tmp_path / "run"))
    capsys.readouterr()
    run("report", str(tmp_path / "run"), "--table", key, "--out", str(tmp_path / "out"))
    printed = capsys.readouterr().out
    assert f"{table.paper.authors}, {table.name}" in printed
    written = (tmp_path / "out" / f"{table.stem}.md").read_text("utf-8")
    assert "spade" in written, "a method of ours stands below"
    # As it stands in reports/published.csv.
    assert "44.1" in printed


def test_hooks_run_what_ci_runs_and_fetch_nothing() -> None:
    yaml = pytest.importorskip("yaml")
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (place,) = settings["repos"]
    assert place["repo"] == "local"
    hooks = {hook["id"]: hook for hook in place["hooks"]}
    assert {hook["language"] for hook in hooks.values()} == {"system"}
    in_ci = (ROOT / ".ci" / "run").read_text("utf-8")
    for hook in hooks.values():
        program, *words = hook["entry"].split()
        assert (Path(sys.executable).parent / program).exists()
        assert program in in_ci
        for word in words:
            assert (ROOT / word).is_file() or not word.endswith(".py"), word
    for name in ("ruff-check", "ruff-format"):
        command = [*hooks[name]["entry"].split(), "spade_eval/errors.py"]
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)


def test_the_workflow_calls_ci_and_nothing_else() -> None:
    yaml = pytest.importorskip("yaml")
    path = ROOT / ".github" / "workflows" / "ci.yml"
    (job,) = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    assert job["runs-on"].startswith("ubuntu")
    checkout, python, *steps = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert python["with"] == {"python-version": "3.11"}
    assert steps == [{"run": "bash .ci/run"}]
    assert (ROOT / ".ci" / "run").is_file()


def test_checks_that_the_page_names_exist() -> None:
    (lines,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    readme = (ROOT / "README.md").read_text("utf-8")
    install, one_file, whole, ci = lines.splitlines()
    assert f"{install} && {whole}" in readme
    assert (ROOT / one_file.split()[-1]).is_file()
    assert (ROOT / ci.split()[-1]).is_file()
