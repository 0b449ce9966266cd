"""All that is known of a scene of the user's own: parcels, zones, points, masks and boxes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from affine import Affine

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.io.csv_text import read_csv
from agrilape.sources.crop_names import crop_names, read_crop_table
from agrilape.sources.discovery import find_files
from agrilape.sources.drawn_fields import BOXES_FILE, OUTLINES_FILE, DrawnFields, read_drawn_fields
from agrilape.sources.layers import Grid
from agrilape.sources.masks import (
    MASK_ENDING,
    MASK_KINDS,
    MASK_STEMS,
    parcels_from_mask,
)
from agrilape.sources.observations import OBSERVATION_FILES, read_observations
from agrilape.sources.parcels import ParcelsOutsideImageError, ParcelTable, read_parcels
from agrilape.sources.scene import Parcel, Scene
from agrilape.sources.scene_json import SceneMetadata, nearest
from agrilape.sources.vectors import VECTOR_SUFFIXES, ZONE_LAYERS
from agrilape.sources.zones import read_zones

PARTLY = (
    "points, masks and boxes leave ground out: nothing is counted, listed or absent unless "
    "`exhaustively_labelled: true` is stated"
)
CROPS_FILE = "crops.csv"
PIXELS = Affine.identity()
EDGE = 0.5  # pixels from the image's edge within which an outline that was cut there ends


def is_parcels(path: Path) -> bool:
    """May a vector file hold parcels, going by its name?"""
    return path.stem not in {*ZONE_LAYERS, "observations"}


def label_scene(
    scene: Scene, root: Path, folder: Path, vectors: Sequence[Path], facts: SceneMetadata
) -> tuple[Scene, list[str]]:
    """A georeferenced scene with its labels, and notes on what was done to get them.

    Args:
        scene: The scene.
        root: Folder of the source; `crops.csv` and `observations.*` are looked for from `folder` up to it.
        folder: Folder of the scene's images.
        vectors: Parcel files that may belong to it.
        facts: What the user states.

    Raises:
        DataError: There are parcels, but none of their files can be used; the first one's error.
    """
    georeference = scene.georeference
    assert georeference is not None
    codes = nearest(root, folder, (CROPS_FILE,))
    crop_table = read_csv(codes) if codes else None
    crops = crop_names(crop_table) if crop_table else None
    notes = list(crop_table.notes) if crop_table else []
    if vectors:
        table = _parcels(vectors, georeference, facts, crops, _year(scene))
        notes += table.notes
        scene = replace(scene, parcels=_clipped(scene, table.parcels) if facts.clipped else table.parcels)
        for path in _zone_files(folder, vectors):
            zones, said = read_zones(path, georeference, facts.date_order)
            scene = replace(scene, zones=scene.zones + zones)
            notes += said
    if masks := [path for stem in sorted(MASK_STEMS) for path in find_files(folder, f"{stem}.tif")]:
        grid = Grid(scene.width, scene.height, georeference.transform, georeference.crs)
        drawn = tuple(parcel for path in masks for parcel in parcels_from_mask(path, grid, crops))
        scene = replace(scene, parcels=scene.parcels + drawn)
    if points := nearest(root, folder, OBSERVATION_FILES):
        observations, remarks = read_observations(points, georeference, crops, facts.date_order)
        notes += remarks
        scene = replace(scene, observations=observations)
    if facts.labelled_area == "parcels":
        scene = replace(scene, region=shapely.union_all([parcel.outline for parcel in scene.parcels]))
    partly = bool(masks) or (bool(scene.observations) and not scene.parcels)
    return _with_coverage(scene, facts, partly, notes), notes


@dataclass(frozen=True)
class PictureLabels:
    """The labels beside the plain pictures of a folder.

    Attributes:
        crops: The user's crop names by code; None for none.
        masks: Masks `<name>_labels.png` by the name of their picture, without its suffix.
        tables: Boxes and outlines.
    """

    crops: Mapping[str, str] | None
    masks: Mapping[str, Path]
    tables: tuple[DrawnFields, ...]

    @classmethod
    def beside(cls, root: Path, folder: Path) -> PictureLabels:
        """Look once into a folder, however many pictures it holds.

        Raises:
            DataError: A table cannot be used.
        """
        codes = nearest(root, folder, (CROPS_FILE,))
        masks: dict[str, Path] = {}
        for kind in MASK_KINDS:
            for path in find_files(folder, f"*{MASK_ENDING}{kind}"):
                masks.setdefault(path.stem.removesuffix(MASK_ENDING), path)
        tables = [folder / name for name in (OUTLINES_FILE, BOXES_FILE)]
        drawn = tuple(read_drawn_fields(path) for path in tables if path.is_file())
        return cls(read_crop_table(codes) if codes else None, masks, drawn)

    def label(self, scene: Scene, image: Path, facts: SceneMetadata) -> tuple[Scene, list[str]]:
        """The scene of a picture with the fields of its mask, outlines and boxes, and notes.

        Raises:
            DataError: They cannot be used.
        """
        grid = Grid(scene.width, scene.height, PIXELS, None)
        mask = self.masks.get(image.stem)
        parcels = parcels_from_mask(mask, grid, self.crops) if mask else ()
        notes: list[str] = []
        for table in self.tables:
            drawn, said = table.parcels(image.name, grid, self.crops)
            parcels += drawn
            notes += said
        return _with_coverage(replace(scene, parcels=parcels), facts, bool(parcels), notes), notes


def _clipped(scene: Scene, parcels: Sequence[Parcel]) -> tuple[Parcel, ...]:
    """Parcels that were cut at the image's edge: how large those are that end there is not known."""
    inside = shapely.box(EDGE, EDGE, scene.width - EDGE, scene.height - EDGE)
    return tuple(
        parcel
        if inside.covers(parcel.outline)
        else replace(parcel, area_ha=None, attributes={**parcel.attributes, "clipped": True})
        for parcel in parcels
    )


