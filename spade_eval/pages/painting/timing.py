# SPDX-License-Identifier: Apache-2.0
"""How long a stroke takes to become an image: with the fast forms, and with the plain ones.

Strokes are drawn from their number on maps of the dataset. What is timed is a request as the page
sends it, answered without a socket: from JSON to JSON, with the segmenter's reading.
"""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spade_eval.json_fields import parsed_json
from spade_eval.models.checkpoints.description import rebuild
from spade_eval.pages.local_server import Request
from spade_eval.pages.painting.maps import PaintedMap
from spade_eval.pages.painting.models import PaintingModel
from spade_eval.pages.painting.requests import map_answer
from spade_eval.pages.painting.routes import painting_routes
from spade_eval.pages.painting.session import Session

_WARM_UP = 2  # strokes that are not counted
_PARTS_OF_SIDE = 10  # a stroke is so wide as the brush is at first


def timed(session: Session, strokes: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each model and form: medians in milliseconds, of `strokes` strokes."""
    height, width = session.dataset.size
    for model in session.models:
        for form, network in (("fast", model.network), ("plain", _plain(model))):
            alone = Session(
                session.dataset, [dataclasses.replace(model, network=network)], session.device
            )
            taken = [_answered(alone, number) for number in range(-_WARM_UP, strokes)][_WARM_UP:]
            medians = {name: statistics.median(one[name] for one in taken) for name in taken[0]}
            yield {
                "model": model.title, "form": form, "height": height, "width": width,
                "strokes": strokes, "device": session.device.type, **medians,
            }  # fmt: skip


def _plain(model: PaintingModel) -> Any:
    """Build the network again as its paper prints it: the equations, with the same weights."""
    plain = rebuild(model.checkpoint.description, model.network.state_dict())
    return plain.to(model.device).eval()


def _answered(session: Session, number: int) -> dict[str, float]:
    """Answer the request after a stroke; return what it took."""
    body = _request_of(session, number)
    answer: Callable[[Request], Any] = painting_routes(session, "", "").answer
    started, cpu_started = time.perf_counter(), time.process_time()
    made = answer(Request(method="POST", path="/image", body=body))
    whole, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    network = parsed_json(made.content)
    return {
        "answer_ms": 1000 * whole,
        "answer_cpu_ms": 1000 * cpu,
        "network_ms": network["milliseconds"],
        "network_cpu_ms": network["cpuMilliseconds"],
    }


def _request_of(session: Session, number: int) -> bytes:
    names = session.dataset.names
    painted, place = session.opened(names[number % len(names)])
    layers = map_answer(_stroked(painted, session.dataset.label_space.num_classes, number))
    fields = {"model": 0, "style": place, "turn": 0, "photo": None, **layers}
    return json.dumps(fields).encode()


def _stroked(painted: PaintedMap, num_classes: int, number: int) -> PaintedMap:
    """Draw a straight stroke from one point to another, in one class."""
    random = np.random.default_rng(number % 2**32)
    label = int(random.integers(num_classes))
    inside = _near_line(painted.labels.shape, random)
    return PaintedMap(
        np.where(inside, np.uint8(label), painted.labels),
        np.where(inside, np.uint16(label), painted.objects),
    )


def _near_line(size: tuple[int, ...], random: np.random.Generator) -> NDArray[np.bool_]:
    """Return (H, W): which pixels are at most half a brush away from a drawn line."""
    height, width = size
    start, end = random.random((2, 2)) * (height, width)
    rows, columns = np.mgrid[:height, :width] + 0.5
    along = end - start
    share = (rows - start[0]) * along[0] + (columns - start[1]) * along[1]
    share = np.clip(share / max(float(along @ along), 1e-9), 0, 1)
    distance = np.hypot(rows - start[0] - share * along[0], columns - start[1] - share * along[1])
    return distance <= min(height, width) / _PARTS_OF_SIDE / 2
