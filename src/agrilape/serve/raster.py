"""`agrilape predict`: GeoTIFF and question in, answer on the map out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from agrilape import __version__
from agrilape.console import ProgressCallback, progress, say, silent, warn
from agrilape.dataset.tasks import TASKS
from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.calibrator import read_calibrator
from agrilape.evaluate.inference import Decoding, predict_samples
from agrilape.evaluate.metrics.text import find_number
from agrilape.evaluate.predictions import Prediction
from agrilape.model import Checkpoint, find_checkpoint, load_checkpoint
from agrilape.serve.features import Found, determination, features_of
from agrilape.serve.geofile import write_geojson, write_geopackage
from agrilape.serve.question import Question, understand, verbatim
from agrilape.serve.tiles import OVERLAP, Tiles
from agrilape.serve.training_questions import MOST_SCALE, Training, TrainingQuestions, scale, training_of
from agrilape.sources.folder import read_raster
from agrilape.sources.scene import Frame, Scene

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
    checkpoint: Path,
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
        checkpoint: A checkpoint, or a run folder, of which the last stage is taken.
        image: GeoTIFF of any size, with a CRS. One band per date makes a series.
        question: In English or German words of one's own (docs/predict.md): "where are the maize fields?",
            "wie viele Hektar Raps gibt es?", or about a place: "which field is at 12.345, 55.678?".
        output: `.geojson`, or `.gpkg`.
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
    path = _output(output, crs, overlap)
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise RecipeError(f"a confidence of {min_confidence} makes no sense", "give a number from 0 to 1")
    folder = find_checkpoint(checkpoint)
    training = training_of(folder)
    asked = verbatim(question) if word_for_word else _understood(question, training)
    scene = read_raster(image, sensor=sensor)
    for note in scene.meta.get("notes", ()):
        say(note)
    frames = _frames(scene, asked, acquired or asked.day)
    model = load_checkpoint(folder)
    assert scene.georeference is not None  # read_raster refuses an image without
    taught = training.questions(model, asked.task, scene.georeference.gsd_m, frames[0].bands)
    if tile is not None:
        taught = replace(taught, side=tile)
    shown = composite or taught.composite
    say(_decision(taught, shown, scene.georeference.gsd_m, len(frames)))
    tiles = Tiles(scene, frames, asked, taught, 0.0 if _counts_tiles(asked) else overlap, shown)
    if model.config is None and model.coordinates == "position_tokens":
        warn(f"{folder} has no LAPE: places and times are asked and answered as text")
    for doubt in _doubts(tiles):
        warn(doubt)
    with progress("predict", len(tiles), "tiles") as track:
        rows = answers(model, tiles, batch_size, track)
    details = f"agrilape {__version__}, {checkpoint.name}: {asked.text(taught.language)}"
    calibrator = read_calibrator(folder)
    least = calibrator.threshold(asked.task) if min_confidence is None else min_confidence
    facts = determination(acquired or frames[-1].acquired, details)
    found = features_of(rows, tiles, facts, calibrator, least)
    if path.suffix == ".gpkg":
        write_geopackage(path, found.features, tiles.georeference, wgs84=crs == "wgs84")
    else:
        write_geojson(path, found.features, tiles.georeference)
    if found.unsure:
        say(f"{found.unsure} less sure than {least:.2f} left out; --min-confidence 0 keeps them")
    return MapAnswer(path, len(found.features), _summary(found, tiles, rows, path))


def _output(output: Path, crs: str, overlap: float) -> Path:
    """Where to write, with settings checked before any work is done."""
    if crs not in CRS_CHOICES:
        raise RecipeError(f"there is no output CRS {crs!r}", f"choose one of: {', '.join(CRS_CHOICES)}")
    if not 0 <= overlap <= 0.9:
        raise RecipeError(f"an overlap of {overlap} makes no sense", "give a share of a tile from 0 to 0.9")
    if output.suffix not in {".geojson", ".json", ".gpkg"}:
        raise RecipeError(
            f"cannot write {output.suffix or 'a file without ending'}", "end it in .geojson or .gpkg"
        )
    # GeoJSON is WGS 84 by definition (RFC 7946, 4)
    return output.with_suffix(".gpkg") if crs == "source" else output


def _understood(text: str, training: Training) -> Question:
    """The question as the model can be asked it; says where that is not what was asked."""
    question = understand(text, training.crops)
    asked = question.for_model(training)
    wording = asked.text()
    if asked.crop != question.crop:
        say(f"the model knows {question.crop} as {asked.crop}")
    if wording.casefold().strip(".?") != text.strip().casefold().strip(".?"):
        say(f"asked as: {wording}")
    return asked


def _counts_tiles(question: Question) -> bool:
    """Are numbers that tiles answer added up? They must not overlap then."""
    return question.total is not None and question.task in ("count", "crop_area")


def _decision(taught: TrainingQuestions, composite: str, gsd: float, dates: int) -> str:
    """How the image is shown, and after which data set, in one line."""
    like = f"as in data set {taught.name}" if taught.name else "as the model's input suggests"
    pixels = "" if taught.gsd is None else f" of {taught.gsd[0]:.3g}"
    if taught.gsd is not None and taught.gsd[1] - taught.gsd[0] > 0.01 * taught.gsd[1]:
        pixels += f" to {taught.gsd[1]:.3g}"
    trained = f" ({pixels.strip()} m in training)" if pixels else ""
    shown = "one date" if dates == 1 else f"{dates} dates"
    return f"asked {like}: {composite}, {shown}, tiles of {taught.side} px, pixels of {gsd:.3g} m{trained}"


def _frames(scene: Scene, question: Question, acquired: date | None) -> tuple[Frame, ...]:
    """All dates for a question about time; else the one that is asked for, or the last."""
    if len(scene.frames) == 1 or (question.about_time and scene.window):
        return scene.frames
    if acquired is None:
        return scene.frames[-1:]
    chosen = tuple(frame for frame in scene.frames if frame.acquired == acquired)
    if not chosen:
        dates = ", ".join(str(frame.acquired) for frame in scene.frames)
        raise DataError(f"{scene.id} has no image of {acquired}", f"choose one of: {dates}")
    return chosen


def _doubts(tiles: Tiles) -> Iterator[str]:
    """Why an answer may mean little: the model was taught something else."""
    taught, question, gsd = tiles.taught, tiles.question, tiles.georeference.gsd_m
    if taught.gsd and scale(taught.gsd, gsd) > MOST_SCALE:
        nearest = min(max(gsd, taught.gsd[0]), taught.gsd[1])
        yield f"a pixel of the image is {gsd:.3g} m, but {nearest:.3g} m in training: answers mean little"
    if not taught.task:
        yield f"the model was not taught to answer this (task {question.task}): answers mean little"


def answers(
    checkpoint: Checkpoint, tiles: Tiles, batch_size: int, track: ProgressCallback = silent
) -> list[Prediction]:
    """The answer of each tile, in no order; `track` is told of each that is there."""
    rows: list[Prediction] = []
    for batch in predict_samples(checkpoint, tiles, batch_size=batch_size, decoding=_decoding(tiles)):
        rows += batch
        track(len(batch))
    return rows


def _decoding(tiles: Tiles) -> Decoding:
    """Coordinates that can be drawn, finer than a token, and boxes where the task was taught with boxes."""
    task = TASKS.get(tiles.question.task or "")
    boxes = task is not None and task.answer in ("box", "boxes")
    return Decoding(soft_argmax=True, constrained_decoding=True, outlines=not boxes)


def _summary(found: Found, tiles: Tiles, rows: Sequence[Prediction], path: Path) -> str:
    """What to tell the asker."""
    features = found.features
    unreadable = sum(bool(row.problems) for row in rows)
    if unreadable:
        warn(f"{unreadable} of {len(rows)} answers could not be read in full")
    asked = f"{len(tiles)} tile{'s' * (len(tiles) > 1)}"
    if tiles.blank:
        asked += f" ({tiles.blank} without imagery left out)"
    if _counts_tiles(tiles.question):
        return (
            f"{_sum_of(rows, tiles.question)} (sum over {asked}; what their edges cut counts twice); {path}"
        )
    if tiles.question.total == "count":
        return f"{len(features)} on the whole map ({asked}, {found.ground_ha:.2f} ha in all); {path}"
    if tiles.question.total == "hectares":
        return f"{found.ground_ha:.2f} ha on the whole map ({asked}, {len(features)} found); {path}"
    if not features:
        return f"nothing found in {asked}; {path} holds no features"
    if "answer" in features[0].properties:
        said = Counter(feature.properties["answer"] for feature in features).most_common(5)
        return f"{asked}: " + "; ".join(f"{answer} ({n})" for answer, n in said) + f"; by tile in {path}"
    return f"{len(features)} found in {asked}, {found.ground_ha:.2f} ha in all; {path}"


def _sum_of(rows: Sequence[Prediction], question: Question) -> str:
    """Numbers that tiles answered, added up."""
    said = ("".join(part for part in row.prediction if isinstance(part, str)) for row in rows)
    total = sum(number for text in said if (number := find_number(text)) is not None)
    return f"{total:.0f}" if question.total == "count" else f"{total:.2f} ha"
