"""One question about many places of an image: a row in, a row out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import pandas
import shapely
import shapely.geometry
from shapely import Geometry

from agrilape.console import ProgressCallback
from agrilape.dataset.lazy import LazyExamples
from agrilape.dataset.types import Example
from agrilape.errors import DataError
from agrilape.evaluate.inference import predict_samples
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.georeference import Georeference
from agrilape.serve.asking import AskedImage, AskSettings, decoding_of
from agrilape.serve.coordinates import extent
from agrilape.serve.features import answer_in_words, calibrated, certainty_of, pieces_of
from agrilape.serve.geofile import Feature
from agrilape.serve.place_table import points_of
from agrilape.serve.predictor import Predictor
from agrilape.serve.tiles import LEAST_SEEN, Pixel, Tiles
from agrilape.sources.scene import PixelWindow, Scene

SNAP = 8
"""Places within a SNAP-th of a tile's side of each other may share a tile, whose image is encoded once."""
ANSWERED, OUTSIDE, NO_IMAGERY, NO_PLACE, UNSURE = (
    "answered", "outside the image", "no imagery", "no place", "less sure than asked for",
)  # fmt: skip
_HERE = {
    "at": re.compile(r"\b(?:at this (?:place|point)|here|there)\b", re.IGNORECASE),
    "bei": re.compile(r"\b(?:an dieser stelle|hier|dort)\b", re.IGNORECASE),
}
_PLACE = "{place}"

Row: TypeAlias = int


class PlaceTiles(LazyExamples):
    """Tiles around places, each with a question for every place that it stands for.

    Args:
        tiles: How the scene is shown and asked.
        pixels: Of each row its place in pixels of the scene.

    Attributes:
        windows: The tiles.
        rows: The rows that each tile answers.
        blank: Rows whose tile shows no ground.
    """

    def __init__(self, tiles: Tiles, pixels: dict[Row, Pixel]) -> None:
        self._tiles, self._pixels = tiles, pixels
        groups: dict[PixelWindow, list[Row]] = defaultdict(list)
        for row, pixel in pixels.items():
            groups[tiles.around([pixel], snap=SNAP)].append(row)
        seen = {window: tiles.seen(window) >= LEAST_SEEN for window in groups}
        self.windows = [window for window in groups if seen[window]]
        self.rows = [groups[window] for window in self.windows]
        self.blank = {row for window, rows in groups.items() if not seen[window] for row in rows}

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.windows)

    def make(self, position: int) -> Example:
        """Read one tile."""
        chip = self._tiles.chip(str(position), self.windows[position])
        return Example(
            chip,
            tuple(
                self._tiles.sample(str(row), chip, self.windows[position], (self._pixels[row],))
                for row in self.rows[position]
            ),
        )


def answer_places(
    predictor: Predictor,
    scene: Scene,
    question: str,
    table: Any,
    settings: AskSettings,
    batch_size: int,
    track: ProgressCallback,
) -> tuple[AskedImage, list[Feature]]:
    """Ask one question about the place of each row of a table.

    Args:
        predictor: The model.
        scene: The image.
        question: About one place: `{place}` or a word like `here` in it stands for the place, which else goes
            to its end.
        table: See `place_table.read_places`.
        settings: How the image is asked.
        batch_size: Questions that are answered at once.
        track: Told how many rows were answered.

    Returns:
        What was asked, and one feature for each row in its order: the row's columns, `answer`, `confidence`,
        `area_ha` and `status`; its outline where one was found, else the geometry that it came with.

    Raises:
        DataError: The image has no place on the map, none of the places lies in it, or the question is not
            about one place.
    """
    if scene.georeference is None:
        raise DataError(
            f"{scene.id} has no place on the map, so that places of a table cannot be found in it",
            "give a GeoTIFF, or a picture whose camera tags say where it was taken",
        )
    points = points_of(table, scene.georeference.crs)
    pixels = {row: pixel for row, point in enumerate(points) if point and (pixel := _pixel(scene, point))}
    if not pixels:
        raise DataError(
            f"none of the {len(table)} places lies in {scene.id}",
            f"the image covers {extent(scene.georeference)}",
        )
    asked = _about_one_place(predictor, scene, question, next(iter(pixels.values())), settings)
    tiles = PlaceTiles(asked.tiles, pixels)
    rows: dict[Row, Prediction] = {}
    windows = {row: tiles.windows[number] for number, rows_of in enumerate(tiles.rows) for row in rows_of}
    batches = predict_samples(
        predictor.checkpoint,
        tiles,
        batch_size=batch_size,
        decoding=decoding_of(asked.tiles.question),
        device=predictor.device,
    )
    for batch in batches:
        rows |= {int(one.id): one for one in calibrated(batch, asked.calibrator)}
        track(len(batch))
    status = {
        row: ANSWERED
        if row in rows
        else NO_IMAGERY
        if row in tiles.blank
        else (OUTSIDE if point else NO_PLACE)
        for row, point in enumerate(points)
    }
    return asked, list(_features(asked, table, status, rows, windows, pixels))


