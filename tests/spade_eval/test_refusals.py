# SPDX-License-Identifier: Apache-2.0
"""What a run can be refused for is said before anything is trained or scored for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder dataset whose in-domain segmenter would have to be trained; val has no labels."""
    for split, value in (("train", 0), ("val", 255)):
        for kind, shape in (("images", (32, 32, 3)), ("labels", (32, 32))):
            folder = tmp_path / "data" / kind / split
            folder.mkdir(parents=True)
            for name in "ab":
                Image.fromarray(np.full(shape, value, np.uint8)).save(folder / f"{name}.png")
    (tmp_path / "data" / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["sky", "tree"]\n'
        "ignored = [255]\n"
    )
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "mine=absent"], "absent does not exist"),
        (["--checkpoint", "mine=absent.pth"], "absent.pth does not exist"),
        (["--images", "real={images}"], "the row name 'real' is taken"),
        (["--limit", "1"], "compares sets of at least 2 images"),
        ([], "no pixel of the 2 label maps of folder (val) has a class"),
    ],
)
def test_no_segmenter_is_trained_for_a_run_that_is_refused(
    data: Path, words: list[str], message: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = [word.format(images=data / "images" / "val") for word in words]
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--dataset", "folder", "--data-root", str(data), "--model", "none",
              "--budget", "smoke", "--size", "32", "--segmenter-steps", "1",
              "--weights-dir", str(tmp_path / "weights"), "--out", str(tmp_path / "run"),
              *words])  # fmt: skip
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("figure", ["multimodal", "style"])
def test_no_figure_is_made_for_a_page_without_its_place(
    figure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("no block")
    with pytest.raises(SystemExit) as ended:
        main(["figures", figure, "--into", f"{tmp_path}/page.md", "--out", f"{tmp_path}/out"])
    assert ended.value.code == 2
    assert f"expected exactly one block that begins with a line <!-- {figure} -->" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