def _with_coverage(scene: Scene, facts: SceneMetadata, partly: bool, notes: list[str]) -> Scene:
    """The scene with whether all its fields are labelled, and which share of its ground lies in parcels.

    It is never assumed: where nobody states it, `meta["labelled_share"]` says what speaks for it. Points,
    masks and boxes leave ground out (`partly`), which is noted.
    """
    if facts.exhaustively_labelled is not None:
        return replace(scene, exhaustively_labelled=facts.exhaustively_labelled)
    if partly:
        notes.append(PARTLY)
        return replace(scene, exhaustively_labelled=False)
    image = shapely.box(0, 0, scene.width, scene.height)
    outlines = np.array([parcel.outline for parcel in scene.parcels], object)
    covered = shapely.union_all(shapely.intersection(outlines, image)).area if len(outlines) else 0.0
    meta = {**scene.meta, "labelled_share": round(covered / image.area, 3)}
    return replace(scene, exhaustively_labelled=False, meta=meta)


def _year(scene: Scene) -> int | None:
    """The year of a scene's images, for tables that hold several."""
    days = [frame.acquired for frame in scene.frames if frame.acquired]
    return days[len(days) // 2].year if days else None


def _zone_files(folder: Path, vectors: Sequence[Path]) -> list[Path]:
    """The parcel files, whose further layers may be zones, and files of zones beside the images."""
    beside = (path for name in ZONE_LAYERS for path in find_files(folder, f"{name}.*"))
    return [*vectors, *(path for path in beside if path.suffix.lower() in VECTOR_SUFFIXES)]


def _parcels(
    vectors: Sequence[Path],
    georeference: Georeference,
    facts: SceneMetadata,
    crops: dict[str, str] | None,
    year: int | None,
) -> ParcelTable:
    tables: list[ParcelTable] = []
    errors: list[DataError] = []
    for vector in vectors:
        try:
            tables.append(
                read_parcels(
                    vector, georeference, facts.crop_column, crops, facts.date_order, facts.layer, year
                )
            )
        except DataError as error:
            errors.append(error)
    if not tables and errors:
        raise errors[0]
    # Files of other scenes lie elsewhere, as they should; what is wrong with the rest is said.
    lost = [
        f"skipped labels: {error.problem}"
        for error in errors
        if not isinstance(error, ParcelsOutsideImageError)
    ]
    return ParcelTable(
        tuple(parcel for table in tables for parcel in table.parcels),
        (*(note for table in tables for note in table.notes), *lost),
    )
