# SPDX-License-Identifier: Apache-2.0
"""docs/ablations.md: its commands run, its blocks can be filled, its files are there."""

import csv
import re
import shlex
import shutil
import tarfile
from pathlib import Path

import pytest

from spade_eval.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ablations.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
BLOCKS = (
    "pilots",
    "blocks",
    "perceptual",
    "table3",
    "table4",
    "table5",
    "tablesystems",
    "tablenorms",
    "multimodal",
    "style",
)
RECORDED = ("3", "4", "5", "systems", "norms")  # tables whose records are kept beside the page
TINY = ["--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625"]


def words(line: str) -> list[str]:
    given = shlex.split(line)
    return given[1:] if given[0] == "spade-eval" else ["benchmark", *given[2:]]


def test_every_table_and_figure_has_its_commands_and_block() -> None:
    for number in (3, 4, 5, "systems", "norms"):
        assert any(f"run_benchmark.py --table {number} " in line for line in COMMANDS)
        assert any("report" in line and f"--table {number} " in line for line in COMMANDS)
    for name in BLOCKS:
        assert len(re.findall(rf"^<!-- {name} -->$", TEXT, re.MULTILINE)) == 1
        assert len(re.findall(rf"^<!-- /{name} -->$", TEXT, re.MULTILINE)) == 1


def test_every_file_of_the_page_exists() -> None:
    for name in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / name).is_file(), name


def test_numbers_stand_in_filled_blocks_only() -> None:
    """A score or a time outside of a block would have been typed by hand."""
    written = re.sub(r"^<!-- (\w+) -->$.*?^<!-- /\1 -->$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    written = re.sub(r"^```.*?^```", "", written, flags=re.DOTALL | re.MULTILINE)
    written = re.sub(r"`[^`\n]+`", "", written)  # flags
    assert not re.findall(r"\d+\.\d+", written)


@pytest.mark.slow
def test_the_commands_run_and_fill_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them in the order of the page, with one model and the least budget."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "docs" / "ablations.md"
    page.parent.mkdir()
    shutil.copyfile(PAGE, page)
    for line in COMMANDS:
        arguments = words(line)
        if "MODEL" in line:
            (model,) = Path("runs/vae").glob("checkpoints/spade_vae-*")
            arguments = [word.replace("MODEL", str(model)) for word in arguments]
            arguments += ["--score", "4"]
        if arguments[0] == "train":
            arguments += TINY
        if arguments[0] == "benchmark":
            models = [*arguments, "--model"].index("--model")  # the last words of a line
            arguments = [*arguments[:models], *TINY, "--limit", "4", "--model", "spade"]
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code, (line, capsys.readouterr().err)
    filled = page.read_text(encoding="utf-8")
    assert "weights of generator.safetensors" in filled
    assert filled.count("trainings of 1 steps") == 5
    for name in ("table3.png", "table4.csv", "multimodal.png", "style.png"):
        assert (page.parent / f"ablations-{name}").is_file()


def test_the_script_trains_on_fewer_label_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    budget = 'budget_for("scenes", "miniature")'
    assert script.count(budget) == 1
    least = 'budget_for("scenes", "smoke", steps=1, batch_size=2, width=0.0625)'
    monkeypatch.setattr("sys.argv", ["fewer.py", "3", str(tmp_path / "maps-3")])
    exec(compile(script.replace(budget, least), "fewer.py", "exec"), {})
    trained = Path(capsys.readouterr().out.splitlines()[-1])
    assert trained.parent == tmp_path / "maps-3"
    assert trained.is_file()


def numbers(table: Path) -> dict[tuple[str, str], float]:
    """Every number of a CSV file by row and column."""
    with table.open(newline="", encoding="utf-8") as file:
        cells = {
            (row["row"], column): value
            for row in csv.DictReader(file)
            for column, value in row.items()
        }
    return {at: float(value) for at, value in cells.items() if re.fullmatch(r"-?\d[\d.e-]*", value)}


@pytest.mark.parametrize("number", RECORDED)
def test_the_records_beside_the_page_hold_its_numbers(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intervals over images apart: they need the counts of every image, which are larger."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open(PAGE.with_name("ablations-records.tar.xz")) as archive:
        archive.extractall(filter="data")
    (line,) = (line for line in COMMANDS if "report" in line and f"--table {number} " in line)
    arguments = words(line)
    with pytest.raises(SystemExit) as ended:
        main(arguments[: arguments.index("--into")])
    assert not ended.value.code
    found = numbers(Path(arguments[arguments.index("--out") + 1]) / f"table{number}.csv")
    printed = {
        at: value
        for at, value in numbers(PAGE.with_name(f"ablations-table{number}.csv")).items()
        if "_images_" not in at[1]
    }
    assert len(printed) > 100
    assert {at: found.get(at) for at in printed} == pytest.approx(printed, rel=1e-12)
