# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for kind, mode, suffix in (("images", "RGB", "jpg"), ("labels", "L", "png")):
            (tmp_path / kind / split).mkdir(parents=True)
            image = Image.new(mode, (40, 30), 1 if mode == "L" else (9, 9, 9))
            image.paste(0 if mode == "L" else (99, 9, 9), (0, 0, 20, 30))
            image.save(tmp_path / kind / split / f"a.{suffix}")
    return tmp_path


def test_an_own_folder_is_described_then_checked(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("data", "check", "--dataset", "folder", "--data-root", str(own_folder))
    assert run(*arguments) == 1
    proposed = capsys.readouterr().out
    assert "proposal: 2 classes (values 0, 1), ignored: none" in proposed
    (own_folder / "dataset.toml").write_text(proposed.partition("start from:")[2])
    assert run(*arguments) == 0
    assert "no problems found" in capsys.readouterr().out


@pytest.mark.parametrize("dataset", ["ade20k", "ade20k_outdoor", "cityscapes", "flickr_landscapes"])
def test_absent_data_are_one_line(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "check", "--dataset", dataset, "--data-root", str(tmp_path)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_outdoor_list_is_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, mode, suffix in (("images", "RGB", "jpg"), ("annotations", "L", "png")):
        place = tmp_path / folder / "validation"
        place.mkdir(parents=True)
        Image.new(mode, (8, 8), 3 if mode == "L" else (3, 3, 3)).save(place / f"a.{suffix}")
    assert run("data", "prepare", "ade20k_outdoor", "--data-root", str(tmp_path)) == 0
    assert "val.txt: 1 images, list " in capsys.readouterr().out
    arguments = ("--dataset", "ade20k_outdoor", "--data-root", str(tmp_path))
    assert run("data", "check", *arguments) == 0
    assert "ADE20K-outdoor (list " in capsys.readouterr().out


def test_positional_maps_are_prepared(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_folder / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["a", "b"]\n'
    )
    arguments = ("data", "prepare", "folder", "--positions", "--data-root", str(own_folder))
    for counts in ("1 files written, 0 were there", "0 files written, 1 were there"):
        assert run(*arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(": ")[0] for line in lines] == ["train", "val"]
        assert all(line.endswith(counts) for line in lines)
    assert np.load(own_folder / "distances" / "val" / "a.npy").shape == (2, 30, 40)
    assert run("data", "prepare", "scenes", "--positions") == 2
    assert "scenes has no label files" in capsys.readouterr().err


def test_colours_are_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (4, 4), (128, 64, 128)).save(tmp_path / "in" / "a.png")
    folders = (str(tmp_path / "in"), str(tmp_path / "out"))
    assert run("data", "convert", "--palette", "cityscapes", *folders) == 0
    assert "1 files written, 0 were there" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "a.png") as ids:
        assert np.unique(np.array(ids)).tolist() == [7]


def test_class_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "classes", "cityscapes") == 0
    assert "      26        13  car" in capsys.readouterr().out
    assert run("data", "classes", "cityscape") == 2
    assert "did you mean cityscapes?" in capsys.readouterr().err


def test_bench_data_prints_rates(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_folder / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["a", "b"]\n'
    )
    arguments = ("--dataset", "folder", "--data-root", str(own_folder), "--size", "32")
    assert run("bench", "data", *arguments, "--images", "4") == 0
    text = capsys.readouterr().out
    header, *rows = text.splitlines()
    assert {"workers", "images/s", "ratio"} <= set(header.split())
    assert [row.split()[0] for row in rows[:3]] == ["photos", "label", "samples"]
    *_, line = rows
    assert (json.loads(line)["what"], json.loads(line)["width"]) == ("samples", 32)
