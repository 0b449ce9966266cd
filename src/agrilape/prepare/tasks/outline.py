"""The outline of a field as a polygon of few vertices, with its error stated."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import shapely
from shapely import Geometry

from agrilape.dataset.prompt_templates import PromptTemplates
from agrilape.geo.shapes import Point, Polygon
from agrilape.prepare.annotations import ChipAnnotations
from agrilape.prepare.tasks.builder import Draft, builder
from agrilape.prepare.tasks.shared import field_truth, points_in

MAX_VERTICES = 12  # of an outline: two position tokens each
COARSE = 0.002  # share of the image; detail below it is not worth a vertex
WORST_IOU = 0.9  # an outline that needs more vertices than that is not asked for


@builder
def field_outline(view: ChipAnnotations, rng: random.Random, templates: PromptTemplates) -> Iterator[Draft]:
    """The visible part of a field as a polygon; how far it strays from the label is in the provenance."""
    for one in view.clear_fields:
        outline = simplified(one.outline)
        if outline is None:
            continue
        provenance = {"rule": f"outline of at most {MAX_VERTICES} vertices", "parcels": [one.id]}
        for point in points_in(one, rng):
            yield Draft(
                {"point": point}, (outline,), field_truth(one), provenance | errors(outline, one.outline)
            )


def simplified(geometry: Geometry, vertices: int = MAX_VERTICES) -> Polygon | None:
    """The outer ring of a geometry with at most so many vertices, in canonical order.

    Vertices are dropped by the rule of Douglas and Peucker (1973), no further from the simpler line than a
    tolerance, which is raised until few enough are left.

    Args:
        geometry: A polygon in normalised coordinates; holes are filled.
        vertices: Most vertices.

    Returns:
        The outline; None if one so simple would miss the shape (IoU below `WORST_IOU`).
    """
    shell = shapely.Polygon(shapely.get_exterior_ring(geometry))
    for tolerance in COARSE * 1.5 ** np.arange(16):
        simple = shapely.simplify(shell, tolerance)
        if len(simple.exterior.coords) - 1 > vertices:
            continue
        found = Polygon(tuple(Point(x, y) for x, y in simple.exterior.coords[:-1])).canonical()
        return found if overlap(found, geometry) >= WORST_IOU else None
    return None


def overlap(outline: Polygon, geometry: Geometry) -> float:
    """IoU of an outline and a geometry."""
    simple = shapely.Polygon(outline.points)
    return float(simple.intersection(geometry).area / simple.union(geometry).area)


def errors(outline: Polygon, geometry: Geometry) -> dict[str, float]:
    """How far an outline strays: IoU, and the largest distance (Hausdorff) as a share of the image."""
    ring, shell = shapely.LinearRing(outline.points), shapely.get_exterior_ring(geometry)
    return {
        "iou": round(overlap(outline, geometry), 4),
        "stray": round(float(shapely.hausdorff_distance(ring, shell)), 4),
    }
