# SPDX-License-Identifier: Apache-2.0
"""Which measurements may stand in one table, and which of them make one row of it.

Scores are comparable only under one protocol: same data, size, number of images, profile,
segmenter and feature network. Measurements that differ in any of these never meet in a column.
Within a table one row is one source; where a source was measured again after it had changed
(a checkpoint trained further, another seed), the most recent one is shown and a footnote says so.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spade_eval.metrics.draws import BEST, MEAN, POOLED, base_of, over_of
from spade_eval.records import Measurement, sha256_of_json
from spade_eval.reports.measured.wording import said_once

REAL_AS_JPEG = "real as JPEG"
"""The kind of the real photos in files as lossy as a row's."""
# Bounds rather than competitors: the real photos, also as JPEG, photos rendered again from the same
# label maps, and the floors, a grey image and the label map in its own colours.
REFERENCE_KINDS = ("real", REAL_AS_JPEG, "oracle", "grey", "label colours")
CHEAT = "cheat"
"""The kind of rows of the red team, which compete with nobody."""
# Of one configuration: SPADE at 300 steps with one thread (43.0) and with two (35.8), the most that
# was seen so far. Sums in another order are enough.
_SEEN_POINTS = 7.2
_NAMED = 5  # rows that a note names
_METRIC_ORDER = (
    "miou",
    "acc_valid",
    "acc_all",
    "fwiou",
    "mean_accuracy",
    "fid",
    "fd_in_domain",
    "fd_lite0",
    "fd_lite0_64",
    "fd_dinov2",
    "fd_clip",
    "fd_hf",
)


class ProtocolKey(NamedTuple):
    """All that must agree before two numbers may be compared."""

    dataset: str
    dataset_sha256: str
    split: str
    height: int
    width: int
    num_images: int  # 0 where a rule of `--until` ended each row at its own
    profile: str
    protocol_sha256: str
    segmenter_sha256: str | None
    features_sha256: str | None

    @property
    def slug(self) -> str:
        """Name of the folder that holds this table where a run has several."""
        readable = (
            f"{self.dataset}-{self.split}-{self.height}x{self.width}"
            f"-{self.num_images or 'until'}-images-{self.profile}"
        )
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', readable)}-{sha256_of_json(list(self))[:8]}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One source of images under one protocol."""

    title: str  # the source's name; with its kind where two kinds share the name
    source: str
    kind: str
    scores: dict[str, Measurement]  # by metric
    class_iou: dict[str, Measurement]  # by class name
    num_superseded: int  # older versions of this source that are recorded but not shown

    @property
    def measurements(self) -> list[Measurement]:
        return [*self.scores.values(), *self.class_iou.values()]

    @property
    def is_reference(self) -> bool:
        return self.kind in REFERENCE_KINDS

    @property
    def competes(self) -> bool:
        """Whether it may be marked: no bound, no cheat, nothing made from the very photos."""
        style = self.measurements[0].style_input or ""
        return not (self.is_reference or self.kind == CHEAT or style.startswith("real image"))

    @property
    def is_trained(self) -> bool:
        """Whether the images are of a generator whose training is known."""
        return not self.is_reference and self.measurements[0].train_steps is not None

    @property
    def until(self) -> str | None:
        """The rule by which scoring stopped, in random order; None: all images were scored."""
        return self.measurements[0].until


