"""Answers drawn over their image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agrilape.serve.imagery import open_image
from agrilape.sources.scene import PixelWindow, Scene

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MOST_PIXELS = 2048
"""Largest side of what is shown of an image."""
MARGIN = 0.25
"""Ground that is shown around the answers, as a share of theirs."""


def plot(
    answers: GeoDataFrame, image: Any, ax: Any = None, composite: str = "true_colour", **how: Any
) -> Any:
    """Draw answers over their image, coloured by confidence.

    Args:
        answers: What `Predictor.ask` returned, or rows of it.
        image: The image, as it was given to `ask`.
        ax: Axes of matplotlib; None makes some.
        composite: How bands become colours.
        how: `transform`, `crs`, `bands` and `sensor` of the image, as `ask` takes them.

    Returns:
        The axes, in map coordinates of the image.
    """
    from matplotlib import pyplot

    axes = pyplot.subplots(figsize=(8, 8))[1] if ax is None else ax
    with open_image(image, **how) as scene:
        there = answers.to_crs(scene.georeference.crs) if scene.georeference else answers
        window = _shown(scene, there)
        step = -(-max(window.width, window.height) // MOST_PIXELS)
        picture = scene.frames[-1].picture(window, composite)[::step, ::step]
        left, bottom, right, top = _edges(scene, window)
        axes.imshow(picture, extent=(left, right, bottom, top), interpolation="nearest")
    if len(there):
        colour = (
            {"column": "confidence", "vmin": 0, "vmax": 1, "legend": True} if "confidence" in there else {}
        )
        there.boundary.plot(ax=axes, color="black", linewidth=3)
        edges = there.set_geometry(there.boundary)
        edges.plot(ax=axes, linewidth=1.6, cmap="viridis", legend_kwds={"label": "confidence"}, **colour)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_title(answers.attrs.get("question", ""))
    return axes


def _edges(scene: Scene, window: PixelWindow) -> tuple[float, ...]:
    """Left, bottom, right and top of a window on the map; in pixels of a picture without a place."""
    if scene.georeference is None:
        return window.column, window.row + window.height, window.column + window.width, window.row
    edges: tuple[float, ...] = scene.georeference.window(window).extent.bounds
    return edges


def _shown(scene: Scene, answers: GeoDataFrame) -> PixelWindow:
    """The whole image, or of a large one what lies around the answers."""
    if not len(answers) or max(scene.width, scene.height) <= MOST_PIXELS:
        return PixelWindow(0, 0, scene.width, scene.height)
    outlines = answers.geometry.to_numpy()
    outlines = scene.georeference.to_pixels(outlines) if scene.georeference else outlines
    left, top = min(one.bounds[0] for one in outlines), min(one.bounds[1] for one in outlines)
    right, bottom = max(one.bounds[2] for one in outlines), max(one.bounds[3] for one in outlines)
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    column, row = max(int(left - across), 0), max(int(top - down), 0)
    return PixelWindow(
        column, row, min(int(right + across) + 1, scene.width) - column,
        min(int(bottom + down) + 1, scene.height) - row,
    )  # fmt: skip
