"""A model in use: loaded once, asked about any number of images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.calibrator import UNCALIBRATED, read_calibrator
from agrilape.evaluate.predictions import Prediction
from agrilape.model import find_checkpoint, load_checkpoint
from agrilape.model.checkpoint_files import find_local
from agrilape.model.resolve import SHIPPED, SHIPPED_NAME
from agrilape.serve.asking import AskedImage, AskSettings, answer_tiles, ask_image
from agrilape.serve.geofile import features_table
from agrilape.serve.imagery import open_image
from agrilape.serve.tiles import OVERLAP
from agrilape.serve.training_questions import Training, training_of

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

BATCH = 32
"""Tiles that the model answers at once."""
STREAMED = 4
"""Likewise where answers are waited for one by one."""


@dataclass(frozen=True)
class TileAnswer:
    """What one tile answered, not yet joined with its neighbours.

    Attributes:
        number: Number of tiles answered so far, this one among them.
        total: Number of tiles in all.
        answers: Its features, in the image's CRS; without any, a table without rows.
    """

    number: int
    total: int
    answers: GeoDataFrame


class Predictor:
    """A model that answers questions about images on the map.

    Args:
        checkpoint: A run folder (its last stage), a stage, an adapter, or a model on the Hugging Face hub;
            None: the small model that comes with agrilape.
        device: Such as `cuda:1` or `cpu`; None: a GPU if there is one.
        dtype: Of the weights, such as `torch.bfloat16` or its name; None: as saved.

    Attributes:
        name: What the model is called in answers.
        checkpoint: Model and processor.
        training: What the model was taught to be asked.

    Raises:
        ModelError: There is no such checkpoint, or it cannot be loaded.
        RecipeError: There is no such device or type.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        named = SHIPPED if checkpoint in (None, SHIPPED_NAME) else checkpoint
        assert named is not None
        self.device = _device(device)
        folder = _folder(named)
        self.name = Path(named).name or str(named)
        self.checkpoint = load_checkpoint(folder or str(named), dtype=_dtype(dtype))
        self.checkpoint.model.to(self.device)
        self.training = training_of(folder) if folder else Training(())
        self.calibrator = read_calibrator(folder) if folder else UNCALIBRATED

    def ask(
        self,
        image: Any,
        question: str,
        at: Any = None,
        min_confidence: float | None = None,
        *,
        transform: Any = None,
        crs: Any = None,
        bands: Sequence[str] = (),
        sensor: str | None = None,
        acquired: date | None = None,
        composite: str | None = None,
        overlap: float = OVERLAP,
        tile: int | None = None,
        batch_size: int = BATCH,
    ) -> GeoDataFrame:
        """The answer to a question about an image.

        Args:
            image: Path, open rasterio dataset, `xarray.DataArray`, or array `[bands, height, width]`.
            question: In English or German words of one's own: "where are the maize fields?".
            at: The place that is asked about: longitude and latitude in degrees, or a shapely Point of them.
            min_confidence: Leave out what is less sure, 0 to 1; None: the best on the val split, if the
                checkpoint was calibrated.
            transform: Of an array: affine transform from pixel (column, row) to map coordinates.
            crs: Of an array: its coordinate reference system.
            bands: Of an array: names of its bands, or their dates.
            sensor: Name of the sensor: which band is B5.
            acquired: Date of the image, if it does not say; of several dates, the one to look at.
            composite: How bands become colours; None: as in training.
            overlap: Share of a tile that its neighbours repeat, in [0, 0.9].
            tile: Side of a tile in pixels; None: as in training.
            batch_size: Tiles that the model answers at once.

        Returns:
            One row per object, or per tile for an answer without places, in the image's CRS, with fiboa 0.3
            names (`determination:datetime`, `metrics:area` in square metres), `area_ha`, `confidence`,
            `tiles`, or `answer`. Its `attrs` hold `question`, `summary`, `notes` and `doubts`;
            `agrilape.plot` draws it over the image.

        Raises:
            DataError: The image cannot be read, has no CRS or shows nothing; the question is not understood.
            RecipeError: A setting is not one of those above.
        """
        settings = AskSettings(composite, overlap, tile, acquired, min_confidence)
        with open_image(image, transform=transform, crs=crs, bands=bands, sensor=sensor) as scene:
            asked = self.asked(scene, with_place(question, at), settings)
            for doubt in asked.doubts:
                warnings.warn(doubt, stacklevel=2)
            rows = [row for batch in self.answer(asked, batch_size) for row in batch]
        return answer_table(asked, rows)

    def stream(
        self,
        image: Any,
        question: str,
        at: Any = None,
        min_confidence: float | None = None,
        *,
        transform: Any = None,
        crs: Any = None,
        bands: Sequence[str] = (),
        sensor: str | None = None,
        acquired: date | None = None,
        composite: str | None = None,
        overlap: float = OVERLAP,
        tile: int | None = None,
        batch_size: int = STREAMED,
    ) -> Iterator[TileAnswer]:
        """As `ask`, but each tile's answer as soon as it is there; what two tiles see comes twice."""
        settings = AskSettings(composite, overlap, tile, acquired, min_confidence)
        with open_image(image, transform=transform, crs=crs, bands=bands, sensor=sensor) as scene:
            asked = self.asked(scene, with_place(question, at), settings)
            done = 0
            for batch in self.answer(asked, batch_size):
                for row in batch:
                    done += 1
                    yield TileAnswer(done, len(asked.tiles), answer_table(asked, [row]))

    def asked(self, scene: Any, question: str, settings: AskSettings | None = None) -> AskedImage:
        """A question about a scene, put as the model was taught to be asked; see `ask_image`."""
        return ask_image(
            scene,
            question,
            self.checkpoint,
            self.training,
            self.calibrator,
            settings or AskSettings(),
            self.name,
        )

    def answer(self, asked: AskedImage, batch_size: int = BATCH) -> Iterator[list[Prediction]]:
        """The answers of the tiles, batch by batch."""
        return answer_tiles(self.checkpoint, asked.tiles, batch_size, self.device)