@dataclass(frozen=True, kw_only=True)
class ProtocolGroup:
    """Measurements that may share a table, the rows they make, and what must be said of them."""

    key: ProtocolKey
    measurements: tuple[Measurement, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Data and protocol, for the head of a table or a figure."""
        key = self.key
        plural = "" if key.num_images == 1 else "s"
        count = f"{key.num_images} image{plural}"
        if not key.num_images:
            count = f"until {self.rows[0].until}, images"
        order = "" if key.height == key.width else " (height x width)"
        return (
            f"{key.dataset} {key.split}, {count} of "
            f"{key.height}x{key.width}{order}, profile {key.profile}"
        )

    @property
    def details(self) -> str:
        """Networks and hashes behind a table, in one line."""
        first = self.measurements[0]
        parts = [f"protocol version {first.protocol_version} ({first.protocol_sha256[:8]})"]
        for kind in ("segmenter", "features"):
            used = dict.fromkeys(
                (getattr(item, kind), getattr(item, f"{kind}_sha256")) for item in self.measurements
            )
            parts += [f"{kind} {name} ({(sha or 'no hash')[:8]})" for name, sha in used if name]
        return ", ".join(parts)


def by_protocol(measurements: Iterable[Measurement]) -> tuple[ProtocolGroup, ...]:
    """Group measurements that may share a table, in order of first appearance.

    A metric that needs no segmenter (or no features) has None there, so the networks are looked up
    per job; a job that used none at all joins the others where there is only one choice.
    """
    measurements = list(measurements)
    segmenters = _network_of_jobs(measurements, "segmenter_sha256")
    features = _network_of_jobs(measurements, "features_sha256")
    members: dict[ProtocolKey, list[Measurement]] = defaultdict(list)
    for item in measurements:
        key = ProtocolKey(
            *_data_and_profile(item),
            segmenter_sha256=segmenters[item.job_sha256],
            features_sha256=features[item.job_sha256],
        )
        members[key].append(item)
    return tuple(_group(key, items) for key, items in members.items())


def own_folder(group: ProtocolGroup, groups: Sequence[ProtocolGroup]) -> str:
    """Name the folder of a group's files: none of its own where it is the only one."""
    return group.key.slug if len(groups) > 1 else ""


def rows_of(measurements: Iterable[Measurement]) -> list[Row]:
    """Return the rows of one protocol's table: bounds, then others in order of first appearance."""
    sources: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        sources[measurement.source_kind, measurement.source].append(measurement)
    names = [source for _, source in sources]
    table_rows = [
        _row(items, f"{source} ({kind})" if names.count(source) > 1 else source)
        for (kind, source), items in sources.items()
    ]
    places = {kind: place for place, kind in enumerate(REFERENCE_KINDS)}
    shown = [row for row in table_rows if row.measurements]
    return sorted(shown, key=lambda row: places.get(row.kind, len(places)))


def footnotes(table_rows: Sequence[Row]) -> list[str]:
    """Return notes that these numbers must never be without: each once, in order."""
    return [
        *shared_notes(table_rows),
        *(_superseded_note(row) for row in table_rows if row.num_superseded),
        *training_notes(row for row in table_rows if row.is_trained),
    ]


def shared_notes(table_rows: Sequence[Row], titles: Sequence[str] | None = None) -> list[str]:
    """Return what was recorded with the numbers, and what they were compared with.

    What is true of some of the trained rows alone is said of them by name, by their `titles` where
    these are not the rows' own.
    """
    names = [row.title for row in table_rows] if titles is None else titles
    of_rows: dict[str, dict[str, None]] = defaultdict(dict)
    for name, row in zip(names, table_rows, strict=True):
        for note in dict.fromkeys(note for item in row.measurements for note in item.notes):
            of_rows[note][name] = None
    trained = {name: row.source for name, row in zip(names, table_rows, strict=True)
               if row.is_trained}  # fmt: skip
    recorded = (_of_whom(note, found, trained) for note, found in of_rows.items())
    return [*said_once(recorded), *_reference_notes(table_rows)]


def _of_whom(note: str, titles: Collection[str], trained: Mapping[str, str]) -> str:
    """Name the rows of a note that holds for some trained ones alone; `trained` are sources."""
    holds_for_some = trained.keys() > set(titles)
    if not holds_for_some or any(note.startswith(f"{trained[title]}: ") for title in titles):
        return note
    return f"{_listed(list(titles))}: {note}"


def _listed(titles: Sequence[str]) -> str:
    named = ", ".join(titles[:_NAMED])
    return named + (f" and {len(titles) - _NAMED} more" if len(titles) > _NAMED else "")


def training_notes(once: Iterable[Row]) -> list[str]:
    """Say how little a row of one training tells of its method."""
    titles = list(dict.fromkeys(row.title for row in once))
    if not titles:
        return []
    return [
        f"{_listed(titles)}: one training each. The same training with other threads, at another "
        f"commit or on another machine may end some points of mIoU away ({_SEEN_POINTS} were seen "
        "at 300 steps of SPADE); only several seeds tell a difference of that size from chance."
    ]


def metric_names(table_rows: Iterable[Row]) -> list[str]:
    """Return metrics in the fixed order of columns; unknown ones follow in order of appearance.

    Those over several draws follow the one that they are of; single draws have a table of their
    own (`tables/draws.py`).
    """
    items = (item for row in table_rows for item in row.scores.values())
    present = dict.fromkeys(item.metric for item in items if not is_of_one_draw(item))
    bases = dict.fromkeys(base_of(name) for name in present)
    known = [name for name in _METRIC_ORDER if name in bases]
    order = known + [name for name in bases if name not in _METRIC_ORDER]
    places = {name: place for place, name in enumerate(order)}
    over = {None: 0, POOLED: 1, MEAN: 2, BEST: 3}
    return sorted(present, key=lambda name: (places[base_of(name)], over[over_of(name)]))


def is_of_one_draw(item: Measurement) -> bool:
    """Return whether a number is of one of several draws, and not of the first."""
    return item.draws not in (None, POOLED, MEAN, BEST)


def value_of(measurement: Measurement | None) -> float:
    """Return the number, or NaN where it was not measured or has no value."""
    if measurement is None or measurement.value is None:
        return float("nan")
    return measurement.value


def shortened(name: str, limit: int) -> str:
    """Cut a name to `limit` characters: the middle goes, since versions differ at the end."""
    if len(name) <= limit:
        return name
    end = (limit - 1) // 2
    return f"{name[: limit - 1 - end]}…{name[len(name) - end :]}"


def _group(key: ProtocolKey, measurements: Sequence[Measurement]) -> ProtocolGroup:
    table_rows = tuple(rows_of(measurements))
    return ProtocolGroup(
        key=key,
        measurements=tuple(measurements),
        rows=table_rows,
        notes=tuple(footnotes(table_rows)),
    )


def _data_and_profile(measurement: Measurement) -> tuple[str, str, str, int, int, int, str, str]:
    return (
        measurement.dataset,
        measurement.dataset_sha256,
        measurement.split,
        measurement.height,
        measurement.width,
        measurement.num_images if measurement.until is None else 0,
        measurement.profile,
        measurement.protocol_sha256,
    )


def _network_of_jobs(measurements: Sequence[Measurement], name: str) -> dict[str, str | None]:
    """SHA-256 of the network that each job used; several in one job are joined."""
    used: dict[str, set[str]] = defaultdict(set)
    for measurement in measurements:
        used[measurement.job_sha256] |= {getattr(measurement, name)} - {None}
    joined = {job: "+".join(sorted(shas)) or None for job, shas in used.items()}
    choices: dict[Hashable, set[str | None]] = defaultdict(set)
    for measurement in measurements:
        choices[_data_and_profile(measurement)] |= {joined[measurement.job_sha256]} - {None}
    for measurement in measurements:
        only = choices[_data_and_profile(measurement)]
        if joined[measurement.job_sha256] is None and len(only) == 1:
            joined[measurement.job_sha256] = next(iter(only))
    return joined


def _row(measurements: Sequence[Measurement], title: str) -> Row:
    versions: dict[Hashable, list[Measurement]] = defaultdict(list)
    for measurement in sorted(measurements, key=lambda item: item.started):  # stable
        identity = (
            measurement.source_sha256,
            measurement.seed,
            measurement.train_steps,
            measurement.train_config_sha256,
        )
        # Taken out and put back, the version measured last ends up last.
        versions[identity] = [*versions.pop(identity, []), measurement]
    latest = list(versions.values())[-1]
    return Row(
        title=title,
        source=latest[0].source,
        kind=latest[0].source_kind,
        scores={item.metric: item for item in latest if item.class_name is None},
        class_iou={
            item.class_name: item
            for item in latest
            if item.class_name is not None and item.metric.endswith("iou")
        },
        num_superseded=len(versions) - 1,
    )


def _superseded_note(row: Row) -> str:
    shown = row.measurements[0]
    facts = [f"seed {shown.seed}" if shown.seed is not None else ""]
    facts += [f"{shown.train_steps} training steps" if shown.train_steps is not None else ""]
    facts += [f"SHA-256 {shown.source_sha256[:8]}" if shown.source_sha256 else ""]
    facts += [f"scored {shown.started}"]
    return (
        f"{row.title}: {row.num_superseded + 1} versions are recorded; shown is the one scored "
        f"last ({', '.join(fact for fact in facts if fact)})."
    )


def _reference_notes(table_rows: Sequence[Row]) -> list[str]:
    notes = _notes_of_draws(table_rows)
    for metric in metric_names(table_rows):
        items = [row.scores[metric] for row in table_rows if metric in row.scores]
        unequal = {
            (item.num_images, item.num_reference_images)
            for item in items
            if item.num_reference_images not in (None, item.num_images)
        }
        notes += [
            f"{items[0].label}: {made:,} synthesized images against {real:,} photos, expected "
            "equal numbers."
            for made, real in sorted(unequal)
        ]
        if len({item.reference_sha256 for item in items}) > 1:
            notes.append(
                f"{items[0].label}: not all rows were compared with the same reference statistics."
            )
    return notes


def _notes_of_draws(table_rows: Sequence[Row]) -> list[str]:
    """Say where rows of a table have several images a label map, but not equally many."""
    counts = sorted({item.num_draws or 1 for row in table_rows for item in row.measurements} - {1})
    if len(counts) < 2:
        return []
    return [
        f"Rows of {' and '.join(map(str, counts))} images of each label map: more of them move a "
        "pooled distance and the best of them, so nothing is tested between such rows there; the "
        "mean of draws is comparable."
    ]
