"""Answers on the map."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agrilape.cli.options import Overwrite
from agrilape.console import say
from agrilape.files import require_writable

commands = typer.Typer()


@commands.command(rich_help_panel="On the map")
def predict(
    asked: Annotated[
        list[str],
        typer.Argument(
            metavar="[CHECKPOINT] IMAGE QUESTION",
            help="Checkpoint or run folder; default: the small model that comes with agrilape. GeoTIFF of "
            'any size and CRS. And e.g. "where are the maize fields?"',
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="GeoJSON (.geojson) or GeoPackage (.gpkg).")
    ] = Path("fields.geojson"),
    crs: Annotated[
        str, typer.Option(help="wgs84 (GeoJSON), or source: a GeoPackage in the image's CRS.")
    ] = "wgs84",
    composite: Annotated[
        str | None, typer.Option(help="true_colour, false_colour or ndvi; default: as in training.")
    ] = None,
    sensor: Annotated[
        str | None, typer.Option(help="Name of the sensor: which band is B5, and what the model is told.")
    ] = None,
    acquired: Annotated[
        datetime | None,
        typer.Option(
            "--date",
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="When the image was taken, if the file does not say; of several dates, the one to look at.",
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(min=32, help="Side of a tile in pixels; default: as the model was trained."),
    ] = None,
    overlap: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of a tile that its neighbours repeat.")
    ] = 0.25,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Drop what is less sure; default: the best on the val split, where agrilape calibrate ran.",
        ),
    ] = None,
    at: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask about each of these points or parcels (GeoPackage, GeoJSON, GeoParquet, CSV with lon, "
            'lat): "what grows here?" Its rows come out with the answers; -o may end in .csv.',
        ),
    ] = None,
    verbatim: Annotated[
        bool, typer.Option("--verbatim", help="Ask the model the question word for word, whatever it is.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Ask a question about a GeoTIFF and get the answer on the map.

    A place in the question is longitude, latitude in degrees: "what grows at 9.5012, 55.9134?"
    """
    from agrilape.serve import predict_at, predict_raster

    if len(asked) not in (2, 3) or Path(asked[-1]).exists():
        raise typer.BadParameter(
            "give an image and a question, and before them a checkpoint if it is not to be the one that ships"
        )
    *checkpoint, image, question = asked
    require_writable(output, overwrite)
    model = checkpoint[0] if checkpoint else None
    settings: dict[str, Any] = {
        "crs": crs,
        "composite": composite,
        "tile": tile,
        "acquired": acquired.date() if acquired else None,
        "sensor": sensor,
        "min_confidence": min_confidence,
    }
    if at is not None:
        answer = predict_at(model, Path(image), question, at, output, **settings)
    else:
        settings |= {"overlap": overlap, "word_for_word": verbatim}
        answer = predict_raster(model, Path(image), question, output, **settings)
    say(answer.summary)
