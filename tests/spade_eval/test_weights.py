# SPDX-License-Identifier: Apache-2.0
"""Weight files of other people's networks: found, checked, used, never fetched unasked."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval import engine, footnotes, scoring, weights
from spade_eval.engine import Benchmark, Request
from spade_eval.errors import UserError
from spade_eval.metrics.inception_network import InceptionV3
from spade_eval.records import sha256_of_file
from spade_eval.weights import INCEPTION, WEIGHT_FILES, WeightFile


@pytest.mark.parametrize("record", WEIGHT_FILES, ids=lambda record: record.file_name)
def test_a_record_is_whole(record: WeightFile) -> None:
    assert record.origin.startswith("https://")
    assert record.origin.endswith(record.file_name)
    assert record.sha256_prefix in record.file_name


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    assert not weights.is_installed(INCEPTION, tmp_path)
    with pytest.raises(UserError) as error:
        weights.installed(INCEPTION, tmp_path)
    for part in (INCEPTION.file_name, str(tmp_path), INCEPTION.origin, "--download-weights"):
        assert part in str(error.value)


def test_a_changed_file_is_an_error_and_not_an_absence(tmp_path: Path) -> None:
    (tmp_path / INCEPTION.file_name).write_bytes(b"not the weights")
    with pytest.raises(UserError, match=r"expected 6726825d\.\.\.; the download was cut off"):
        weights.is_installed(INCEPTION, tmp_path)


def test_a_failed_download_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError, match=r"no route to host.*put it at"):
        weights.download(INCEPTION, tmp_path)


def test_with_inception_weights_the_column_is_fid(
    benchmark_in: Callable[..., Benchmark], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled weights stand in for the real file: the path is real, the value means nothing."""
    folder = tmp_path / "weights"
    folder.mkdir()
    path = folder / INCEPTION.file_name
    random = torch.Generator().manual_seed(0)
    filled = {
        name: torch.rand(tensor.shape, generator=random) * 0.02 + 1e-3
        for name, tensor in InceptionV3().state_dict().items()
    }
    torch.save(filled, path)
    record = dataclasses.replace(INCEPTION, sha256_prefix=sha256_of_file(path)[:8])
    for module in (engine, scoring, footnotes):
        monkeypatch.setattr(module, "INCEPTION", record)
    benchmark = benchmark_in()
    benchmark.run(Request())
    found = {item.metric: item for item in benchmark.store if item.source == "oracle"}
    assert "fid" in found
    assert "fd_in_domain" not in found
    assert found["fid"].features == INCEPTION.title
    assert found["fid"].features_sha256 == sha256_of_file(path)
    assert not any("stands where FID would" in note for note in found["fid"].notes)
