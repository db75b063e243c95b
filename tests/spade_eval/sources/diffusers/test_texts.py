# SPDX-License-Identifier: Apache-2.0
"""Texts beside label maps: each form, and what is no text."""

import json
from pathlib import Path

import numpy as np
import pytest

from spade_eval.errors import UserError
from spade_eval.sources.diffusers.texts import TextInput

MAP = np.array([[1, 1, 1], [0, 0, 255], [2, 255, 255]])


def test_each_form_gives_its_text(tmp_path: Path) -> None:
    names = ("sky", "sea", "sand")
    file = tmp_path / "captions.json"
    file.write_text(json.dumps({"a": "waves at noon", "b": "dunes"}))
    forms = {
        "none": ("", "none"),
        "classes": ("sea, sky, sand", "classes"),  # most pixels first, unlabelled ones left out
        "prompt:a photo ": ("a photo", "prompt: a photo"),
    }
    for words, (text, fact) in forms.items():
        found = TextInput.parse(words)
        assert (found.of("a", MAP, names), found.fact) == (text, fact)
        found.require(["a", "z"])
    captions = TextInput.parse(f"captions:{file}")
    assert captions.of("b", MAP, names) == "dunes"
    assert captions.fact.startswith("captions ")
    captions.require(["b", "a"])
    with pytest.raises(UserError, match=r"1 of 2 label maps have no caption \(c\)"):
        captions.require(["a", "c"])
    file.write_text(json.dumps({"a": "other", "b": "dunes"}))
    assert TextInput.parse(f"captions:{file}").fact != captions.fact


@pytest.mark.parametrize("words", ["", "some", "prompt:", "prompt: ", "captions:", "none:x"])
def test_other_words_are_refused(words: str) -> None:
    with pytest.raises(UserError, match="expected none, classes, prompt:WORDS or captions:FILE"):
        TextInput.parse(words)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', '{"a": "' + "x" * 2001 + '"}'])
def test_strange_captions_are_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "captions.json"
    file.write_text(text)
    with pytest.raises(UserError, match="expected a JSON object of texts by stem"):
        TextInput.parse(f"captions:{file}")
    with pytest.raises(UserError, match="No such file"):
        TextInput.parse(f"captions:{tmp_path / 'absent'}")
