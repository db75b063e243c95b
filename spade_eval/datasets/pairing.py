# SPDX-License-Identifier: Apache-2.0
"""Photos, label maps and instance maps paired by stem, and what has no partner.

Order of listing differs between systems, so pairing by position would be luck.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from spade_eval.datasets import layouts
from spade_eval.datasets.files import MAP_EXTENSIONS, PHOTO_EXTENSIONS, by_stem, shortened


@dataclass(frozen=True, kw_only=True)
class SampleFiles:
    photo: Path
    label_map: Path
    instance_map: Path | None


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """The samples that have every file, by stem; a line per folder that lacks files."""

    samples: dict[str, SampleFiles]
    has_instances: bool
    problems: list[str]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of one role, by the stem that pairs them."""

    place: Path
    files: dict[str, Path]
    extensions: Sequence[str] = MAP_EXTENSIONS


def listing(folder: Path, extensions: Sequence[str]) -> Listing:
    """Return the files in a folder, or in the folders in it where it holds none itself."""
    found = layouts.files_in(folder, extensions)
    read = [path for path in found if not path.stem.endswith(layouts.TRAIN_IDS)]
    return Listing(place=folder, files=by_stem(folder, read), extensions=extensions)


def paired(photos: Listing, labels: Listing, instances: Listing | None = None) -> SplitFiles:
    """Pair the files of every role by stem, and name what has no partner."""
    roles = [photos, labels] + ([instances] if instances else [])
    every = set().union(*(role.files for role in roles))
    lacking = [(role, sorted(every - set(role.files))) for role in roles]
    problems = [_problem_of(role, missing) for role, missing in lacking if missing]
    if not every:
        problems.append(_problem_of_empty(photos))
    samples = {
        stem: SampleFiles(
            photo=photos.files[stem],
            label_map=labels.files[stem],
            instance_map=instances.files[stem] if instances else None,
        )
        for stem in sorted(every)
        if all(stem in role.files for role in roles)
    }
    return SplitFiles(samples=samples, has_instances=instances is not None, problems=problems)


def without_other_splits(
    root: Path, split: str, roles: Sequence[tuple[str, Listing]]
) -> list[Listing]:
    """Leave out of folders that all splits share what belongs to another split alone.

    Each listing comes with the pattern of its folder; one without `{split}` is shared.
    """
    divided = [(pattern, role) for pattern, role in roles if "{split}" in pattern]
    if not divided or len(divided) == len(roles):
        return [role for _, role in roles]
    others: set[str] = set()
    for other in layouts.SPELLINGS.keys() - {split}:
        for pattern, role in divided:
            folder = layouts.first_folder(root, layouts.spelled([pattern], other))
            others |= listing(folder, role.extensions).files.keys() if folder else set()
    others -= set().union(*(role.files for _, role in divided))
    return [role if "{split}" in pattern else _without(role, others) for pattern, role in roles]


def _without(role: Listing, stems: Set[str]) -> Listing:
    kept = {stem: path for stem, path in role.files.items() if stem not in stems}
    return replace(role, files=kept)


def _problem_of(role: Listing, missing: Sequence[str]) -> str:
    """Name what a folder lacks; files of another ending are there for nobody to read."""
    line = (
        f"{role.place}: {len(missing)} files are missing that its partner folders have "
        f"({shortened(missing)}); "
    )
    endings: Counter[str] = Counter()
    if role.place.is_dir():
        endings = layouts.other_endings(role.place, set(missing), role.extensions)
    if not endings:
        return line + "add them or remove their partners"
    return line + _found_instead(endings, role.extensions)


def _found_instead(endings: Mapping[str, int], extensions: Sequence[str]) -> str:
    found = " and ".join(f"{count} {ending}" for ending, count in endings.items())
    if extensions == MAP_EXTENSIONS:
        return (
            f"{found} files were found; PNG is read, so save their class ids as single-channel PNG"
        )
    return f"{found} files were found; {', '.join(extensions)} are read, so save them as one"


def _problem_of_empty(photos: Listing) -> str:
    entries = layouts.visible(photos.place) if photos.place.is_dir() else []
    endings = Counter(path.suffix or "folders" for path in entries)
    held = [f"{count} {ending}" for ending, count in endings.most_common()]
    return (
        f"{photos.place} holds no photos ({shortened(held) or 'nothing'} inside); files "
        f"ending in {', '.join(PHOTO_EXTENSIONS)} were expected, unpack the archives again"
    )
