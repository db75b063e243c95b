# SPDX-License-Identifier: Apache-2.0
"""What `spade-eval bench gpu` measures on a machine that is there for minutes, in its order.

Checks come first, then what users wait for in the plain form and in the one that the suite takes,
then other number formats and orders in memory, then single layers, then what takes long to prepare.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spade_eval.bench.campaign import Measurement
from spade_eval.bench.checks import check_forms, check_gradients, check_reference
from spade_eval.bench.distance import time_distance
from spade_eval.bench.generator import Work, time_generator
from spade_eval.bench.layers import time_layers
from spade_eval.bench.maps import BenchMaps, open_maps
from spade_eval.bench.scoring_networks import (
    ScoringNetwork,
    scoring_network,
    time_scoring_network,
)
from spade_eval.bench.timing import Row, copy_rate, matrix_product_rate
from spade_eval.bench.variants import DENSE, PRECISIONS, Variant
from spade_eval.models.labels import Size
from spade_eval.segmenters import SEGMENTERS

FAST = Variant(fast=True)
_MOST_MAPS = 16
_GRAPHS = "CUDA graphs"
# By name on the page: what is compared with the plain form in float32.
_OTHERS: dict[str, tuple[Variant, ...]] = {
    "TensorFloat-32": (Variant(fast=False, precision="tf32"), Variant(fast=True, precision="tf32")),
    "bf16": (Variant(fast=False, precision="bf16"), Variant(fast=True, precision="bf16")),
    "channels last": (
        Variant(fast=False, channels_last=True),
        Variant(fast=False, channels_last=True, precision="bf16"),
    ),
    _GRAPHS: (Variant(fast=False, graph=True),),
}
_COMPILED = (Variant(fast=False, compiled=True), Variant(fast=True, compiled=True))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How large everything is."""

    size: Size = (256, 256)
    batch: int = 4
    further: tuple[tuple[Size, int], ...] = (
        ((512, 1024), 1), ((256, 256), 1), ((256, 256), 16), ((256, 256), 32),
    )  # fmt: skip
    classes: int = 182
    width: float = 1.0
    training_batch: int = 8
    checked: tuple[str, ...] = (
        "spade", "pix2pixhdpp", "concat", "clade", "oasis", "sean", "sdm",
    )  # fmt: skip
    check_size: Size = (64, 64)
    check_width: float = 0.25
    further_models: tuple[str, ...] = ("pix2pixhdpp", "clade", "oasis", "sean")
    layered: tuple[str, ...] = ("spade", "concat", "pix2pixhdpp")
    layer_batches: tuple[int, ...] = (4, 1, 16)
    segmenters: tuple[str, ...] = tuple(SEGMENTERS)
    inceptions: tuple[str, ...] = ("pytorch-fid", "legacy-2019a")
    scored_batch: int = 4
    features: tuple[int, int] = (2048, 5000)
    repeats: int = 7
    warm_up: int = 2
    side: int | None = None  # of the matrices whose product is the ceiling
    copied: int = 2**30  # bytes
    compile: bool = True
    reference: bool = True


