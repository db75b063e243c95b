# SPDX-License-Identifier: Apache-2.0
"""Folders that the suite itself fills: marked with how, so that work resumes and nothing is lost.

A folder of the same origin is continued; one of another origin, or without a mark but with files,
belongs to the user and is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from spade_eval.datasets import files
from spade_eval.datasets.parallel import write_text
from spade_eval.errors import UserError

MARK = ".made_by_spade_eval.json"


def claim_folder(folder: Path, origin: Mapping[str, str]) -> set[str]:
    """Mark a folder as made from `origin`; the stems that are complete in it already."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, a folder to write into was expected")
    mark = folder / MARK
    done = set(files.files_by_stem(folder, files.MAP_EXTENSIONS)) if folder.is_dir() else set()
    if not mark.is_file() and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"{folder} holds files that were not made by this command; an empty or new folder was "
            "expected, since nothing is overwritten"
        )
    if done:
        known = json.loads(mark.read_text(encoding="utf-8"))
        changed = [key for key in origin if known.get(key) != origin[key]]
        if changed:
            raise UserError(
                f"{folder} was made with another {files.shortened(changed)}; choose another "
                "folder, or remove it to make it anew"
            )
    write_text(mark, json.dumps(dict(origin), indent=1))
    return done
