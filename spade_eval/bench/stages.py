# SPDX-License-Identifier: Apache-2.0
"""How the time of a pass is shared: generator, segmenter, each feature network, and the rest."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from spade_eval.bench.timing import Clock, Timing
from spade_eval.scoring.scorer import Scorer
from spade_eval.segmenters.in_domain import InDomainNetwork
from spade_eval.sources.source import Source

GENERATOR, SEGMENTER, REST = "generator", "segmenter", "rest"


@contextmanager
def watched(scorer: Scorer, source: Source, clock: Clock) -> Iterator[None]:
    """Let the clock count the calls of the source and of the scoring networks as phases.

    The outermost call counts: features that come from inside of the segmenter are features, and
    where both share an encoder it is the segmenter's.
    """
    network = scorer.segmenter.network
    # Of an in-domain network the scorer calls the parts.
    calls = ("encode", "decode") if isinstance(network, InDomainNetwork) else ("forward",)
    parts: list[tuple[str, Any, Sequence[str]]] = [(GENERATOR, source, ("floats",))]
    parts.append((SEGMENTER, network, calls))
    by_network = {id(item.network): item for item in reversed(scorer.distances)}
    parts += [(item.column, item.network, ("forward",)) for item in by_network.values()]
    inside: list[str] = []
    with ExitStack() as undo:
        for stage, owner, names in parts:
            for name in names:
                setattr(owner, name, _counted(getattr(owner, name), stage, clock, inside))
                undo.callback(delattr, owner, name)
        yield


def _counted(
    call: Callable[..., Any], stage: str, clock: Clock, inside: list[str]
) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        if inside:
            return call(*arguments)
        inside.append(stage)
        try:
            with clock(stage):
                return call(*arguments)
        finally:
            inside.clear()

    return counted


def shares(timing: Timing[Any]) -> dict[str, float]:
    """Return the part of the counted runs' time that each stage took; they add up to one."""
    whole = sum(timing.seconds)
    found = {stage: seconds / whole for stage, seconds in timing.phases.items()}
    return {**found, REST: 1 - sum(found.values())}
