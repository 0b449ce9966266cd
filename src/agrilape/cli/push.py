"""The command that sends a folder to a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agrilape.console import say

commands = typer.Typer()


@commands.command(rich_help_panel="Look inside")
def push(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Output of `data publish`, or a checkpoint or adapter."),
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the hub.")],
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
) -> None:
    """Send a published data set or a model to the Hugging Face Hub, as one commit."""
    from agrilape.io.hub import push_folder

    say(f"pushed {push_folder(folder, repository, private)}")
