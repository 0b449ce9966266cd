"""The files of the page, and those of MapLibre, which come in the package `maplibre` (BSD-3-Clause)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

PAGE = Path(__file__).parent / "page"
OURS = ("index.html", "page.js", "page.css")
THEIRS = ("maplibre-gl.js", "maplibre-gl.css")


@cache
def page_file(name: str) -> Path | None:
    """Where a file of the page lies; None if there is no such file."""
    if name in OURS:
        return PAGE / name
    if name in THEIRS:  # located without importing the package, whose Python wants more packages
        return Path(str(distribution("maplibre").locate_file(f"maplibre/srcjs/{name}")))
    return None
