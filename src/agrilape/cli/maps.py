"""Answers on the map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agrilape.console import say

commands = typer.Typer()


@commands.command(rich_help_panel="On the map")
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, or a run folder.")],
    image: Annotated[Path, typer.Argument(help="GeoTIFF of any size and CRS.")],
    question: Annotated[str, typer.Argument(help='e.g. "where are the maize fields?"')],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="GeoJSON (.geojson) or GeoPackage (.gpkg).")
    ] = Path("fields.geojson"),
    crs: Annotated[
        str, typer.Option(help="wgs84 (GeoJSON), or source: a GeoPackage in the image's CRS.")
    ] = "wgs84",
    composite: Annotated[str, typer.Option(help="true_colour, false_colour or ndvi.")] = "true_colour",
    sensor: Annotated[
        str | None, typer.Option(help="Name of the sensor, for a model that was told it in training.")
    ] = None,
) -> None:
    """Ask a question about a GeoTIFF and get the answer on the map."""
    from agrilape.serve import predict_raster

    answer = predict_raster(checkpoint, image, question, output, crs=crs, composite=composite, sensor=sensor)
    say(answer.summary)
