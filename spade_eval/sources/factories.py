# SPDX-License-Identifier: Apache-2.0
"""Generators by the words of a command line: a user's own factory, a pipeline, or a program.

The only place where code that is not the suite's is imported, and only code that the user names.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.models.choices import StyleInput
from spade_eval.sources.called import Generator, called
from spade_eval.sources.diffusers.settings import PipelineSettings
from spade_eval.sources.given import GivenSource, Opens, Split, once
from spade_eval.sources.programs import LABEL, OUT, Program

DIFFUSERS = "diffusers:"
_FACTORY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


def generator_row(
    name: str,
    spec: str,
    seconds: float | None = None,
    style_input: StyleInput = "none",
    pipelines: PipelineSettings = PipelineSettings(),  # noqa: B008 (frozen)
) -> Opens:
    """Return what opens `package.module:factory`, `diffusers:DIR[:PIPELINE]`, or a command.

    A command has `{label}` and `{out}`. The factory is called without arguments and returns the
    generator, whose range is its attribute `value_range`. A batch may take so many seconds.
    `UserError` for words that are none of these.
    """
    if spec.startswith(DIFFUSERS):
        path, kind = _folder_and_class(spec[len(DIFFUSERS) :])
        about = f"the pipeline of diffusers in {path.name}"

        def pipeline(split: Split) -> GivenSource:
            from spade_eval.sources.diffusers.pipeline import Pipeline

            made = Pipeline(path, kind, pipelines, split)
            options = {"time_limit": seconds, "style_input": style_input, "about": about}
            return called(made, kind="diffusers", **options)(split)

        return once(pipeline)
    if match := _FACTORY.fullmatch(spec):
        module, factory = match.groups()

        def opened(split: Split) -> GivenSource:
            made = _made(name, module, factory)
            about = f"the function {spec}"
            return called(made, time_limit=seconds, style_input=style_input, about=about)(split)

        return once(opened)
    if LABEL in spec or OUT in spec:
        program = Program(name, spec, seconds, with_photos=style_input != "none")
        about = f"the program {Path(program.words[0]).name}"
        run = called(program, kind="program", style_input=style_input, about=about)

        def with_draws(split: Split) -> GivenSource:
            program.require_draws(split.draws)
            return run(split)

        return with_draws
    raise UserError(
        f"--generator {name}={spec}: expected package.module:factory, {DIFFUSERS}DIR, or a command "
        f"with {LABEL} and {OUT}"
    )


def _folder_and_class(words: str) -> tuple[Path, str | None]:
    """Read `DIR` or `DIR:PIPELINE`; a folder may have a colon in its name."""
    folder, separator, kind = words.rpartition(":")
    if not separator or Path(words).is_dir():
        return Path(words), None
    return Path(folder), kind


def _made(name: str, module: str, factory: str) -> Generator:
    """Import a user's module, from the current folder too, and call its factory."""
    whose = f"--generator {name}={module}:{factory}"
    try:
        with _current_folder():
            found = importlib.import_module(module)
            for part in factory.split("."):
                found = getattr(found, part)
            made = found()  # type: ignore[operator]
    except UserError:
        raise
    except Exception as error:  # whatever a stranger's code raises
        line = " ".join(str(error).split())
        raise UserError(
            f"{whose}: {type(error).__name__}: {line}; expected an importable module (from "
            f"{Path.cwd()} or installed) and a factory in it that takes no arguments"
        ) from error
    if not callable(made):
        raise UserError(
            f"{whose}: the factory returned {type(made).__name__}, expected a generator: a "
            "callable from a batch of label maps to images"
        )
    return made


@contextmanager
def _current_folder() -> Iterator[None]:
    """Find modules in the current folder meanwhile, before installed ones of their name."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