SETTINGS: dict[str, Setting] = {
    "full": Setting(),
    # To try the command where there is no GPU: everything once, nothing of it is worth reading.
    "tiny": Setting(
        size=(32, 32), batch=2, further=(((32, 64), 1),), classes=14, width=1 / 16,
        training_batch=2, checked=("spade",), check_size=(32, 32), check_width=1 / 16,
        further_models=("clade",), layered=("spade", "concat"), layer_batches=(2,),
        segmenters=("drn-d-105",), inceptions=(), scored_batch=1, features=(16, 40), repeats=1,
        warm_up=0, side=64, copied=2**20, compile=False, reference=False,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the measurements share: where they run, on which maps, what the machine can do."""

    setting: Setting
    device: torch.device
    weights_dir: Path
    folder: Path
    checkout: Path  # in which the tests may lie
    open_maps: Callable[[Size], BenchMaps]
    left: Callable[[], float]  # seconds
    one_pass: Callable[[], Iterable[Row]]  # from label map to scores, as `bench score`
    ceilings: dict[str, float] = field(default_factory=dict)  # operations a second, by precision
    opened: dict[str, ScoringNetwork] = field(default_factory=dict)

    def planned(self) -> list[Measurement]:
        """Return all measurements, the most important first."""
        return [
            Measurement(
                bench="ceiling", section="Ceilings of the machine", seconds=5,
                title="matrix products and copies", rows=self._ceilings,
            ),
            *self._checks(slow=False),
            self._generator("plain and fast form, float32", (FAST,), 10),
            *(self._network(name, "plain and fast form, float32", (FAST,), 10)
              for name in self._networks),
            self._training("plain and fast form, float32", (FAST,), 40),
            *(self._generator(name, others, 10) for name, others in _OTHERS.items()),
            *self._layers(),
            *(self._network(network, name, others, 10)
              for name, others in _OTHERS.items() for network in self._networks
              if name != _GRAPHS or network not in self.setting.segmenters),
            *(self._training(name, others, 40)
              for name, others in _OTHERS.items() if name != _GRAPHS),
            *self._scores(),
            *(self._generator(
                f"batch {batch} at {size[0]} x {size[1]}", (FAST,), 12, size=size, batch=batch
              ) for size, batch in self.setting.further),
            *self._compiled(),
            *self._checks(slow=True),
            *(self._generator("plain and fast form, float32", (FAST,), 12, model=model)
              for model in self.setting.further_models),
        ]  # fmt: skip

    def _ceilings(self) -> Iterator[Row]:
        on_cuda = self.device.type == "cuda"
        for precision in ("float32", *(PRECISIONS if on_cuda else ("bf16",))):
            rate = matrix_product_rate(self.device, self.setting.side, precision)
            self.ceilings[precision] = rate
            yield {"what": f"matrix product, {precision}", "rate": rate, "unit": "operations/s"}
        rate = copy_rate(self.device, self.setting.copied)
        yield {"what": "copy, read and written", "rate": rate, "unit": "bytes/s"}

    def _checks(self, *, slow: bool) -> list[Measurement]:
        setting, section = self.setting, "Checks"
        check = functools.partial(Measurement, bench="check", section=section)
        reference = check(
            title="the reference's numbers" + (", whole segmenters" if slow else ""),
            seconds=200 if slow else 90,
            rows=lambda: check_reference(
                self.checkout, self.folder, self.device, slow=slow, seconds=max(1, self.left())
            ),
        )
        if slow:
            return [reference] * setting.reference
        small = functools.cache(lambda: self.open_maps(setting.check_size))
        forms = check(
            title="forms against each other",
            seconds=25,
            rows=lambda: check_forms(
                setting.checked, small(), setting.batch, setting.check_width, self.device
            ),
        )
        gradients = check(
            title="gradients",
            seconds=3,
            rows=lambda: check_gradients(small(), setting.batch, self.device),
        )
        return [forms, gradients] + [reference] * setting.reference

    def _generator(
        self,
        title: str,
        others: Sequence[Variant],
        seconds: float,
        *,
        model: str = "spade",
        size: Size | None = None,
        batch: int | None = None,
        work: Work = "synthesis",
    ) -> Measurement:
        setting = self.setting

        def rows() -> Iterator[Row]:
            chosen = self._applicable(others)
            if not chosen:
                yield _only_cuda()
                return
            measured = time_generator(
                model, self.open_maps(size or setting.size), batch or setting.batch,
                width=setting.width, chosen=chosen, repeats=setting.repeats,
                warm_up=setting.warm_up, device=self.device,
                ceiling=self.ceilings.get("float32", math.nan), work=work,
            )  # fmt: skip
            yield from map(self._with_own_share, measured)

        section = "Training steps" if work == "training" else "Generators"
        return Measurement(
            bench="generator", section=section, title=f"{model}, {title}", seconds=seconds,
            rows=rows,
        )  # fmt: skip

    def _training(self, title: str, others: Sequence[Variant], seconds: float) -> Measurement:
        batch = self.setting.training_batch
        return self._generator(title, others, seconds, batch=batch, work="training")

    @property
    def _networks(self) -> tuple[str, ...]:
        return (*self.setting.segmenters, *self.setting.inceptions)

    def _opened(self, name: str) -> ScoringNetwork:
        """Return a scoring network, opened once: filling one takes longer than running it."""
        if name not in self.opened:
            self.opened[name] = scoring_network(name, self.weights_dir)
        return self.opened[name]

    def _network(
        self, name: str, title: str, others: Sequence[Variant], seconds: float
    ) -> Measurement:
        setting = self.setting

        def rows() -> Iterator[Row]:
            chosen = self._applicable(others)
            if not chosen:
                yield _only_cuda()
                return
            measured = time_scoring_network(
                self._opened(name), setting.size, setting.scored_batch, chosen=chosen,
                repeats=setting.repeats, warm_up=setting.warm_up, device=self.device,
                ceiling=self.ceilings.get("float32", math.nan),
            )  # fmt: skip
            yield from map(self._with_own_share, measured)

        return Measurement(
            bench="networks", section="Scoring networks", title=f"{name}, {title}",
            seconds=seconds, rows=rows,
        )  # fmt: skip

    def _layers(self) -> list[Measurement]:
        setting = self.setting

        def measurement(model: str, batch: int, gradient: bool) -> Measurement:
            return Measurement(
                bench="layer", section="Single layers", seconds=8,
                title=f"{model}, batch {batch}{', with gradients' * gradient}",
                rows=lambda: time_layers(
                    model, self.open_maps(setting.size), batch, width=setting.width,
                    repeats=setting.repeats, warm_up=setting.warm_up, device=self.device,
                    gradient=gradient,
                ),
            )  # fmt: skip

        return [
            measurement(model, batch, gradient)
            for gradient in (False, True)
            for batch in (setting.layer_batches if not gradient else setting.layer_batches[:1])
            for model in setting.layered
        ]

    def _scores(self) -> list[Measurement]:
        dim, count = self.setting.features
        return [
            Measurement(
                bench="distance", section="Distance", title="the Fréchet distance", seconds=15,
                rows=lambda: [time_distance(dim, count, 1, seed=0, warm_up=0)],
            ),
            Measurement(
                bench="score", section="Scoring in one pass", title="in-domain", seconds=60,
                rows=self.one_pass,
            ),
        ]  # fmt: skip

    def _compiled(self) -> list[Measurement]:
        if not self.setting.compile:
            return []
        most_used = [*self.setting.segmenters[:1], *self.setting.inceptions[:1]]
        return [
            self._generator("torch.compile", _COMPILED, 120),
            *(self._network(name, "torch.compile", _COMPILED[:1], 90) for name in most_used),
            self._training("torch.compile", _COMPILED[:1], 200),
        ]

    def _applicable(self, others: Sequence[Variant]) -> list[Variant]:
        """Return the plain form and the others that this device has; nothing where it has none."""
        here = [item for item in others if self.device.type == "cuda" or not item.needs_cuda]
        return [DENSE, *here] if here else []

    def _with_own_share(self, row: Row) -> Row:
        """Add the share of the ceiling in the row's own number format."""
        ceiling = self.ceilings.get(row["precision"], math.nan)
        share = row["operations"] / row["seconds"] / ceiling
        return {**row, "own_share": None if math.isnan(share) else share}


def _only_cuda() -> Row:
    return {"note": "left out: only CUDA has it"}


def maps_opener(
    folder: Path | None, instances: Path | None, data_root: Path, classes: int
) -> Callable[[Size], BenchMaps]:
    """Return what opens label maps of a folder, or drawn scenes, at a size, each once."""
    return functools.cache(
        lambda size: open_maps(folder, instances, "scenes", data_root, size, classes, _MOST_MAPS)
    )


def pays_from(dense: Row, compiled: Row) -> int | None:
    """Return from how many batches on compiling has paid; None where it never does."""
    saved = dense["seconds"] - compiled["seconds"]
    if saved <= 0:
        return None
    return math.ceil(max(0.0, compiled["first"] - compiled["seconds"]) / saved)
