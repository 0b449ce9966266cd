"""The commands that describe a model and send a folder to a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agrilape.cli.options import Overwrite
from agrilape.console import say

commands = typer.Typer()
Licence = Annotated[
    str | None,
    typer.Option("--license", help="Licence of a model's weights, as the hub spells it: apache-2.0."),
]


@commands.command(rich_help_panel="Look inside")
def card(
    folder: Annotated[Path, typer.Argument(metavar="MODEL", help="A run, a checkpoint or an adapter.")],
    licence: Licence = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model card (README.md) and a STAC item (stac-mlm.json) beside a model; `push` does so too."""
    from agrilape.model.resolve import find_checkpoint
    from agrilape.model_card import write_card

    for path in write_card(find_checkpoint(folder), licence=licence, overwrite=overwrite):
        say(f"wrote {path}")


@commands.command(rich_help_panel="Look inside")
def push(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Output of `data publish`, or a run (its last stage), a checkpoint or adapter.",
        ),
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the hub.")],
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
    licence: Licence = None,
    overwrite: Overwrite = False,
) -> None:
    """Send a published data set or a model to the Hugging Face Hub, as one commit.

    A model gets a model card (README.md) and a STAC item (stac-mlm.json), where nobody wrote one.
    """
    from agrilape.io.hub import kind_of, push_folder
    from agrilape.model.resolve import find_checkpoint, is_run
    from agrilape.model_card import write_card

    folder = find_checkpoint(folder) if is_run(folder) else folder
    if kind_of(folder) == "model":
        for path in write_card(folder, repository, licence, overwrite):
            say(f"wrote {path}")
    say(f"pushed {push_folder(folder, repository, private)}")
