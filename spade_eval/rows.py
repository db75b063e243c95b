# SPDX-License-Identifier: Apache-2.0
"""The rows of a run: the references that stand beside every method, and what the user asks for."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spade_eval.baselines import SHIPPED, shipped
from spade_eval.batches import layout_for
from spade_eval.config import TrainConfig
from spade_eval.datasets.base import Dataset, HasOracle, require_labelled
from spade_eval.datasets.numbered_images import lines
from spade_eval.errors import UserError, lookup
from spade_eval.models.choices import NoisePer, Sampling, StyleInput, TestMode
from spade_eval.models.systems.presets import GENERATORS, preset_of
from spade_eval.models.systems.scaling import network_config
from spade_eval.models.training.distributed import World
from spade_eval.progress import tell
from spade_eval.scoring.networks import ScoringNetworks
from spade_eval.scoring.recording import segmenter_of_training
from spade_eval.scoring.stopping import order_of
from spade_eval.sources.checkpoints import ReleasedOptions, open_generator
from spade_eval.sources.draws import num_draws
from spade_eval.sources.given import GivenSource, Opens, Split
from spade_eval.sources.image_files import LABEL_MAP_FOLDER
from spade_eval.sources.jpeg_photos import JPEGPhotos
from spade_eval.sources.red_team import cheat_classes
from spade_eval.sources.red_team.base import Cheat, Loot
from spade_eval.sources.sampling import is_diffusion, sampled_as
from spade_eval.sources.source import (
    Grey,
    LabelColours,
    Oracle,
    RealPhotos,
    Source,
    SynthesizedFolder,
    require_floats,
)
from spade_eval.sources.stated import with_known
from spade_eval.sources.style_photos import chosen_style
from spade_eval.sources.synthesis import SynthesizedByCheckpoint


@dataclass(frozen=True)
class Row:
    """A planned row of the table. `identity` decides whether it is recorded already."""

    name: str
    identity: Mapping[str, Any]
    open: Callable[[], Source]
    keep_images: bool = False
    stated: Mapping[str, Any] = field(default_factory=dict)  # fields of its records
    num_draws: int = 1  # images of each label map; of a model that is still to be trained, at most
    # The file of the network that translates photos back into label maps, where there is one.
    reverse: Callable[[], Path] | None = None


@dataclass(frozen=True)
class Request:
    """The rows a user asks for besides `real`, the floors and, where there is one, `oracle`."""

    models: tuple[str, ...] = ()
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    images: Mapping[str, Path] = field(default_factory=dict)
    released: ReleasedOptions = field(default_factory=ReleasedOptions)
    # What generators are given besides label maps, by row: stated of `images`, else asked for.
    style_inputs: Mapping[str, StyleInput] = field(default_factory=dict)
    noise_per: NoisePer = "image"  # of the checkpoints
    test_mode: TestMode | None = None  # of the checkpoints; None: their own
    # Of the checkpoints, and of those of the models that are diffusion models.
    sampling: Sampling = field(default_factory=Sampling)
    red_team: bool = False  # the rows of CHEATS as well
    shipped: tuple[str, ...] = ()  # names of baselines, none of which is trained
    # Images and generators from outside the suite, by row.
    given: Mapping[str, Opens] = field(default_factory=dict)
    # Facts of `images`, `checkpoints` and `given` that their makers state, by row.
    stated: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRows:
    """Rows that the networks of a run score; models are trained when their row is opened."""

    networks: ScoringNetworks
    train: Callable[[str], Path]  # a model's checkpoint
    train_config: Callable[[str], TrainConfig]

    def of(self, request: Request) -> list[Row]:
        """Return every row of a run; files that a row needs are read, so that errors come first.

        Before a segmenter is trained, too, which `networks` does where one is missing.
        """
        self._require_comparable()
        rows = [Row("real", {"kind": "real"}, RealPhotos, keep_images=True)]
        dataset = self.networks.dataset
        if isinstance(dataset, HasOracle):
            rows.append(
                Row("oracle", {"kind": "oracle"}, lambda: Oracle(dataset), keep_images=True)
            )
        rows += [
            Row("grey", {"kind": "grey"}, Grey),
            Row(
                "label colours",
                {"kind": "label colours"},
                lambda: LabelColours(dataset),
                # They then show what generators were given.
                keep_images=self.networks.protocol.given_maps != "whole",
            ),
        ]
        given = [*self._folder_rows(request), *self._checkpoint_rows(request)]
        given += self._given_rows(request)
        rows += self._jpeg_rows(given)
        styles = request.style_inputs
        rows += self._shipped_rows(request)
        sampling = request.sampling
        models = (self._model_row(model, styles.get(model), sampling) for model in request.models)
        rows += [*models, *given]
        rows += self._cheat_rows() if request.red_team else []
        names = [row.name for row in rows]
        for name in names:
            if names.count(name) > 1 or name == LABEL_MAP_FOLDER:
                raise UserError(
                    f"the row name {name!r} is taken; give --checkpoint and --images other names"
                )
        require_labelled(dataset, self.networks.count)
        require_draws(rows, self.networks.protocol.until, self.networks.config.best_draw)
        return rows

    def _require_comparable(self) -> None:
        """Refuse a sample alone where distances between sets are asked for."""
        count = self.networks.count
        if count < 2 and self.networks.protocol.fid_profiles:
            more = "give --limit 2 or more"
            if len(self.networks.dataset) < 2:
                more = "the split holds no more: add some, or give --fid-profile none"
            raise UserError(
                f"a distance compares sets of at least 2 images, but {count} is scored; {more}"
            )

    def _folder_rows(self, request: Request) -> Iterator[Row]:
        for name, directory in request.images.items():
            style_input = request.style_inputs.get(name)
            source = SynthesizedFolder(
                name, directory, self.networks.dataset, self.networks.count, style_input
            )
            if source.folder.numbering and self.networks.place.world.is_first:
                told = [f"{name}: files are called by SIMS's numbers and taken for"]
                tell("\n".join([*told, *lines(source.folder.numbering)]))
            if not all(profile.eight_bit for profile in self.networks.profiles.values()):
                require_floats(source)  # refused now, not after other rows were scored
            yield self._given_row(name, source, request)

    def _jpeg_rows(self, given: Sequence[Row]) -> Iterator[Row]:
        """Plan the real photos through the JPEG of each row that comes in such files."""
        opened = [getattr(row.open(), "jpeg", None) for row in given]
        for encoding in dict.fromkeys(filter(None, opened)):
            source = JPEGPhotos(encoding)
            if self.networks.place.world.is_first:
                names = [row.name for row, own in zip(given, opened, strict=True)
                         if own == encoding]  # fmt: skip
                tell(
                    f"warning: {', '.join(names)}: JPEG files ({encoding.described}); the real "
                    f"photos are scored so as well, as {source.name}: what is lost there is no "
                    "generator's fault"
                )
            yield replace(_row_of(source.name, source), keep_images=False)

    def _given_rows(self, request: Request) -> Iterator[Row]:
        for name, opened in request.given.items():
            source = opened(self._split(name))
            if not all(profile.eight_bit for profile in self.networks.profiles.values()):
                require_floats(source)
            yield self._given_row(name, source, request)

    def _given_row(self, name: str, source: GivenSource, request: Request) -> Row:
        """Plan a row whose files have been read already; what is stated of it is part of it."""
        known = {**segmenter_of_training(source, self.networks), **source.provenance}
        stated = with_known(request.stated.get(name, {}), known, name)
        identity = {**source.identity, **({"stated": stated} if stated else {})}
        return replace(_row_of(name, source), identity=identity, stated=stated)

    def _split(self, name: str) -> Split:
        networks = self.networks
        order = order_of(networks.protocol, networks.count)
        return Split(
            name=name,
            dataset=networks.dataset,
            count=networks.count,
            first=order[: networks.protocol.batch_size],
            device=networks.place.device,
            seed=networks.config.seed,
            protocol=networks.protocol,
            training=networks.train_split,
            world=networks.place.world,
            draws=networks.config.draws,
        )

    def _cheat_rows(self) -> Iterator[Row]:
        loot = self._loot()
        for kind in cheat_classes():
            cheat = kind(loot)
            opened = functools.partial(_prepared, cheat, self.networks.place.world)
            yield Row(cheat.name, cheat.identity, opened, keep_images=True)

    def _loot(self) -> Loot:
        networks = self.networks
        segmenter = networks.segmenter
        return Loot(
            dataset=networks.dataset,
            count=networks.count,
            train_split=networks.train_split,
            segmenter=segmenter.network,
            segmenter_sha256=segmenter.sha256,
            classes=segmenter.labels.classes,
            budget=networks.config.budget,
            seed=networks.config.seed,
            folder=networks.place.run_folder / "checkpoints",
            device=networks.place.device,
        )

    def _checkpoint_rows(self, request: Request) -> Iterator[Row]:
        for name, file in request.checkpoints.items():
            style = request.style_inputs.get(name)
            source = self._synthesized(
                name,
                file,
                "checkpoint",
                request.released,
                request.noise_per,
                request.test_mode,
                style,
                request.sampling,
            )
            yield self._given_row(name, source, request)

    def _shipped_rows(self, request: Request) -> Iterator[Row]:
        known = shipped() if request.shipped else {}
        for name in request.shipped:
            baseline = lookup(known, name, "baseline that ships")
            source = self._synthesized(baseline.row, baseline.path(), SHIPPED)
            yield _row_of(baseline.row, source)

    def _model_row(self, model: str, style: StyleInput | None, sampling: Sampling) -> Row:
        identity: dict[str, Any] = {"train_config": self.train_config(model).sha256}
        if style is not None:
            require_style(model, style, self.networks.dataset)
            identity["style_input"] = style
        if not is_diffusion(preset_of(model).network):
            sampling = Sampling()
        require_sampling(model, sampling, self.networks.dataset)
        identity |= sampling.identity
        if self.networks.config.draws > 1:
            identity["draws"] = self.networks.config.draws
        if self.networks.config.synthesis_precision != "float32":
            identity["precision"] = self.networks.config.synthesis_precision
        return Row(
            model,
            identity,
            lambda: self._synthesized(
                model, self.train(model), "generator", style=style, sampling=sampling
            ),
            keep_images=True,
            num_draws=self.networks.config.draws,
            reverse=self._reverse(model),
        )

    def _reverse(self, model: str) -> Callable[[], Path] | None:
        network = GENERATORS[model].system.goes_back
        if network is None:
            return None
        return lambda: self.train(model).with_name(f"{network}.safetensors")

    def _synthesized(
        self,
        name: str,
        file: Path,
        kind: str,
        released: ReleasedOptions | None = None,
        noise_per: NoisePer = "image",
        test_mode: TestMode | None = None,
        style: StyleInput | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    ) -> SynthesizedByCheckpoint:
        networks = self.networks
        source = SynthesizedByCheckpoint(
            name,
            file,
            networks.dataset,
            networks.protocol,
            networks.place.device,
            kind,
            released=released,
            seed=networks.config.seed,
            precision=networks.config.synthesis_precision,
            noise_per=noise_per,
            test_mode=test_mode,
            style_input=style,
            sampling=sampling,
            training=networks.train_split,
            shown=networks.place.world.is_first,
            draws=networks.config.draws,
        )
        source.require_styles(networks.dataset, networks.count)
        return source


def require_style(model: str, style: StyleInput, dataset: Dataset) -> None:
    """Refuse a style that the generator of a model cannot be given; nothing is trained for that."""
    network = _without_weights(model, dataset)
    chosen_style(model, model, style, preset_of(model).system.style_inputs(network))


def require_sampling(model: str, sampling: Sampling, dataset: Dataset) -> None:
    """Refuse numbers with which a model cannot sample; nothing is trained for that."""
    if sampling.flags:
        sampled_as(model, _without_weights(model, dataset), sampling)


def _without_weights(model: str, dataset: Dataset) -> nn.Module:
    preset = preset_of(model)
    layout = layout_for(preset.system, dataset)
    with torch.device("meta"):
        return preset.network(network_config(preset, layout.num_labels, dataset.size))


def require_given(request: Request, dataset: Dataset, count: int) -> None:
    """Refuse folders and checkpoints that do not fit the data; no network that scores is needed."""
    for name, directory in request.images.items():
        SynthesizedFolder(name, directory, dataset, count, request.style_inputs.get(name))
    for file in request.checkpoints.values():
        open_generator(file, dataset, request.released)


def _prepared(cheat: Cheat, world: World) -> Source:
    world.on_first(cheat.prepare)
    return cheat


def _row_of(name: str, source: GivenSource) -> Row:
    """Return the row of a source whose files have been read already."""
    return Row(name, source.identity, lambda: source, keep_images=True, num_draws=num_draws(source))


def require_draws(rows: Sequence[Row], until: str, best: bool) -> None:
    """Refuse several images of a label map where they mean nothing, and the best of one."""
    several = [row for row in rows if row.num_draws > 1]
    if best and not several:
        raise UserError(
            "--best-draw: no row has several images of a label map, of which there would be a best "
            "one; give --draws K, or a folder of such images"
        )
    if until and several:
        raise UserError(
            f"--until {until} with the {several[0].num_draws} images of each label map of "
            f"{several[0].name}: each draw would end at another image; leave --until out"
        )
