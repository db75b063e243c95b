# SPDX-License-Identifier: Apache-2.0
"""Weight files of other people's networks: found, checked, used, never fetched unasked."""

import dataclasses
import http.server
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval import weights
from spade_eval.cli import main
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.files import locked
from spade_eval.metrics import fid_profiles
from spade_eval.metrics.density_coverage import density_coverage
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.inception_network import inception_v3
from spade_eval.metrics.kid import kernel_distance
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.metrics.precision_recall import precision_recall
from spade_eval.records import Measurement, sha256_of_file
from spade_eval.rows import Request
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.reference_statistics import make_statistics, photos_of
from spade_eval.weights import INCEPTION, WeightFile, downloads
from spade_eval.weights.table import all_weight_files


@pytest.mark.parametrize("record", all_weight_files().values(), ids=lambda r: r.file_name)
def test_a_record_is_whole(record: WeightFile) -> None:
    assert record.origin.startswith(("https://", "http://"))
    assert record.licence
    assert record.used_for
    assert all(0 < score < 1 for score in record.published.values())
    if in_name := re.search(r"-([0-9a-f]{8})\.pth", record.file_name):
        assert record.sha256_prefix.startswith(in_name[1])
    assert len(record.sha256_prefix) in (0, 8, 64)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    assert not weights.is_installed(INCEPTION, tmp_path)
    with pytest.raises(UserError) as error:
        weights.installed(INCEPTION, tmp_path)
    fetch = f"spade-eval weights fetch {INCEPTION.file_name}"
    for part in (str(tmp_path), INCEPTION.origin, fetch, "--weights-dir", "--fid-profile none"):
        assert part in str(error.value)
    with pytest.raises(UserError) as error:
        weights.installed(unpublished("epoch_*.pth", "https://example.org"), tmp_path)
    assert "weights fetch" not in str(error.value), "which could not fetch it"


def test_a_changed_file_is_an_error_and_not_an_absence(tmp_path: Path) -> None:
    (tmp_path / INCEPTION.file_name).write_bytes(b"not the weights")
    with pytest.raises(
        UserError, match=r"expected 6726825d0af5f729\.\.\.; the download was cut off"
    ):
        weights.is_installed(INCEPTION, tmp_path)


def unpublished(name: str, origin: str = "https://example.org/x.pth") -> WeightFile:
    return WeightFile(title="x", file_name=name, origin=origin, licence="MIT", used_for="x")


def test_an_unknown_hash_is_recorded_on_first_use(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "encoder_epoch_40.pth"
    path.write_bytes(b"first")
    record = unpublished("folder/encoder_epoch_*.pth")
    assert weights.installed(record, tmp_path) == path
    assert weights.installed(record, tmp_path) == path
    path.write_bytes(b"other")
    with pytest.raises(UserError, match="the file changed"):
        weights.installed(record, tmp_path)


class Server:
    """A file server on the loopback address that can break off and resume."""

    def __init__(self, content: bytes, breaks_at: int | None = None) -> None:
        self.ranges: list[str | None] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.ranges.append(wanted)
                start = int(wanted[len("bytes=") : -1]) if wanted else 0
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                stop = breaks_at if not wanted and breaks_at else len(content)
                self.wfile.write(content[start:stop])

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.httpd.server_port}/x.pth"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()


