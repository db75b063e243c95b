# SPDX-License-Identifier: Apache-2.0
"""Text files that users write by hand: descriptions, palettes, lists."""

from pathlib import Path

from spade_eval.errors import UserError


def read_text(path: Path) -> str:
    """Read UTF-8, with or without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is no text in UTF-8 ({error.reason} at byte {error.start}); save it in that "
            "encoding"
        ) from error
