# SPDX-License-Identifier: Apache-2.0
"""How far long work is, on standard error: a bar where a terminal is, else a line now and then.

Files and pipes get whole lines, at most one every `SECONDS` seconds, so that a log can be read.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")

SECONDS = 30.0
_LINE = re.compile(r".+: [\d,]+( of [\d,]+)? \w+( \(\d+%\))? after \d")
_quiet = False


def be_quiet(asked: bool) -> None:
    """Show nothing from here on, neither progress nor what `tell` is given, or show both again."""
    global _quiet
    _quiet = asked


def tell(text: str) -> None:
    """Print a line that is no result and no error on standard error, unless quiet was asked for."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Work of `total` units of which some are done; used as a context.

    A `total` of 0 is not known. `shown` is False in all but the first of several processes. A bar
    with a `delay`, in seconds, appears after it and goes when the work is done.
    """

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        *,
        done: int = 0,
        shown: bool = True,
        delay: float = 0.0,
    ) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = self._done_before = done
        self._started = self._told = time.monotonic()
        self._told_of: int | None = None
        self._facts = ""
        self._shown = shown and not _quiet
        self._bar = self._new_bar(delay) if self._shown and sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None and self._told_of not in (None, self._done):  # a begin has an end
            self._tell()

    def advance(self, count: int = 1) -> None:
        """Count so many more units as done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._shown and time.monotonic() - self._told >= SECONDS:
            self._tell()

    def state(self, facts: Mapping[str, str]) -> None:
        """Say more of the work, such as its losses."""
        self._facts = "".join(f", {name} {value}" for name, value in facts.items())
        if self._bar is not None:
            self._bar.set_postfix(facts, refresh=False)

    def _tell(self) -> None:
        self._told, self._told_of = time.monotonic(), self._done
        seconds = self._told - self._started
        rate = (self._done - self._done_before) / seconds if seconds > 0 else 0.0
        share = f" ({self._done / self._total:.0%})" if self._total else ""
        left = max(0, self._total - self._done) / rate if rate else 0.0
        rest = f", about {_duration(left)} left" if left else ""
        of = f" of {self._total:,}" if self._total else ""
        tell(
            f"{self._title}: {self._done:,}{of} {self._unit}s{share} after "
            f"{_duration(seconds)}{rest}{self._facts}"
        )

    def _new_bar(self, delay: float) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=self._total or None, initial=self._done, desc=self._title, unit=self._unit,
            unit_scale=self._unit == "byte", delay=delay, leave=not delay, file=sys.stderr,
            **_width(),
        )  # fmt: skip


def is_progress(line: str) -> bool:
    """Return whether a line of a log says how far the work is."""
    return _LINE.match(line) is not None


def followed(
    items: Iterable[Item], title: str, total: int, unit: str, *, shown: bool = True
) -> Iterator[Item]:
    """Yield the items, each counted as done when the next one is asked for."""
    with Progress(title, total, unit, shown=shown) as progress:
        for item in items:
            yield item
            progress.advance()


def _width() -> dict[str, Any]:
    """Follow the terminal's width; some, as those of build servers, do not know theirs."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        known = False
    if known:
        return {"dynamic_ncols": True}
    size = shutil.get_terminal_size()
    return {"ncols": size.columns, "nrows": size.lines}


def _duration(seconds: float) -> str:
    """Write seconds as people do: 40 s, 12 min, 3 h 20 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
