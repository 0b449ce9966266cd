"""The map of a farm landscape: roads make blocks, blocks are parted into fields, nature takes its share.

Plane coordinates in metres from the scene's lower left corner, x east and y north.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry, LineString, MultiPoint, Polygon, STRtree

from agrilape.simulate.outlines import SmoothDisplacement, blob, cut, long_axis, meander, polygons, rectangle
from agrilape.simulate.regions import Region

Array = NDArray[np.float64]

_GAPS_M = {"track": 8.0, "hedge": 9.0, "verge": 3.0}
_WIDTHS_M = {"road": 9.0, "track": 5.0, "hedge": 8.0}
_VERGE_M = 4.0


@dataclass(frozen=True)
class Plot:
    """A field before it has a crop.

    Attributes:
        outline: Polygon without holes.
        pivot: Is it watered by a centre pivot?
        azimuth: Direction of its rows and long side, radians counter-clockwise from east.
    """

    outline: Polygon
    pivot: bool = False
    azimuth: float = 0.0


@dataclass(frozen=True)
class Landscape:
    """Fields, and what else covers the ground: polygons by kind, the later kinds on top of the earlier.

    Attributes:
        plots: Fields, disjoint.
        cover: `wood`, `water`, `hedge`, `track`, `road`, `farmstead`, and the roofs `tiles` and `metal`; the
            rest is grass verge.
    """

    plots: tuple[Plot, ...]
    cover: dict[str, list[Polygon]]


@dataclass
class _Subdivision:
    """Pieces of land on their way to becoming fields."""

    rng: np.random.Generator
    region: Region
    field_m2: float
    plots: list[Plot] = field(default_factory=list)
    lines: dict[str, list[LineString]] = field(default_factory=lambda: {"track": [], "hedge": []})

    def part(self, block: Polygon) -> None:
        """Cut a block again and again until every piece is a field."""
        pieces = [(block, 0)]
        while pieces:
            piece, depth = pieces.pop()
            wanted = self.field_m2 * np.exp(self.rng.normal(0, self.region.spread))
            if piece.area < 0.3 * min(wanted, self.field_m2):
                continue
            if self._is_field(piece, wanted):
                self.plots.append(Plot(piece))
            elif (rest := self._pivot(piece)) is not None:
                pieces.extend((p, depth + 1) for p in rest)
            else:
                pieces.extend((p, depth + 1) for p in self._cut(piece, depth))

    def _is_field(self, piece: Polygon, wanted: float) -> bool:
        compact = 4 * np.pi * piece.area / piece.length**2 > 0.5 / (1 + self.region.aspect / 2)
        return bool(piece.area < 1.5 * wanted and compact and not piece.interiors)

    def _cut(self, piece: Polygon, depth: int) -> list[Polygon]:
        rng = self.rng
        centre, azimuth, length, width = long_axis(piece)
        across = piece.interiors or length > self.region.aspect * width * rng.uniform(0.75, 1.3)
        # A strip field keeps its length: wide pieces are cut along, long ones across.
        along_strip = not across and self.region.aspect > 2 and depth > 1
        heading = azimuth if along_strip else azimuth + np.pi / 2
        reach = (width if along_strip else length) * rng.uniform(-0.2, 0.2)
        normal = np.array([-np.sin(heading), np.cos(heading)])
        through = (
            np.array(piece.interiors[0].centroid.coords[0]) if piece.interiors else centre + reach * normal
        )
        heading += rng.normal(0, 0.09 * self.region.disorder)
        kind = self._edge(depth)
        pieces = cut(piece, through, heading, _GAPS_M[kind])
        if kind != "verge":
            self._draw(kind, piece, through, heading)
        return pieces

    def _edge(self, depth: int) -> str:
        draw = self.rng.random()
        if depth <= 1 and draw < self.region.tracks:
            return "track"
        return "hedge" if self.rng.random() < self.region.hedges else "verge"

    def _draw(self, kind: str, piece: Polygon, through: Array, heading: float) -> None:
        step = np.array([np.cos(heading), np.sin(heading)]) * piece.length
        line = LineString([through - step, through + step]).intersection(piece)
        for part in shapely.get_parts(line):
            if part.geom_type == "LineString":
                first, last = np.array(part.coords)[[0, -1]]
                beyond = step * (_VERGE_M / piece.length)
                self.lines[kind].append(LineString([first - beyond, last + beyond]))

    def _pivot(self, piece: Polygon) -> list[Polygon] | None:
        """Lay a centre pivot into a piece; what is left of the piece, or None where none fits."""
        if self.region.pivots == 0 or self.rng.random() > self.region.pivots:
            return None
        spoke = shapely.maximum_inscribed_circle(piece, tolerance=4.0)
        radius, centre = spoke.length, np.array(spoke.coords[0])
        if not 0.5 < np.pi * radius**2 / (2.2 * self.field_m2) < 1.7 or np.pi * radius**2 < 0.5 * piece.area:
            return None
        circle = shapely.Point(centre).buffer(radius - 2.0, quad_segs=24)
        halved = self.rng.random() < 0.25
        parts = cut(circle, centre, self.rng.uniform(0, np.pi), _GAPS_M["verge"]) if halved else [circle]
        self.plots.extend(Plot(part, pivot=True) for part in parts)
        return list(polygons(piece.difference(shapely.Point(centre).buffer(radius + 4.0, quad_segs=24))))


def build_landscape(rng: np.random.Generator, region: Region, extent: float, smallest: float) -> Landscape:
    """Draw a landscape.

    Args:
        rng: Everything drawn.
        region: What it is like. Fields, blocks and woods shrink where the scene would otherwise hold less
            than about a dozen fields.
        extent: Side of the square scene in metres.
        smallest: Fields with less than this area inside the scene are dropped, in square metres.
    """
    field_m2 = region.field_ha * 1e4 * np.exp(rng.normal(0, 0.2))
    scale = min(1.0, float(np.sqrt(extent**2 / (12 * field_m2))))
    margin = 0.5 * scale * region.block_m
    edges, blocks = _blocks(rng, region, extent, margin, scale)
    paved = rng.random(len(edges)) < 0.65
    roads, lanes = ([e for e, p in zip(edges, paved, strict=True) if p == kind] for kind in (True, False))
    cover = _nature(rng, region, extent, scale) | _farms(rng, region, extent, edges)
    taken = shapely.union_all(cover["wood"] + cover["water"] + cover["farmstead"]).buffer(_VERGE_M)
    shapely.prepare(taken)
    parting = _Subdivision(rng, region, field_m2 * scale**2)
    for block in blocks:
        for land in polygons(block.buffer(-_WIDTHS_M["road"] / 2 - _VERGE_M).difference(taken)):
            parting.part(land)
    plots = _merge(rng, parting.plots)
    lines = {"road": roads, "track": lanes + parting.lines["track"], "hedge": parting.lines["hedge"]}
    cover |= {k: [line.buffer(_WIDTHS_M[k] / 2, cap_style="flat") for line in v] for k, v in lines.items()}
    return _finish(
        plots, cover, SmoothDisplacement(rng, region.bend_m * scale, 1600 * scale), extent, smallest
    )


def _blocks(
    rng: np.random.Generator, region: Region, extent: float, margin: float, scale: float
) -> tuple[list[LineString], list[Polygon]]:
    """Voronoi cells of a turned, disturbed grid: their edges carry the roads, their insides the fields."""
    spacing = region.block_m * scale
    reach = int(np.ceil((extent / 2 + margin) * 1.5 / spacing)) + 1
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1) * spacing] * 2), axis=-1).reshape(-1, 2)
    grid = grid + rng.uniform(-0.5, 0.5, grid.shape) * spacing * region.disorder
    turn = rng.uniform(0, np.pi) * (region.disorder > 0)
    c, s = np.cos(turn), np.sin(turn)
    points = MultiPoint(grid @ np.array([[c, s], [-s, c]]) + extent / 2 + rng.uniform(-0.5, 0.5, 2) * spacing)
    area = shapely.box(-margin, -margin, extent + margin, extent + margin)
    cells = [p for cell in shapely.voronoi_polygons(points).geoms for p in polygons(cell.intersection(area))]
    lines = shapely.voronoi_polygons(points, only_edges=True).intersection(area)
    return [e for e in shapely.get_parts(lines) if e.length > 1], cells


def _nature(
    rng: np.random.Generator, region: Region, extent: float, scale: float
) -> dict[str, list[Polygon]]:
    woods: list[Polygon] = []
    wanted = region.woods * extent**2 * rng.uniform(0.5, 1.5)
    while wanted > 0:
        radius = scale * np.exp(rng.normal(np.log(110), 0.55))
        woods.append(blob(rng, rng.uniform(-0.05, 1.05, 2) * extent, radius, roughness=0.32, stretch=2.2))
        wanted -= woods[-1].area
    ponds = rng.poisson(0.6 * region.river)
    water = [blob(rng, rng.uniform(0, 1, 2) * extent, scale * rng.uniform(30, 90)) for _ in range(ponds)]
    if rng.random() < region.river:
        river = meander(rng, extent, 0.12)
        water.append(river.buffer(scale * rng.uniform(5, 14)))
        banks = river.segmentize(60).coords[::2]
        woods += [blob(rng, np.array(p), scale * rng.uniform(12, 35)) for p in banks if rng.random() < 0.5]
    wet = shapely.union_all(water)
    return {"wood": list(polygons(shapely.union_all(woods).difference(wet))), "water": list(polygons(wet))}


def _farms(
    rng: np.random.Generator, region: Region, extent: float, roads: list[LineString]
) -> dict[str, list[Polygon]]:
    """Farmsteads beside roads, some in a row as a hamlet."""
    yards: list[Polygon] = []
    houses: list[Polygon] = []
    count = rng.poisson(region.farms * (extent / 1000) ** 2)
    while len(yards) < count:
        road = roads[rng.integers(len(roads))]
        place = rng.uniform(0, road.length)
        for _ in range(rng.integers(4, 14) if rng.random() < 0.12 else 1):
            yard, built = _farmstead(rng, road, place)
            yards.append(yard)
            houses += built
            place += rng.uniform(50, 80)
    barns = rng.random(len(houses)) < 0.3
    roofs = {"tiles": [h for h, b in zip(houses, barns, strict=True) if not b]}
    roofs["metal"] = [h for h, b in zip(houses, barns, strict=True) if b]
    return {"farmstead": list(polygons(shapely.union_all(yards))), **roofs}


def _farmstead(rng: np.random.Generator, road: LineString, place: float) -> tuple[Polygon, list[Polygon]]:
    here, ahead = (np.array(road.interpolate(place + d).coords[0]) for d in (0, -5))
    azimuth = float(np.arctan2(*(here - ahead)[::-1]))
    side = np.array([-np.sin(azimuth), np.cos(azimuth)]) * rng.choice([-1, 1])
    depth = rng.uniform(45, 95)
    centre = here + side * (depth / 2 + 6)
    yard = rectangle(centre, rng.uniform(45, 95), depth, azimuth)
    houses = [
        rectangle(
            centre + place, rng.uniform(16, 45), rng.uniform(9, 18), azimuth + rng.choice([0, np.pi / 2])
        )
        for place in rng.uniform(-0.3, 0.3, (rng.integers(2, 5), 2)) * depth
    ]
    return yard, [part for house in houses for part in polygons(house.intersection(yard))]


def _merge(rng: np.random.Generator, plots: list[Plot], share: float = 0.12) -> list[Plot]:
    """Join some neighbours into L-shaped and stepped fields."""
    outlines = np.array([p.outline for p in plots], dtype=object)
    if not len(outlines):
        return plots
    reach = _GAPS_M["verge"] / 2 + 0.3
    tree, gone, merged = STRtree(outlines), set[int](), []
    for i in np.flatnonzero(rng.random(len(plots)) < share):
        for j in tree.query(outlines[i], predicate="dwithin", distance=2 * reach):
            pair = {int(i), int(j)}
            if len(pair) < 2 or pair & gone or any(plots[k].pivot for k in pair):
                continue
            joined = shapely.buffer(outlines[list(pair)], reach, join_style="mitre")
            whole = shapely.union_all(joined).buffer(-reach, join_style="mitre")
            if whole.geom_type == "Polygon" and not whole.interiors:
                gone |= pair
                merged.append(Plot(whole))
    return [p for k, p in enumerate(plots) if k not in gone] + merged


def _finish(
    plots: list[Plot],
    cover: dict[str, list[Polygon]],
    bend: SmoothDisplacement,
    extent: float,
    smallest: float,
) -> Landscape:
    """Bend everything, clip it to the scene, and drop crumbs."""
    scene = shapely.box(0, 0, extent, extent)

    def clip(outlines: list[Geometry]) -> list[Geometry]:
        # Half a metre is far below the gap between fields, so that simplified neighbours cannot overlap.
        bent = shapely.simplify(np.array(bend(outlines), dtype=object), 0.5)
        knotted = ~shapely.is_valid(bent)
        bent[knotted] = shapely.make_valid(bent[knotted])
        return list(shapely.intersection(bent, scene))

    kept = [
        Plot(part, plot.pivot, long_axis(part)[1])
        for plot, outline in zip(plots, clip([p.outline for p in plots]), strict=True)
        for part in polygons(outline)
        if part.area >= smallest and not part.interiors
    ]
    return Landscape(tuple(kept), {k: [p for g in clip(v) for p in polygons(g)] for k, v in cover.items()})
