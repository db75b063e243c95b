# SPDX-License-Identifier: Apache-2.0
"""A command line that cannot be read is one line and exit code 2."""

import pytest

from spade_eval.cli import main


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.strip()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("benchmark --sede 3", "no such option: --sede; did you mean --seed"),
        ("benchmark --no-reprot", "did you mean --no-report"),
        ("benchmark --zzz", "no such option: --zzz; see spade-eval benchmark -h"),
        ("train --precision bf17", "'bf17' is not one of float32, bf16, fp16; did you mean bf16"),
        ("train nothing", "'nothing' is not one of generator, segmenter; see"),
        ("train --steps many", "invalid value for '--steps'"),
        ("train --steps 0", "'--steps'"),
        ("train --steps", "'--steps' requires an argument"),
        ("trian", "'train'?; see spade-eval -h"),
        ("data chek", "'check'?; see spade-eval data -h"),
        ("score", "score: nothing to score; give NAME=PATH"),
        ("stats make", "'--out'; see spade-eval stats make -h"),
        ("models a b", "see spade-eval models -h"),
        ("data", "see spade-eval data -h"),
    ],
)
def test_what_was_meant_is_said(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused(capsys, *line.split())


@pytest.mark.parametrize("words", [(), ("bench",)])
def test_a_group_alone_shows_its_help(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "Commands:" in capsys.readouterr().err
