# SPDX-License-Identifier: Apache-2.0
"""Folders that the suite itself fills: marked with how, so that work resumes and nothing is lost.

A folder of the same origin is continued; one of another origin, or without a mark but with files,
belongs to the user and is refused. So is one with files made from sources whose content has changed
since: which of the two is wanted, the user knows.
"""

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from spade_eval.datasets import files, layouts
from spade_eval.datasets.fingerprints import content_hashes
from spade_eval.datasets.parallel import write_text
from spade_eval.datasets.positional_maps import MARK, SOURCES, sources_in
from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json


def claim_folder(folder: Path, origin: Mapping[str, str], sources: Mapping[str, Path]) -> set[str]:
    """Mark a folder as made from `origin`; the stems that are complete in it already.

    `sources` are the files that are read, by the stem of what is made from each.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, a folder to write into was expected")
    mark = folder / MARK
    done = set(files.files_by_stem(folder, files.MAP_EXTENSIONS)) if folder.is_dir() else set()
    if not mark.is_file() and folder.is_dir() and layouts.visible(folder):
        raise UserError(
            f"{folder} holds files that were not made by this command; an empty or new folder was "
            "expected, since nothing is overwritten"
        )
    contents = content_hashes(sources.values())
    hashes = {stem: contents[path] for stem, path in sources.items()}
    if done:
        known = _known(mark)
        # Marks of before lack what the same command did not record then.
        before = {} if origin.keys().isdisjoint(known) else origin
        changed = [key for key in origin if known.get(key, before.get(key)) != origin[key]]
        if changed:
            raise UserError(
                f"{folder} was made with another {files.shortened(changed)}; choose another "
                "folder, or remove it to make it anew"
            )
        hashes = _unchanged(folder, done, known.get(SOURCES, {}), hashes)
    write_text(mark, json.dumps({**origin, SOURCES: hashes}, indent=1))
    return done


def claim_files(
    folder: Path,
    origin: Mapping[str, str],
    targets: Mapping[str, Path],
    sources: Mapping[str, Path],
) -> set[str]:
    """Mark files in a folder that may hold others as well; the stems that are there already.

    `targets` are the files to be written, `sources` those that are read, by stem.
    """
    known = sources_in(folder)
    done = {stem for stem, path in targets.items() if path.exists()}
    foreign = sorted(targets[stem].name for stem in done - known.keys())
    if foreign:
        raise UserError(
            f"{folder}: {len(foreign)} files were not made by this command "
            f"({files.shortened(foreign)}); move them away, since nothing is overwritten"
        )
    contents = content_hashes(sources.values())
    hashes = _unchanged(folder, done, known, {stem: contents[sources[stem]] for stem in targets})
    write_text(folder / MARK, json.dumps({**origin, SOURCES: {**known, **hashes}}, indent=1))
    return done


def _known(mark: Path) -> dict[str, Any]:
    try:
        known = parsed_json(mark.read_text(encoding="utf-8"))
        if not (isinstance(known, dict) and isinstance(known.get(SOURCES, {}), dict)):
            raise ValueError("it is no object of the expected form")
    except ValueError as error:
        raise UserError(
            f"{mark} does not say what the folder was made from ({error}); remove the folder to "
            "make it anew"
        ) from error
    return known


def _unchanged(
    folder: Path, done: Set[str], made_from: Mapping[str, str], hashes: Mapping[str, str]
) -> dict[str, str]:
    """Refuse other sources than the files in `done` were made from; return the hashes of both.

    Sources that are away for now stay known. Marks of before know none: what is there now counts.
    """
    kept = {stem: made_from[stem] for stem in sorted(done & made_from.keys())}
    changed = [stem for stem, digest in kept.items() if hashes.get(stem, digest) != digest]
    if changed:
        raise UserError(
            f"{folder}: {len(changed)} files were made from others than are there now "
            f"({files.shortened(changed)}); remove these files to make them anew, or choose "
            "another folder"
        )
    return {**hashes, **kept}
