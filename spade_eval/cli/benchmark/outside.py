# SPDX-License-Identifier: Apache-2.0
"""Flags of rows from outside the suite: who makes their images, and what is said of them."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.console.conditions import (
    OUTSIDE_STUDIES,
    WITH_DIFFUSERS,
    WITH_GENERATOR,
    WITH_OTHERS,
)
from spade_eval.cli.console.topics import ROWS
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.models.choices import Sampling, StyleInput
    from spade_eval.sources.given import Opens


_GENERATOR = re.compile(r"([\w.]+:[\w.]+|diffusers:.+|.*\{(label|out)\}.*)")


def require_no_generator(words: Sequence[str]) -> None:
    """Refuse a generator where NAME=PATH is expected, and a lone word, with the flag for it."""
    for word in words:
        name, separator, value = word.partition("=")
        spec = value if separator else name
        if _GENERATOR.fullmatch(spec) and not Path(spec).exists():
            meant = f"{name}={value}" if separator else f"mine={spec}"
            raise UserError(
                f"score {word!r}: no file or folder, but it reads as a generator; give it as "
                f"--generator {shlex.quote(meant)}"
            )
        if not separator:
            raise UserError(
                f"score {word!r}: expected NAME=PATH, for example score mine=folder; a generator "
                f"is given by --generator NAME=package.module:factory"
            )


@dataclass(frozen=True, kw_only=True)
class OutsideFlags:
    """Generators of others, how those of diffusers sample, and facts that their makers state."""

    generator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SPEC",
            help="Score any generator: mine=module:factory, a function of yours that returns one "
            '(see docs/python.md), a program started for each batch, mine="./synthesize {label} '
            '{out}", or a pipeline of Hugging Face diffusers in a folder, '
            "mine=diffusers:DIR[:PIPELINE]. Repeatable.",
            rich_help_panel=ROWS,
        ),
        OUTSIDE_STUDIES,
    ] = None
    generator_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="That a batch of a --generator may take.",
            rich_help_panel=ROWS,
        ),
        WITH_GENERATOR,
    ] = None
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Scheduler of diffusers, as UniPCMultistepScheduler [default: that of the "
            "folder].",
            rich_help_panel=ROWS,
        ),
        WITH_DIFFUSERS,
    ] = None
    text_input: Annotated[
        str | None,
        typer.Option(
            metavar="none|classes|prompt:WORDS|captions:FILE",
            help="What a pipeline of diffusers reads: nothing, the names of the classes in the "
            "map, one text for all, or a JSON file of texts by stem [default: none].",
            rich_help_panel=ROWS,
        ),
        WITH_DIFFUSERS,
    ] = None
    condition_palette: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Colours in which a pipeline of diffusers sees label maps, as `data colours` "
            "paints them [default: the dataset's own].",
            rich_help_panel=ROWS,
        ),
        WITH_DIFFUSERS,
    ] = None
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME:]FIELD=VALUE",
            help="What nobody can see in images, of all given rows or of NAME, as "
            "trained_with_segmenter=none|related|scoring, text_input, sampling_steps, "
            "guidance. Repeatable.",
            rich_help_panel=ROWS,
        ),
        WITH_OTHERS,
    ] = None

    def specs(self) -> dict[str, str]:
        """Return who makes the images of each row, in the user's words."""
        return options.named_values(
            "--generator", self.generator or (), "SPEC", "package.module:factory"
        )

    def generators(
        self, specs: dict[str, str], styles: "dict[str, StyleInput]", sampling: "Sampling"
    ) -> "dict[str, Opens]":
        """Return what opens these rows; nothing of theirs is imported or started yet."""
        if not specs:
            return {}
        from spade_eval.sources.diffusers.settings import PipelineSettings
        from spade_eval.sources.factories import generator_row

        settings = PipelineSettings(
            sampling=sampling,
            sampler=self.sampler,
            text_input=self.text_input or "none",
            palette=self.condition_palette,
        )
        return {
            name: generator_row(
                name, spec, self.generator_timeout, styles.get(name, "none"), settings
            )
            for name, spec in specs.items()
        }

    def stated(self, rows: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the facts that are stated of each of these rows."""
        from spade_eval.sources.stated import stated_facts

        said: dict[str, dict[str, str]] = {}
        for words in self.state or ():
            front, separator, value = words.partition("=")
            row, _, field = front.rpartition(":")
            if not (separator and value) or (row and row not in rows):
                raise UserError(
                    f"--state {words!r}: expected [NAME:]FIELD=VALUE with a NAME of --images, "
                    f"--checkpoint or --generator ({', '.join(rows) or 'there is none'}), for "
                    "example trained_with_segmenter=none"
                )
            for name in [row] if row else rows:
                if said.setdefault(name, {}).setdefault(field, value) != value:
                    raise UserError(
                        f"--state {words!r}: {field} of {name} is {said[name][field]!r} by "
                        "another --state; expected one"
                    )
        return {name: stated_facts(values, f"--state of {name}") for name, values in said.items()}
