# SPDX-License-Identifier: Apache-2.0
"""The record store keeps whole jobs or nothing, whatever interrupts it."""

import dataclasses
import errno
import json
import math
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from spade_eval.errors import UserError
from spade_eval.records import (
    Measurement,
    RecordStore,
    provenance,
    sha256_of_file,
    sha256_of_json,
)


def measurement(**changes: Any) -> Measurement:
    fields: dict[str, Any] = {
        "metric": "miou",
        "value": 1 / 3,
        "label": "mIoU",
        "unit": "%",
        "larger_is_better": True,
        "source": "spade",
        "source_kind": "generator",
        "source_sha256": "a" * 64,
        "dataset": "scenes",
        "dataset_sha256": "d" * 64,
        "split": "val",
        "height": 64,
        "width": 128,
        "num_images": 8,
        "profile": "in-domain",
        "protocol_version": 1,
        "protocol_sha256": "b" * 64,
        "notes": ("first note", "second note"),
        "job_sha256": "job",
        "job_size": 1,
        "device": "cpu",
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 0.1,
        "commit": None,
        "commit_clean": None,
        "versions": {"numpy": "2.0"},
    }
    return Measurement(**{**fields, **changes})


def job(name: str, size: int = 3) -> list[Measurement]:
    return [
        measurement(job_sha256=name, job_size=size, metric=f"metric-{index}", source=name)
        for index in range(size)
    ]


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path / "run" / "records.jsonl")


def test_round_trip_keeps_every_bit(store: RecordStore) -> None:
    written = [
        measurement(value=0.1 + 0.2, metric="a", source="Ünïcode\u2028", job_size=3),
        measurement(value=None, metric="iou", class_name="sky", source="Ünïcode\u2028", job_size=3),
        measurement(value=math.nextafter(1.0, 0.0), metric="b", source="Ünïcode\u2028", job_size=3),
    ]
    store.append(written)
    assert list(store) == written


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused(store: RecordStore, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.append([measurement(value=value)])
    assert list(store) == []


def test_missing_file_is_an_empty_store(store: RecordStore) -> None:
    assert list(store) == []


def test_torn_last_line_is_not_read_and_then_overwritten(store: RecordStore) -> None:
    store.append(job("first"))
    whole = store.path.read_bytes()
    store.path.write_bytes(whole + job("second")[0].to_json().encode()[:40])
    assert list(store) == job("first")
    store.append(job("second"))
    assert list(store) == job("first") + job("second")
    assert store.path.read_bytes().startswith(whole)


@pytest.mark.parametrize("num_lines", [1, 2])
def test_incomplete_job_is_ignored_until_it_is_appended_again(
    store: RecordStore, num_lines: int
) -> None:
    store.append(job("cut")[:num_lines])
    assert list(store) == []
    store.append(job("cut"))
    # Measurements come once each, although some lines now stand twice in the file.
    assert list(store) == job("cut")


def test_a_job_cut_off_twice_is_still_incomplete(store: RecordStore) -> None:
    store.append(job("cut")[:2])
    store.append(job("cut")[:2])
    assert list(store) == []


def test_duplicate_job_counts_once(store: RecordStore) -> None:
    store.append(job("same"))
    store.append(job("other"))
    store.append(job("same"))
    assert list(store) == job("same") + job("other")


def test_full_disk_leaves_the_file_as_it_was(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(job("kept"))
    before = store.path.read_bytes()
    real_write = os.write
    calls = []

    def write_half_then_fail(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_half_then_fail)
        with pytest.raises(UserError, match=r"records\.jsonl.*No space left") as raised:
            store.append(job("lost"))
    assert len(calls) == 2
    assert "\n" not in str(raised.value)
    assert store.path.read_bytes() == before
    store.append(job("lost"))
    assert list(store) == job("kept") + job("lost")


@pytest.mark.parametrize(
    "line", ["{}", "[1]", "not json", '{"schema": 999}', '{"schema": 1, "notes": [], "x": 1}']
)
def test_line_of_another_form_names_file_and_line(store: RecordStore, line: str) -> None:
    store.append(job("first"))
    with store.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"records\.jsonl, line 4: ") as raised:
        list(store)
    assert "\n" not in str(raised.value)


def changed_line(**changes: Any) -> str:
    """A sound line with other values, whatever they are."""
    return json.dumps({**json.loads(measurement().to_json()), **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": 3}, "metric is 3, expected str"),
        ({"value": "0.5"}, r"value is '0.5', expected float \| None"),
        ({"value": [0.5]}, r"value is \[0.5\], expected"),
        ({"value": True}, "value is True, expected"),
        ({"value": math.nan}, "value is nan, expected"),
        ({"value": -math.inf}, "value is -inf, expected"),
        ({"value": 10**400}, "a whole number of [0-9]+ digits, expected"),
        ({"value": -5.0, "metric": "fd_in_domain", "unit": ""}, "value is -5.0, expected at least"),
        ({"larger_is_better": 1}, "larger_is_better is 1, expected bool"),
        ({"job_sha256": ["a"]}, "job_sha256 is "),
        ({"job_size": "1"}, "job_size is '1', expected int"),
        ({"job_size": 0}, "job_size is 0, expected at least 1"),
        ({"num_images": [8]}, r"num_images is \[8\], expected int"),
        ({"num_images": 8.0}, r"num_images is 8.0, expected int"),
        ({"seed": 10**30}, "a whole number of 31 digits, expected"),
        ({"started": []}, r"started is \[\], expected str"),
        ({"versions": []}, r"versions is \[\], expected"),
        ({"versions": {"numpy": 2}}, "versions is "),
        ({"notes": "one"}, "notes is 'one', expected"),
        ({"notes": ["half \ud800"]}, r"notes is \['half \\ud800'\], expected"),
        ({"train_settings": {"beta": math.inf}}, "train_settings is "),
        ({"train_settings": {"a": [{"\udfff": 1}]}}, "train_settings is "),
        ({"source": "x" * 300}, "source has 300 bytes, expected at most 200"),
        ({"dataset": "x" * 20_000}, "dataset has 20000 letters, expected at most 1000"),
        ({"notes": ["x", "y" * 20_000]}, "notes are 2 of up to 20000 letters"),
        ({"new\nfield": 1}, "unknown field 'new.*field'"),
    ],
)
def test_a_value_of_another_type_is_refused(
    store: RecordStore, changes: dict[str, Any], said: str
) -> None:
    store.append(job("first"))
    with store.path.open("a") as file:
        file.write(changed_line(**changes) + "\n")
    with pytest.raises(UserError, match=rf"records\.jsonl, line 4: .*{said}") as raised:
        list(store)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value).removeprefix(str(store.path))) < 400
    str(raised.value).encode()


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("form", ["%s", '{"schema": 1, "train_settings": %s}'])
def test_nesting_without_end_is_refused(store: RecordStore, depth: int, form: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(form % ("[" * depth + "]" * depth) + "\n")
    with pytest.raises(UserError, match=r"records\.jsonl, line 1: ") as raised:
        list(store)
    assert "\n" not in str(raised.value)


def test_a_distance_of_float32_may_round_below_zero(store: RecordStore) -> None:
    written = [measurement(metric="fid", unit="", value=-2.7e-9, fid_profile="oasis-train")]
    store.append(written)
    assert list(store) == written


def test_what_runs_record_is_read(store: RecordStore) -> None:
    """KID below 0, whole numbers where a float stands, and settings of any shape."""
    settings = {"betas": [0.0, 0.9], "decay": None, "loss": {"vgg": 10, "hinge": True}}
    written = [measurement(metric="kid", value=-1e-4, seconds=3, train_settings=settings, seed=-1)]
    store.append(written)
    assert list(store) == written


def test_a_job_never_has_more_measurements_than_it_states(store: RecordStore) -> None:
    store.append(job("whole"))
    lowered = [dataclasses.replace(item, job_size=2) for item in job("lowered")]
    store.append(lowered)
    with pytest.raises(UserError, match=r"line 4: .*job_size is 2 in a job of 3 measurements"):
        list(store)


def test_a_job_states_one_size(store: RecordStore) -> None:
    first, *others = job("mixed")
    store.append([first, *(dataclasses.replace(item, job_size=4) for item in others)])
    with pytest.raises(UserError, match=r"line 2: .*job_size is 4 in a job of 3 measurements"):
        list(store)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("class_name", "a" * 1001, "class_name has 1001 letters"),
        ("segmenter", "a" * 9000, "segmenter has 9000 letters"),
        ("notes", ("a" * 4001,), "notes are 1 of up to 4001 letters"),
        ("notes", ("a",) * 101, "notes are 101 of up to 1 letters"),
    ],
)
def test_texts_that_no_table_can_show_are_refused(
    store: RecordStore, field: str, value: object, said: str
) -> None:
    store.append([measurement(**{field: value})])
    with pytest.raises(UserError, match=f"line 1: .*{said}"):
        list(store)