def summary_of(features: Sequence[Feature]) -> str:
    """How many rows came to what, in a sentence."""
    own = "agrilape_status" if "agrilape_status" in features[0].properties else "status"
    counts = Counter(str(feature.properties[own]) for feature in features)
    return f"{len(features)} rows: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())


def csv_text(features: Sequence[Feature], asked: AskedImage) -> str:
    """Rows as CSV: their columns, the answers, and the outline as well-known text in WGS 84."""
    georeference = asked.tiles.georeference
    records = [
        {**feature.properties, "outline": _outline_wkt(feature.outline, georeference)} for feature in features
    ]
    text: str = pandas.DataFrame(records).to_csv(index=False)
    return text


def _outline_wkt(outline: Geometry, georeference: Georeference) -> str:
    """Well-known text in WGS 84; nothing for a row without a place."""
    return "" if outline.is_empty else str(shapely.geometry.shape(georeference.to_geojson(outline)).wkt)


def _about_one_place(
    predictor: Predictor, scene: Scene, question: str, pixel: Pixel, settings: AskSettings
) -> AskedImage:
    """The question about the first of the places, which stands for all."""
    assert scene.georeference is not None
    place = scene.georeference.from_pixels(shapely.Point(pixel))
    longitude, latitude = scene.georeference.to_geojson(place)["coordinates"]
    said = f"{longitude:.7f}, {latitude:.7f}"
    asked = predictor.asked(scene, _with_place(question).replace(_PLACE, said), settings)
    if len(asked.tiles.question.places) != 1:
        raise DataError(
            f"{question!r:.100} is not about one place", 'ask as "what grows here?" or "which field is here?"'
        )
    facts = {
        name: value.replace(said, "each place") if isinstance(value, str) else value
        for name, value in asked.facts.items()
    }
    return replace(asked, facts=facts, notes=tuple(note.replace(said, "each place") for note in asked.notes))


def _with_place(question: str) -> str:
    """A question with `{place}` in it, instead of the word that stands for it or at its end."""
    if _PLACE in question:
        return question
    for preposition, here in _HERE.items():
        if here.search(question):
            return here.sub(f"{preposition} {_PLACE}", question, count=1)
    return f"{question.strip().rstrip('?. ')} at {_PLACE}?"


def _pixel(scene: Scene, point: tuple[float, float]) -> Pixel | None:
    """Where a point of the map lies in the image; None if it does not."""
    assert scene.georeference is not None
    x, y = scene.georeference.to_normalised(*point)
    return (x * scene.width, y * scene.height) if 0 <= x <= 1 and 0 <= y <= 1 else None


def _features(
    asked: AskedImage,
    table: Any,
    status: dict[Row, str],
    rows: dict[Row, Prediction],
    windows: dict[Row, PixelWindow],
    pixels: dict[Row, Pixel],
) -> Iterator[Feature]:
    georeference = asked.tiles.georeference
    given = table.to_crs(georeference.crs).geometry
    columns = table.drop(columns=table.geometry.name)
    ours = {name: _own(columns.columns, name) for name in ("answer", "confidence", "area_ha", "status")}
    for row, record in enumerate(columns.to_dict("records")):
        said: dict[str, Any] = {"answer": None, "confidence": None, "area_ha": None, "status": status[row]}
        outline = given.iloc[row]
        if row in rows:
            found = _outline(rows[row], windows[row], pixels[row])
            confidence = certainty_of(rows[row]) if found is None else found[1]
            said["confidence"] = round(confidence, 3)
            if confidence < asked.least:
                said["status"] = UNSURE
            else:
                said["answer"] = answer_in_words(rows[row]) or None
                if found is not None:
                    outline = georeference.from_pixels(found[0])
                    said["area_ha"] = round(georeference.area_ha(outline), 4)
        plain = {str(name): _plain(value) for name, value in record.items()}
        own = {ours[name]: value for name, value in said.items()}
        facts = {name: value for name, value in asked.facts.items() if name not in plain}
        yield Feature(f"{asked.tiles.scene.id}-row-{row + 1:05d}", outline, {**plain, **own, **facts})


def _outline(row: Prediction, window: PixelWindow, pixel: Pixel) -> tuple[Geometry, float] | None:
    """The outline that was answered, and its confidence: of several one that holds the place, the surest."""
    pieces = list(pieces_of(row, window))
    if not pieces:
        return None
    place = shapely.Point(pixel)
    best = max(pieces, key=lambda piece: (piece.outline.covers(place), piece.confidence))
    return best.outline, best.confidence


def _own(taken: Any, name: str) -> str:
    """A name for a column of ours that is not one of the table's."""
    return name if name not in taken else f"agrilape_{name}"


def _plain(value: Any) -> Any:
    """A cell as JSON has it."""
    if value is None or (pandas.api.types.is_scalar(value) and pandas.isna(value)):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)
