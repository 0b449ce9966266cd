"""The images that a service may be asked about: those below a folder, and uploaded ones; nothing else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from shapely.geometry import shape

from agrilape.errors import AgrilapeError, DataError
from agrilape.files import check_name
from agrilape.serve.imagery import open_image
from agrilape.server.problems import RequestError
from agrilape.sources.composite import COMPOSITES
from agrilape.sources.masks import is_mask
from agrilape.sources.scene import Scene

SUFFIXES = (".tif", ".tiff", ".jp2")
"""Virtual rasters are not among them: they show other files."""
UPLOADED = "upload-"
MOST_LISTED = 1000


class Images:
    """Images by name.

    Args:
        folder: What lies below it may be asked about; None for nothing.
        uploads: Where uploaded images are kept.
        most_pixels: Columns times rows of one.
        keep_s: Seconds that an uploaded one is kept.
    """

    def __init__(self, folder: Path | None, uploads: Path, most_pixels: int, keep_s: float) -> None:
        self.folder = folder.resolve() if folder else None
        self.uploads, self.most_pixels, self.keep_s = uploads.resolve(), most_pixels, keep_s
        self.uploads.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Names of the images below the folder, and of the uploaded ones."""
        found = []
        if self.folder is not None:
            for path in sorted(self.folder.rglob("*")):
                is_image = path.suffix.lower() in SUFFIXES and not is_mask(path)
                if is_image and self._is_inside(path, self.folder):
                    found.append(path.relative_to(self.folder).as_posix())
                if len(found) >= MOST_LISTED:
                    break
        return found + sorted(path.name for path in self.uploads.glob(f"{UPLOADED}*"))

    def path(self, name: str) -> Path:
        """Where an image lies.

        Raises:
            RequestError: There is none of this name among those that may be asked about.
        """
        missing = RequestError(404, f"there is no image {name[:100]!r}", "GET /v1/images lists what there is")
        try:
            check_name(name, "the name of an image")
        except DataError as error:
            raise missing from error
        root = self.uploads if name.startswith(UPLOADED) and "/" not in name else self.folder
        if root is None or Path(name).suffix.lower() not in SUFFIXES:
            raise missing
        path = root / name
        try:
            inside = self._is_inside(path, root)
        except (OSError, ValueError) as error:
            raise missing from error
        if not inside:
            raise missing
        return path.resolve()

    @staticmethod
    def _is_inside(path: Path, root: Path) -> bool:
        """Is it a file below a folder, also where links lead?"""
        return path.is_file() and path.resolve().is_relative_to(root)

    def new_upload(self, suffix: str = ".tif") -> Path:
        """Where to write an uploaded image; those that are too old go."""
        for old in self.uploads.glob(f"{UPLOADED}*"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > self.keep_s:
                    old.unlink()
        return self.uploads / f"{UPLOADED}{secrets.token_hex(8)}{suffix}"

    @contextmanager
    def open(self, path: Path) -> Iterator[Scene]:
        """An image as a scene.

        Raises:
            RequestError: It cannot be read (422), or is too large (413).
        """
        try:
            with open_image(path) as scene:
                if scene.georeference is None:
                    raise RequestError(
                        422,
                        f"{path.name} has no place on the map",
                        "give it one: gdal_translate -a_srs EPSG:...",
                    )
                if scene.width * scene.height > self.most_pixels:
                    raise RequestError(
                        413,
                        f"an image of {scene.width} x {scene.height} pixels is too large; "
                        f"{self.most_pixels:,} pixels are allowed",
                        "cut it: gdal_translate -srcwin COLUMN ROW WIDTH HEIGHT",
                    )
                yield scene
        except RequestError:
            raise
        except AgrilapeError as error:
            raise RequestError(
                422, _without_folders(error.problem, path), _without_folders(error.remedy, path)
            ) from error


def _without_folders(text: str, path: Path) -> str:
    """Words about a file, without the folders of this machine."""
    return text.replace(str(path), path.name).replace(str(path.parent), "")


def describe(name: str, scene: Scene) -> dict[str, Any]:
    """What a client is told of an image."""
    grid = scene.georeference
    assert grid is not None
    outline = grid.to_geojson(grid.extent)
    bands = scene.frames[-1].bands
    shown = [one for one, roles in COMPOSITES.items() if set(roles) <= set(bands)]
    shown += [one for one in ("ndvi", "ndwi", "ndmi", "evi") if one in bands]
    return {
        "name": name,
        "width": scene.width,
        "height": scene.height,
        "crs": grid.crs if len(grid.crs) < 40 else "see the file",
        "gsd_m": round(grid.gsd_m, 4),
        "bounds": list(shape(outline).bounds),
        "dates": [frame.acquired and frame.acquired.isoformat() for frame in scene.frames],
        "bands": list(bands),
        "composites": shown or [bands[0]],
        "notes": list(scene.meta.get("notes", ())),
    }  # fmt: skip


@lru_cache(maxsize=16)
def scene_of(path: Path, changed: int) -> Scene:
    """A scene whose file stays, remembered until it changes: its stretch is measured only once."""
    with open_image(path) as scene:
        return scene