def test_a_job_is_of_one_source(store: RecordStore) -> None:
    """The number of one row given to another is found where it is read."""
    first, second, third = job("one")
    store.append([first, dataclasses.replace(second, source="two"), third])
    with pytest.raises(UserError, match=r"line 2: .*source is 'two' in a job of 'one'"):
        list(store)


def test_the_last_whole_attempt_of_a_job_counts(store: RecordStore) -> None:
    """A row that was scored with fewer metrics, and again with all of them."""
    fewer = [dataclasses.replace(item, job_size=2) for item in job("again")[:2]]
    started = "2030-01-01T00:00:00+00:00"
    later = [dataclasses.replace(item, started=started) for item in job("again")]
    store.append(fewer)
    assert list(store) == fewer
    store.append(later[:1])  # cut off
    assert list(store) == fewer
    store.append(later)
    assert list(store) == later


def _append_jobs(path: Path, worker: int) -> None:
    for number in range(20):
        RecordStore(path).append(job(f"{worker}-{number}"))


def test_two_processes_append_without_loss(store: RecordStore) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_jobs, args=(store.path, index)) for index in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    names = {f"{worker}-{number}" for worker in (0, 1) for number in range(20)}
    assert {item.source for item in store} == names
    assert len(list(store)) == 3 * len(names)


def test_sha256_of_json_ignores_key_order_but_not_values() -> None:
    assert sha256_of_json({"a": 1, "b": [1.5, None]}) == sha256_of_json({"b": [1.5, None], "a": 1})
    assert sha256_of_json({"a": 1}) != sha256_of_json({"a": 2})


def test_sha256_of_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    # The first test vector of FIPS 180-2.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_file(tmp_path / "file") == expected


def test_provenance_fills_measurement_fields() -> None:
    found = provenance()
    assert measurement(**found).versions["python"]
    assert (found["commit"] is None) == (found["commit_clean"] is None)
