# SPDX-License-Identifier: Apache-2.0
"""`spade-eval validate`: fresh scenes, scored once; a run folder; what is refused."""

from pathlib import Path

import pytest

from spade_eval.cli import main


def called(words: list[str], command: str = "intervals") -> int:
    with pytest.raises(SystemExit) as ended:
        main(["validate", command, *words])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_fresh_scenes_are_scored_once_and_drawn_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--scenes", "45", "--n", "40", "--replications", "2", "--device", "cpu"]
    words += ["--row", "oracle", "--row", "label colours", "--out", str(out)]
    assert called(words) == 0
    text = capsys.readouterr().out
    assert "oracle - label colours" in text
    assert "Population: 45 label maps" in text
    assert (out / "validation.csv").is_file()
    records = (out / "population" / "records.jsonl").read_bytes()
    assert called(words) == 0
    assert (out / "population" / "records.jsonl").read_bytes() == records
    assert capsys.readouterr().out == text
    page = tmp_path / "page.md"
    page.write_text("<!-- stopping -->\n<!-- /stopping -->\n")
    words = [*words[:2], "--n", "120", *words[4:], "--into", str(page)]
    assert called(words, "stopping") == 0
    assert (out / "population" / "records.jsonl").read_bytes() == records
    assert "| oracle - label colours |" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--n", "20"], "--n 20: intervals of distances need 40 images"),
        (["--population", "run", "--checkpoint", "a=b.pt"], "give it without --population"),
        (["--population", "nowhere"], "nowhere"),
        (["--into", "page.md"], "no such file; expected a page with a block"),
    ],
)
def test_refusals_are_one_line_before_anything_is_scored(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called([*words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--until", "fid+-1"], "expected METRIC+-POINTS"),
        (["--n", "50"], "--n 50: the first look is after 100 images"),
        (["--population", "run", "--checkpoint", "a=b.pt"], "give it without --population"),
        (["--into", "page.md"], "no such file; expected a page with a block"),
    ],
)
def test_refusals_of_stopping_are_one_line_before_anything_is_scored(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called([*words, "--out", str(tmp_path / "out")], "stopping") == 2
    error = capsys.readouterr().err.strip()
    assert said in error.splitlines()[-1]
    assert not (tmp_path / "out").exists()
