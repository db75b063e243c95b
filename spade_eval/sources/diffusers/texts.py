# SPDX-License-Identifier: Apache-2.0
"""The texts that a generator reads beside label maps: none, class names, one for all, captions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.models.limits import MOST_CAPTION_BYTES
from spade_eval.records import sha256_of_bytes

FORMS = "none, classes, prompt:WORDS or captions:FILE"
_LONGEST = 2_000  # letters; text encoders read 77 to 512 tokens


@dataclass(frozen=True)
class TextInput:
    """What each image is made of besides its label map, and how a record says so."""

    fact: str
    prompt: str = ""
    of_classes: bool = False
    captions: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, words: str) -> "TextInput":
        """Read `none`, `classes`, `prompt:WORDS` or `captions:FILE`; `UserError` for others."""
        kind, _, rest = words.partition(":")
        if words in ("none", "classes"):
            return cls(words, of_classes=words == "classes")
        if kind == "prompt" and 0 < len(rest.strip()) <= _LONGEST // 5:
            return cls(f"prompt: {rest.strip()}", rest.strip())
        if kind == "captions" and rest:
            return _captions(Path(rest))
        raise UserError(
            f"--text-input {words!r:.200}: expected {FORMS}, a text of at most {_LONGEST // 5} "
            "letters"
        )

    def require(self, names: Sequence[str]) -> None:
        """Refuse captions that lack a label map."""
        lacking = [
            name for name in names if self.captions is not None and name not in self.captions
        ]
        if lacking:
            raise UserError(
                f"--text-input captions: {len(lacking)} of {len(names)} label maps have no caption "
                f"({', '.join(lacking[:3])}); expected one a stem"
            )

    def of(self, name: str, label_map: NDArray[np.integer], class_names: Sequence[str]) -> str:
        """Return the text for a label map (H, W); classes by their share of it."""
        if self.captions is not None:
            return self.captions[name]
        if not self.of_classes:
            return self.prompt
        values, counts = np.unique(label_map, return_counts=True)
        order = values[np.argsort(-counts, kind="stable")]
        return ", ".join(class_names[value] for value in order if value < len(class_names))


def _captions(path: Path) -> TextInput:
    """Read a JSON object of texts by stem."""
    try:
        if path.stat().st_size > MOST_CAPTION_BYTES:
            raise ValueError(f"it has more than {MOST_CAPTION_BYTES >> 20} MB")
        content = path.read_bytes()
        found = parsed_json(content)
        if not isinstance(found, dict) or not found:
            raise ValueError("it is no object of texts by stem")
        for name, text in found.items():
            if not isinstance(text, str) or len(text) > _LONGEST:
                raise ValueError(f"{name!r:.100} has no text of at most {_LONGEST} letters")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--text-input captions:{path}: cannot be read ({reason}); expected a JSON object of "
            "texts by stem"
        ) from error
    return TextInput(f"captions {sha256_of_bytes(content)[:16]}", captions=found)
