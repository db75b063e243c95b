# SPDX-License-Identifier: Apache-2.0
"""All weight files that the suite knows: of FID, of training, and of the scoring networks."""

from spade_eval.errors import UserError
from spade_eval.segmenters import SEGMENTERS
from spade_eval.segmenters.entry import OfficialFile, SegmenterEntry
from spade_eval.weights import WEIGHT_FILES, WeightFile


def files_of_segmenter(name: str) -> tuple[WeightFile, ...]:
    """Return the files of a row of `SEGMENTERS`, in the order in which it loads them."""
    entry = SEGMENTERS[name]
    return tuple(_weight_file(name, entry, file) for file in entry.files)


def all_weight_files() -> dict[str, WeightFile]:
    """Return every file, by file name."""
    of_segmenters = [file for name in SEGMENTERS for file in files_of_segmenter(name)]
    table: dict[str, WeightFile] = {}
    for file in (*WEIGHT_FILES, *of_segmenters):
        table.setdefault(file.file_name, file)  # rows at other scales share their files
    return table


def choose(names: list[str]) -> list[WeightFile]:
    """Choose files whose name, use or title holds a word given, or all where none is."""
    table = all_weight_files()
    chosen = {}
    for name in names:
        matching = [
            file
            for file in table.values()
            if name.lower() in f"{file.file_name} {file.used_for} {file.title}".lower()
        ]
        if not matching:
            raise UserError(f"no weight file is called {name!r}; known: {', '.join(table)}")
        chosen.update({file.file_name: file for file in matching})
    return list(chosen.values()) if names else list(table.values())


def _weight_file(name: str, entry: SegmenterEntry, file: OfficialFile) -> WeightFile:
    return WeightFile(
        title=entry.title,
        file_name=file.file_name,
        origin=file.origin,
        licence=entry.licence,
        used_for=f"scoring: --segmenter {name}",
        sha256_prefix=file.sha256 or "",
        preprocessing=entry.preprocessing,
        labels=entry.labels.name,
        published=entry.published,
        flags="score with --segmenter in-domain, or with --filled-weights to try the chain",
    )
