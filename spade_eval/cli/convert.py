# SPDX-License-Identifier: Apache-2.0
"""`spade-eval convert`: released checkpoint files into this suite's, and back."""

from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli import options


def convert(
    source: Annotated[Path, typer.Argument(help="A released *.pth, or a .safetensors of ours.")],
    target: Annotated[Path, typer.Argument(help="The file to write, in the other form.")],
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    size: Annotated[
        str | None,
        typer.Option("--size", "--image-size", help="Of latent-input generators: N, or HxW."),
    ] = None,
    num_features: Annotated[
        int, typer.Option(min=0, help="Of pix2pixHD generators trained with instance features: 3.")
    ] = 0,
) -> None:
    """Convert a checkpoint from the key layout of SPADE or pix2pixHD, or to it."""
    from spade_eval.sources.convert import convert as converted

    found = converted(
        source,
        target,
        options.released_options(arch, upsampling, label_layout, size, num_features),
    )
    settings = ", ".join(f"{name}={value}" for name, value in vars(found.config).items())
    typer.echo(f"{found.description['network']}({settings})")
    if found.layout is not None:
        typer.echo(f"label layout: {found.description['layout_name']} ({found.layout})")
    typer.echo(f"written: {target}")
