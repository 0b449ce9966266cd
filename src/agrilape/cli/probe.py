"""`agrilape probe`: where a model loses what its images show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from agrilape.cli.options import AsJson, Output, Overrides, open_recipe
from agrilape.console import out, say

commands = typer.Typer()


@commands.command(rich_help_panel="Look inside")
def probe(
    recipe: Annotated[str, typer.Argument(help="A run folder, or a recipe.", metavar="RUN")],
    overrides: Overrides = None,
    output: Output = None,
    limit: Annotated[int, typer.Option(min=1, help="Most questions of each split and task.")] = 500,
    as_json: AsJson = False,
) -> None:
    """Read greenness, crop and peak date linearly from the model's features, on held-out scenes.

    It tells a vision tower that does not see from a language model that does not add up. Kept as probe.json
    in the run folder.
    """
    from agrilape.pipeline import probe_run

    loaded = open_recipe(recipe, overrides, output)
    found = probe_run(loaded, limit)
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = Table("features", *(f"{name} ({how})" for name, how in found["measures"].items()), box=None)
    for layer, scores in found["scores"].items():
        table.add_row(layer, *(_said(scores[name], how) for name, how in found["measures"].items()))
    out.print(table)
    say(f"95 % intervals over held-out scenes; {loaded.output / 'probe.json'} has n and the differences")


def _said(score: Mapping[str, Any], measure: str) -> str:
    scale, unit = (1.0, "") if measure == "days" else (100.0, " %")
    value, edges = score["value"], (score["low"], score["high"])
    ends = "" if None in edges else " ({} to {})".format(*(f"{scale * edge:.1f}" for edge in edges))
    return f"{scale * value:.1f}{unit}{ends}"
