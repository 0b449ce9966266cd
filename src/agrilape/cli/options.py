"""Arguments and options that several commands share, and how facts are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from agrilape.config import Recipe, load_recipe
from agrilape.console import out

RecipeArgument = Annotated[
    str,
    typer.Argument(help="A recipe file, or the name of one that ships: quickstart, kits.", metavar="RECIPE"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. --set stages.align.steps=50."),
]
Output = Annotated[Path | None, typer.Option("--output", help="Run folder, instead of the recipe's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def open_recipe(name: str, overrides: list[str] | None, output: Path | None) -> Recipe:
    """The recipe that a command was given."""
    given = list(overrides or []) + ([f"output={output}"] if output else [])
    return load_recipe(name, given)


def print_facts(facts: dict[str, Any]) -> None:
    """Print facts as a table; those of a dictionary in it by their own names."""
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        for name, item in value.items() if isinstance(value, dict) else [(key, value)]:
            table.add_row(str(name), f"{item:,}" if isinstance(item, int) else str(item))
    out.print(table)
