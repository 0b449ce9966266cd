"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agrilape.config import Recipe, load_recipe
from agrilape.config.load import shipped_recipes
from agrilape.io.remote import allow_remote


def _allow_remote(asked: bool) -> bool:
    if asked:
        allow_remote()
    return asked


RecipeArgument = Annotated[
    str,
    typer.Argument(
        help=f"A recipe file, or the name of one that ships: {', '.join(shipped_recipes())}.",
        metavar="RECIPE",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. --set stages.align.steps=50."),
]
Output = Annotated[Path | None, typer.Option("--output", help="Run folder, instead of the recipe's.")]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote",
        help="Read what a STAC file names on a network too; else only files of this machine are read.",
        callback=_allow_remote,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output even if agrilape did not write what is there.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def open_recipe(name: str, overrides: list[str] | None, output: Path | None) -> Recipe:
    """The recipe that a command was given."""
    given = list(overrides or []) + ([f"output={output}"] if output else [])
    return load_recipe(name, given)