def test_a_download_resumes_where_it_was_cut_off(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    server = Server(content, breaks_at=3000)
    record = unpublished("x.pth", server.address)
    with pytest.raises(UserError, match="start again to resume"):
        downloads.fetch(record, tmp_path)
    assert not (tmp_path / "x.pth").exists()
    path = downloads.fetch(record, tmp_path)
    assert path.read_bytes() == content
    assert server.ranges == [None, "bytes=3000-"]
    downloads.fetch(record, tmp_path)
    assert len(server.ranges) == 2, "what is there is not fetched again"
    server.httpd.shutdown()


def test_a_download_with_another_hash_is_not_kept(tmp_path: Path) -> None:
    server = Server(b"something else")
    record = dataclasses.replace(unpublished("x.pth", server.address), sha256_prefix="00")
    with pytest.raises(UserError, match=r"expected 00\.\.\."):
        downloads.fetch(record, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth.lock"]
    server.httpd.shutdown()


def test_who_comes_second_waits_for_the_download_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(b"content")
    record = unpublished("x.pth", server.address)
    second = threading.Thread(target=downloads.fetch, args=(record, tmp_path))
    with locked(tmp_path / "x.pth.lock", wait=False):
        second.start()
        said, deadline = "", time.monotonic() + 60
        while "at work on x.pth" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().err
            time.sleep(0.01)
        (tmp_path / "x.pth").write_bytes(b"content")  # the first has fetched it
    second.join(60)
    assert said.startswith("waiting for process ")
    assert not server.ranges
    server.httpd.shutdown()


def test_a_folder_under_the_name_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / INCEPTION.file_name).mkdir()
    with pytest.raises(UserError, match="a folder, a pipe or a link that leads nowhere was found"):
        weights.is_installed(INCEPTION, tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{" * 100_000])
def test_damaged_memories_of_hashes_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.pth").write_bytes(b"content")
    (tmp_path / weights.RECORDED).write_text(text)
    with pytest.raises(UserError, match=f"{weights.RECORDED} is not the list of weights in use"):
        weights.installed(unpublished("x.pth"), tmp_path)


def test_a_file_without_an_address_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no address of its own"):
        downloads.fetch(unpublished("encoder_epoch_*.pth"), tmp_path)


@pytest.mark.parametrize("command", ["list", "check"])
def test_the_command_line_shows_every_file(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["weights", command, "--weights-dir", str(tmp_path)])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert all(name in out for name in all_weight_files())
    (tmp_path / INCEPTION.file_name).write_bytes(b"not the weights")
    with pytest.raises(SystemExit) as ended:
        main(["weights", "check", "inception", "--weights-dir", str(tmp_path)])
    assert ended.value.code == 1


CPU = torch.device("cpu")


@pytest.fixture
def filled_inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Filled weights stand in for the real file: the path is real, the values mean nothing."""
    folder = tmp_path / "weights"
    folder.mkdir()
    path = folder / INCEPTION.file_name
    random = torch.Generator().manual_seed(0)
    filled = {
        name: torch.rand(tensor.shape, generator=random) * 0.02 + 1e-3
        for name, tensor in inception_v3().state_dict().items()
    }
    torch.save(filled, path)
    record = dataclasses.replace(INCEPTION, sha256_prefix=sha256_of_file(path)[:8])
    for name in ("pytorch-fid", "clean-fid", "oasis-train"):
        profile = dataclasses.replace(FID_PROFILES[name], weights=record)
        monkeypatch.setitem(FID_PROFILES, name, profile)
    return path


def distances(benchmark: Benchmark, source: str) -> dict[str, Measurement]:
    return {
        item.metric: item
        for item in benchmark.store
        if item.source == source and item.metric in ("fid", "fd_in_domain")
    }


def test_with_inception_weights_the_column_is_fid(
    benchmark_in: Callable[..., Benchmark], filled_inception: Path
) -> None:
    benchmark = benchmark_in()
    benchmark.run(Request())
    found = distances(benchmark, "oracle")
    assert list(found) == ["fid"]
    assert found["fid"].features == INCEPTION.title
    assert found["fid"].features_sha256 == sha256_of_file(filled_inception)
    assert found["fid"].fid_profile == "pytorch-fid"
    assert found["fid"].num_reference_images == 4
    recorded = {item.metric: item.value for item in benchmark.store if item.source == "oracle"}
    # Four images are too few for neighbourhoods: recorded, without a value.
    features_only = ("kid", "precision", "recall", "density", "coverage")
    assert {recorded[name] for name in features_only} == {None}
    assert not any("stands where FID would" in note for note in found["fid"].notes)
    assert any("biased upward" in note for note in found["fid"].notes)


def test_stored_statistics_give_the_same_fid_and_others_are_refused(
    benchmark_in: Callable[..., Benchmark], filled_inception: Path, tmp_path: Path
) -> None:
    computed = benchmark_in("computed")
    computed.run(Request())
    dataset = computed.dataset
    made = make_statistics(photos_of(dataset), "pytorch-fid", filled_inception.parent, CPU)
    made.save(tmp_path / "val.npz")
    stored = benchmark_in("stored")
    stored.place = dataclasses.replace(stored.place, reference=tmp_path / "val.npz")
    stored.run(Request())
    expected, found = (distances(run, "oracle")["fid"].value for run in (computed, stored))
    # Batches of another size go through the network: float32 rounding of its features.
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-9)
    made = make_statistics(photos_of(dataset, 3), "pytorch-fid", filled_inception.parent, CPU)
    made.save(tmp_path / "three.npz")
    other = benchmark_in("other")
    other.place = dataclasses.replace(other.place, reference=tmp_path / "three.npz")
    with pytest.raises(UserError, match="holds other reference statistics"):
        other.run(Request())
    assert "segmenter" not in vars(other.networks), "refused after work"


def test_stored_statistics_without_an_fid_are_refused_before_a_segmenter_is_there(
    benchmark_in: Callable[..., Benchmark], tmp_path: Path
) -> None:
    benchmark = benchmark_in()
    benchmark.place = dataclasses.replace(benchmark.place, reference=tmp_path / "val.npz")
    with pytest.raises(UserError, match="holds statistics for FID, but this run has none"):
        benchmark.run(Request())
    assert "segmenter" not in vars(benchmark.networks), "refused after work"


class FirstFeatures:
    """Of 2048 features a few: SciPy's root of a singular matrix of all takes seconds."""

    def __init__(self, moments: FeatureMoments) -> None:
        self._mean, self._covariance = moments.mean()[:16], moments.covariance()[:16, :16]

    def mean(self) -> torch.Tensor:
        return self._mean

    def covariance(self) -> torch.Tensor:
        return self._covariance


def test_a_profile_of_floats_scores_checkpoints_and_refuses_folders(
    benchmark_in: Callable[..., Benchmark], filled_inception: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distance = fid_profiles.float32_distance
    monkeypatch.setattr(
        fid_profiles, "float32_distance",
        lambda *moments: distance(*map(FirstFeatures, moments)),  # type: ignore[arg-type]
    )  # fmt: skip
    benchmark = benchmark_in()
    benchmark.protocol = dataclasses.replace(benchmark.protocol, fid_profiles=("oasis-train",))
    benchmark.run(Request(("spade",)))
    assert distances(benchmark, "spade")["fid"].fid_profile == "oasis-train"
    folder = benchmark.place.run_folder / "images" / "spade"
    with pytest.raises(UserError, match="choose another --fid-profile"):
        benchmark.run(Request(("spade",), images={"mine": folder}))


def test_feature_metrics_are_those_of_their_own_functions() -> None:
    random = torch.Generator().manual_seed(3)
    sets = [FeatureSet.of(torch.randn(30, 8, generator=random) + 0.3 * side) for side in range(2)]
    assert all(features.features is not None for features in sets)
    real, fake = (features.features for features in sets)
    profile = FID_PROFILES["pytorch-fid"]
    distance = Distance("fid", "x", "y", lambda images: images, "pytorch-fid", profile)  # type: ignore[arg-type]
    found = distance.compare(*sets)
    expected_columns = ("fid", "kid", "precision", "recall", "density", "coverage")
    assert tuple(found) == expected_columns
    assert found["fid"] == frechet_distance(sets[0].moments, sets[1].moments)
    assert found["kid"] == kernel_distance(real, fake).mean
    expected = {**precision_recall(real, fake), **density_coverage(real, fake)}
    assert {name: found[name] for name in expected} == expected
    assert all(value >= 0 for value in expected.values())


def test_kept_features_come_back_bitwise(tmp_path: Path) -> None:
    features = FeatureSet.of(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))
    features.save(tmp_path / "cache" / "features.npz")
    loaded = FeatureSet.load(tmp_path / "cache" / "features.npz")
    assert loaded.features is not None
    assert features.features is not None
    assert torch.equal(loaded.features, features.features)
    assert torch.equal(loaded.moments.mean(), features.moments.mean())
