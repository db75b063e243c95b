# SPDX-License-Identifier: Apache-2.0
"""`spade-eval protocol`: the table of profiles, or everything a profile fixes on one dataset."""

from typing import Annotated

import typer

from spade_eval.cli import options


def protocol(
    dataset: Annotated[
        str | None, typer.Argument(help="A dataset: everything its profiles fix [default: table].")
    ] = None,
    profile: options.Profile = None,
    segmenter: options.Segmenter = None,
    fid_profile: options.FIDProfile = None,
) -> None:
    """Print how images are scored, by every profile or by one."""
    from spade_eval.config import BUDGETS
    from spade_eval.errors import UserError, lookup
    from spade_eval.protocol import SHORTHANDS, profiles_of, protocol_for, table_lines

    if dataset is None:
        if profile or segmenter or fid_profile:
            raise UserError(
                "protocol: name a dataset too, for example `spade-eval protocol ade20k`"
            )
        typer.echo("\n".join(table_lines()))
        for short, meant in SHORTHANDS.items():
            spelled = ", ".join(f"{name} on {dataset}" for dataset, name in meant.items())
            typer.echo(f"{short} is {spelled}")
        return
    lookup(BUDGETS, dataset, "dataset")
    names = profiles_of(dataset) if profile is None else [profile]
    texts = ["\n".join(protocol_for(name, dataset, segmenter, fid_profile).lines())
             for name in names]  # fmt: skip
    typer.echo("\n\n".join(texts))
