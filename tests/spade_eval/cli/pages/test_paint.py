# SPDX-License-Identifier: Apache-2.0
"""`spade-eval paint`: what is opened, what is refused before anything is, and how it ends."""

import json
import urllib.request
from pathlib import Path

import pytest
from painting_files import write_generator

from spade_eval import baselines
from spade_eval.cli import main
from spade_eval.models.labels import SemanticLayout


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["paint", *words])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


@pytest.fixture
def none_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "shipped", dict)


def test_where_nothing_ships_a_file_is_asked_for(
    none_ships: None, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys)
    assert "no baseline ships for scenes; give a generator with --model FILE" in error
    assert "spade-eval train" in error
    assert "no baseline ships for scenes at 96x96" in refused(capsys, "--size", "96")


def test_what_is_neither_file_nor_baseline_is_refused(
    none_ships: None, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, "--model", "spade")
    assert "--model spade: neither a file nor a baseline that ships for scenes (there is" in error
    assert "checkpoint absent.safetensors does not exist" in refused(
        capsys, "--model", "absent.safetensors"
    )


def test_a_generator_of_other_classes_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write_generator(
        tmp_path / "g.safetensors", layout=SemanticLayout(num_classes=5, edges=True)
    )
    error = refused(capsys, "--model", str(file), "--size", "32")
    assert "expected 16 classes of scenes" in error


def test_a_wrong_size_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write_generator(tmp_path / "g.safetensors")
    assert "set --size" in refused(capsys, "--model", str(file), "--size", "40")
    assert "at most 1,048,576 pixels" in refused(capsys, "--model", str(file), "--size", "2048")


def test_times_are_printed_and_in_the_object(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write_generator(tmp_path / "g.safetensors")
    words = ["paint", "--model", str(file), "--size", "32", "--time", "1", "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    assert ended.value.code == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["form"] for row in rows] == ["fast", "plain"]
    assert rows[0]["network_cpu_ms"] > 0


def test_it_serves_on_this_machine_until_it_is_interrupted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_generator(tmp_path / "g.safetensors")
    seen = []

    def looked_at_and_interrupted() -> None:
        address = capsys.readouterr().out.split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as answer:
            seen.append((answer.status, answer.read()))
        raise KeyboardInterrupt

    monkeypatch.setattr("spade_eval.cli.pages.paint._wait", looked_at_and_interrupted)
    words = ["paint", "--model", str(file), "--size", "32", "--port", "0", "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    ((status, page),) = seen
    assert status == 200
    assert b"<title>Paint: scenes val</title>" in page