def answer_table(asked: AskedImage, rows: Sequence[Prediction]) -> GeoDataFrame:
    """Answers of tiles as a table, in the image's CRS."""
    found = asked.found(rows)
    table = features_table(found.features, grid.crs if (grid := asked.tiles.scene.georeference) else None)
    table.attrs = {
        "question": asked.tiles.question.text(asked.tiles.taught.language),
        "summary": asked.summary(found, rows),
        "unsure": found.unsure,
        "notes": list(asked.notes),
        "doubts": list(asked.doubts),
    }
    return table


def with_place(question: str, at: Any) -> str:
    """A question with the place that it is about in it.

    Args:
        question: `{place}` in it stands for the place, which else goes to its end.
        at: Longitude and latitude in degrees, or something with `x` and `y` that are these; None: as it is.

    Raises:
        DataError: That is no place.
    """
    if at is None:
        return question
    try:
        longitude, latitude = (at.x, at.y) if hasattr(at, "x") else at
        place = f"{float(longitude):.7f}, {float(latitude):.7f}"
    except (TypeError, ValueError) as error:
        raise DataError(f"{str(at)[:80]} is no place", "give longitude and latitude in degrees") from error
    if "{place}" in question:
        return question.replace("{place}", place)
    return f"{question.strip().rstrip('?. ')} at {place}?"


def _folder(named: str | Path) -> Path | None:
    """Where a model lies on this machine; None: on the hub, and no checkpoint of agrilape."""
    path = Path(named)
    if isinstance(named, Path) or path.exists() or path.is_absolute() or len(path.parts) > 2:
        return find_checkpoint(path) if not _is_plain_model(path) else path
    found = find_local(named)
    return found if isinstance(found, Path) else None


def _is_plain_model(path: Path) -> bool:
    return (path / "config.json").is_file()


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"there is no device {device}: {reason}", "use cpu, or leave it out") from error
    return chosen


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, dtype.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise RecipeError(f"there is no type {dtype!r}", "use float32, bfloat16 or float16")
    return found
