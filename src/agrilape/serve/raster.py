"""`agrilape predict`: GeoTIFF and question in, answer on the map out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from agrilape.console import progress, say, warn
from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.predictions import Prediction
from agrilape.files import write_text
from agrilape.serve.asking import AskedImage, AskSettings
from agrilape.serve.features import Found
from agrilape.serve.geofile import write_coco, write_geojson, write_geopackage
from agrilape.serve.imagery import open_image
from agrilape.serve.place_table import read_places
from agrilape.serve.places import answer_places, csv_text, summary_of
from agrilape.serve.predictor import Predictor
from agrilape.serve.tiles import OVERLAP

CRS_CHOICES = ("wgs84", "source")


@dataclass(frozen=True)
class MapAnswer:
    """What was found.

    Attributes:
        path: The file that was written.
        features: Number of features in it.
        summary: What to tell the asker.
    """

    path: Path
    features: int
    summary: str


def predict_raster(
    checkpoint: Path | str | None,
    image: Path,
    question: str,
    output: Path,
    *,
    crs: str = "wgs84",
    composite: str | None = None,
    overlap: float = OVERLAP,
    tile: int | None = None,
    acquired: date | None = None,
    sensor: str | None = None,
    batch_size: int = 32,
    min_confidence: float | None = None,
    word_for_word: bool = False,
) -> MapAnswer:
    """Ask a question about a GeoTIFF and write the answer as a GIS file.

    Answers with places become one feature per object, joined over the tiles, with fiboa 0.3 property names
    (`determination:method`, `determination:datetime`, `metrics:area` in square metres) and `area_ha` on the
    ellipsoid. Answers without places (a crop, a number, dates) become one feature per tile.

    Args:
        checkpoint: A checkpoint, a run folder, of which the last stage is taken, or a model on the hub;
            None: the one that ships.
        image: GeoTIFF of any size, with a CRS, one band per date for a series; or a PNG or JPEG picture,
            whose answers lie about where its camera was, or in its pixels.
        question: In English or German words of one's own (docs/predict.md): "where are the maize fields?",
            "wie viele Hektar Raps gibt es?", or about a place: "which field is at 12.345, 55.678?".
        output: `.geojson`, or `.gpkg`; of a picture without a place, `.json` is COCO.
        crs: `wgs84`, or `source` for a GeoPackage in the image's own CRS.
        composite: How bands become colours; None: as in training.
        overlap: Share of a tile that its neighbours repeat, in [0, 0.9]. What lies on a tile's edge is joined
            with what the neighbour saw, so let the overlap be about half a field.
        tile: Side of a tile in pixels; None: as in the run that the checkpoint lies in, else the size of the
            model's input.
        acquired: Date of the image, if the file does not say; of several dates, the one to look at.
        sensor: Name of the sensor: which band is B5, and for a model that was told it in training. What else
            its questions began with there (`metadata` of its data sets) is told here too.
        batch_size: Tiles that the model answers at once.
        min_confidence: Leave out what is less sure, 0 to 1; None: what was best on the val split, if the
            checkpoint was calibrated (`agrilape calibrate`), else nothing.
        word_for_word: Ask the model the question as it stands, whatever it is; it may name no place.

    Raises:
        DataError: The question is not understood, or is about a crop that the model never learnt, or a place
            outside the image; the image cannot be read, has no CRS or shows nothing.
        ModelError: There is no checkpoint.
        RecipeError: A setting is not one of those above.
    """
    path = _output(output, crs)
    settings = AskSettings(composite, overlap, tile, acquired, min_confidence, word_for_word)
    predictor = Predictor(checkpoint)
    with open_image(image, sensor=sensor) as scene:
        if scene.georeference is None and path.suffix == ".gpkg":
            raise DataError(
                f"{image} has no place on the map", "end the output in .geojson, or .json for COCO"
            )
        asked = predictor.asked(scene, question, settings)
        for note in asked.notes:
            say(note)
        for doubt in asked.doubts:
            warn(doubt)
        rows = _answers(predictor, asked, batch_size)
    found = asked.found(rows)
    _write(path, found, asked, image, crs)
    if found.unsure:
        say(f"{found.unsure} less sure than {asked.least:.2f} skipped; --min-confidence 0 keeps them")
    if unreadable := sum(bool(row.problems) for row in rows):
        warn(f"{unreadable} of {len(rows)} answers could not be read in full")
    return MapAnswer(path, len(found.features), f"{asked.summary(found, rows)}; {path}")


def _write(path: Path, found: Found, asked: AskedImage, image: Path, crs: str) -> None:
    """Write the answer on the map; of a picture without a place, in its pixels."""
    scene, features = asked.tiles.scene, found.features
    if path.suffix == ".gpkg":
        write_geopackage(path, features, asked.tiles.georeference, wgs84=crs == "wgs84")
    elif path.suffix == ".json" and scene.georeference is None:
        write_coco(path, features, image.name, scene.width, scene.height)
    else:
        write_geojson(path, features, scene.georeference)


def predict_at(
    checkpoint: Path | str | None,
    image: Path,
    question: str,
    at: Path,
    output: Path,
    *,
    crs: str = "wgs84",
    composite: str | None = None,
    tile: int | None = None,
    acquired: date | None = None,
    sensor: str | None = None,
    batch_size: int = 64,
    min_confidence: float | None = None,
) -> MapAnswer:
    """Ask a question about each place of a table, and write the table with the answers.

    Args:
        checkpoint: As in `predict_raster`, and so are the settings that are not listed here.
        image: GeoTIFF of any size, with a CRS.
        question: About one place: "what grows here?", "which field is at {place}?".
        at: Points or parcels, see `read_places`; of a parcel a point inside it is asked about.
        output: `.geojson`, `.gpkg` or `.csv`: a row for each row of the table, with its columns.
        crs: `wgs84`, or `source` for a GeoPackage in the image's own CRS.
        composite: How bands become colours; None: as in training.
        tile: Side of a tile in pixels; None: as in training.
        acquired: Date of the image, if the file does not say.
        sensor: Name of the sensor.
        batch_size: Questions that the model answers at once.
        min_confidence: Rows that are less sure get no answer; None: as in `predict_raster`.

    Raises:
        DataError: The table or the image cannot be read, none of the places lies in the image, or the
            question is not about one place.
        ModelError: There is no checkpoint.
        RecipeError: A setting is not one of those above.
    """
    as_csv = output.suffix.lower() == ".csv"
    path = output if as_csv else _output(output, crs)
    settings = AskSettings(composite, OVERLAP, tile, acquired, min_confidence)
    table, notes = read_places(at)
    predictor = Predictor(checkpoint)
    with open_image(image, sensor=sensor) as scene, progress("predict", len(table), "places") as track:
        asked, features = answer_places(predictor, scene, question, table, settings, batch_size, track)
    for note in (*notes, *asked.notes):
        say(note)
    for doubt in asked.doubts:
        warn(doubt)
    if as_csv:
        write_text(path, csv_text(features, asked))
    elif path.suffix == ".gpkg":
        write_geopackage(path, features, asked.tiles.georeference, wgs84=crs == "wgs84")
    else:
        write_geojson(path, features, asked.tiles.georeference)
    return MapAnswer(path, len(features), f"{summary_of(features)}; {path}")


def _output(output: Path, crs: str) -> Path:
    """Where to write, with settings checked before any work is done."""
    if crs not in CRS_CHOICES:
        raise RecipeError(f"there is no output CRS {crs!r}", f"choose one of: {', '.join(CRS_CHOICES)}")
    if output.suffix not in {".geojson", ".json", ".gpkg"}:
        raise RecipeError(
            f"cannot write {output.suffix or 'a file without ending'}", "end it in .geojson or .gpkg"
        )
    # GeoJSON is WGS 84 by definition (RFC 7946, 4)
    return output.with_suffix(".gpkg") if crs == "source" else output


def _answers(predictor: Predictor, asked: AskedImage, batch_size: int) -> list[Prediction]:
    rows: list[Prediction] = []
    with progress("predict", len(asked.tiles), "tiles") as track:
        for batch in predictor.answer(asked, batch_size):
            rows += batch
            track(len(batch))
    return rows
