"""All that is known of a scene of the user's own: parcels, zones, points, masks and boxes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from affine import Affine

from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.sources.crops import read_crop_table
from agrilape.sources.discovery import find_files
from agrilape.sources.facts import SceneFacts, nearest
from agrilape.sources.layers import Grid
from agrilape.sources.masks import BOXES_FILE, MASK_ENDING, MASK_STEMS, parcels_from_boxes, parcels_from_mask
from agrilape.sources.observations import OBSERVATION_FILES, read_observations
from agrilape.sources.parcels import ParcelTable, read_parcels
from agrilape.sources.scene import Scene
from agrilape.sources.vectors import VECTOR_SUFFIXES
from agrilape.sources.zones import ZONE_LAYERS, read_zones

CROPS_FILE = "crops.csv"
PIXELS = Affine.identity()


def is_parcels(path: Path) -> bool:
    """May a vector file hold parcels, going by its name?"""
    return path.stem not in {*ZONE_LAYERS, "observations"}


def label_scene(
    scene: Scene, root: Path, folder: Path, vectors: Sequence[Path], facts: SceneFacts
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
    crops = read_crop_table(codes) if codes else None
    notes: list[str] = []
    if vectors:
        table = _parcels(vectors, georeference, facts.crop_column, crops)
        notes += table.notes
        zones = [zone for path in _zone_files(folder, vectors) for zone in read_zones(path, georeference)]
        scene = replace(scene, parcels=table.parcels, zones=tuple(zones))
    if masks := [path for stem in sorted(MASK_STEMS) for path in find_files(folder, f"{stem}.tif")]:
        grid = Grid(scene.width, scene.height, georeference.transform, georeference.crs)
        drawn = tuple(parcel for path in masks for parcel in parcels_from_mask(path, grid, crops))
        scene = replace(scene, parcels=scene.parcels + drawn)
    if points := nearest(root, folder, OBSERVATION_FILES):
        observations, said = read_observations(points, georeference, crops)
        notes += said
        scene = replace(scene, observations=observations)
    partly = bool(masks) or (bool(scene.observations) and not scene.parcels)
    return replace(scene, fully_labelled=_complete(facts, partly)), notes


def label_picture(scene: Scene, root: Path, image: Path, facts: SceneFacts) -> Scene:
    """A plain picture with the mask `<name>_labels.png` or the lines of `boxes.csv` beside it.

    Raises:
        DataError: They cannot be used.
    """
    grid = Grid(scene.width, scene.height, PIXELS, None)
    codes = nearest(root, image.parent, (CROPS_FILE,))
    crops = read_crop_table(codes) if codes else None
    masks = list(find_files(image.parent, f"{escape(image.stem)}{MASK_ENDING}.png"))
    boxes = image.parent / BOXES_FILE
    parcels = parcels_from_mask(masks[0], grid, crops) if masks else ()
    parcels += parcels_from_boxes(boxes, image.name) if boxes.is_file() else ()
    return replace(scene, parcels=parcels, fully_labelled=_complete(facts, partly=bool(parcels)))


def _complete(facts: SceneFacts, partly: bool) -> bool:
    """Is every field labelled? Points, masks and boxes leave ground out (`partly`) unless it is stated."""
    return facts.fully_labelled and ("fully_labelled" in facts.model_fields_set or not partly)


def _zone_files(folder: Path, vectors: Sequence[Path]) -> list[Path]:
    """The parcel files, whose further layers may be zones, and files of zones beside the images."""
    beside = (path for name in ZONE_LAYERS for path in find_files(folder, f"{name}.*"))
    return [*vectors, *(path for path in beside if path.suffix.lower() in VECTOR_SUFFIXES)]


def _parcels(
    vectors: Sequence[Path],
    georeference: Georeference,
    crop_column: str | None,
    crops: dict[str, str] | None,
) -> ParcelTable:
    tables: list[ParcelTable] = []
    first: DataError | None = None
    for vector in vectors:
        try:
            tables.append(read_parcels(vector, georeference, crop_column, crops))
        except DataError as error:
            first = first or error
    if not tables and first is not None:
        raise first
    return ParcelTable(
        tuple(parcel for table in tables for parcel in table.parcels),
        tuple(note for table in tables for note in table.notes),
    )
