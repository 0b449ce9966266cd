"""Outlines, areas, comparisons, neighbours, directions, edges and rows."""

import io

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agrilape.dataset.augmentation import apply_symmetry, dihedral
from agrilape.dataset.types import Chip, Example, Picture
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Point, Polygon
from agrilape.prepare.annotations import ChipAnnotations, Stress, VisibleField
from agrilape.prepare.tasks.neighbours import octant_of
from agrilape.prepare.tasks.outline import MAX_VERTICES, errors, overlap, simplified
from agrilape.sources.tiling import encode_png

from .conftest import CHIP, GROUND, ON_MAP, crop_field, questions


def star(radii):
    """An outline around the middle of the image."""
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return shapely.Polygon(0.5 + np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1))


@given(st.lists(st.floats(0.1, 0.45), min_size=4, max_size=60))
def test_outlines_are_simple_and_their_error_is_stated(radii):
    shape = star(radii)
    outline = simplified(shape)
    if outline is None:
        return
    assert len(outline.points) <= MAX_VERTICES
    assert outline == outline.canonical()
    said = errors(outline, shape)
    assert said["iou"] >= 0.9 - 1e-4
    assert overlap(outline, shape.buffer(0.001)) > 0.85
    away = max(shapely.LineString([*outline.points, outline.points[0]]).distance(shapely.points(*xy))
               for xy in np.array(shape.exterior.coords))  # fmt: skip
    assert away <= said["stray"] + 1e-4


def test_an_outline_that_needs_more_vertices_is_not_asked_for():
    comb = shapely.union_all(
        [shapely.box(0, 0, 1, 0.1), *(shapely.box(x, 0, x + 0.04, 1) for x in np.arange(0, 1, 0.1))]
    )
    assert simplified(comb) is None
    view = ChipAnnotations(CHIP, (VisibleField("comb", "maize", comb, Box(*comb.bounds), True),))
    assert questions(view, "field_outline") == ()
    assert questions(view, "field_at_point")


@given(st.integers(3, 8), st.integers(0, 7), st.booleans())
def test_an_outline_has_one_canonical_form(count, shift, reverse):
    points = tuple(Point(float(x), float(y)) for x, y in star([0.3] * count).exterior.coords[:-1])
    moved = points[shift % count :] + points[: shift % count]
    outline = Polygon(moved[::-1] if reverse else moved).canonical()
    assert outline == Polygon(points).canonical()
    first, *_, last = outline.points
    assert first.x + first.y == pytest.approx(min(x + y for x, y in points))
    assert (last.x - first.x) - (last.y - first.y) < 0  # clockwise as seen: back to the start from below


def test_areas_are_those_of_the_ground():
    whole = crop_field("w", "maize", 0.1, 0.1, 0.4, 0.3, whole=True, area_ha=6.004)
    cut = crop_field("c", "oats", 0.6, 0.0, 1.0, 0.5, area_ha=40.0)
    view = ChipAnnotations(ON_MAP, (whole, cut))
    (area,) = questions(view, "field_area")
    assert (area.answer, area.provenance["parcels"]) == (("6",), ["w"])
    areas = {one.truth["crop"]: one.answer for one in questions(view, "crop_area")}
    assert areas == {"maize": ("6",), "oats": ("20",)}  # only what is visible; UTM is true to 0.04 % here
    assert questions(ChipAnnotations(CHIP, view.fields), "crop_area") == ()


def test_the_larger_and_the_greener_of_two():
    still = Chip("c", "s", "fake", (Picture(b""),))
    small = crop_field("s", "maize", 0, 0, 0.2, 0.2, ndvi=(0.8,))
    large = crop_field("l", "oats", 0.4, 0.4, 1, 1, ndvi=(0.3,))
    view = ChipAnnotations(still, (small, large))
    both = questions(view, "larger_field")
    assert len(both) == 2
    for asked in both:
        first = next(part for part in asked.question if isinstance(part, Point))
        assert asked.answer == ("the first" if first.x > 0.3 else "the second",)
    (one, other) = questions(view, "greener_field")
    assert {one.answer, other.answer} == {("the first",), ("the second",)}
    assert sorted(asked.truth["values"] for asked in (one, other)) == [[0.3, 0.8], [0.8, 0.3]]
    even = ChipAnnotations(still, (small, crop_field("e", "oats", 0.5, 0.5, 0.72, 0.7, ndvi=(0.75,))))
    assert questions(even, "larger_field", "greener_field") == ()


def test_greenness_of_a_series_is_asked_by_date(season_chip):
    one = crop_field("a", "maize", 0, 0, 0.2, 0.2, ndvi=(None, 0.8))
    other = crop_field("b", "oats", 0.4, 0.4, 1, 1, ndvi=(0.2, 0.3))
    for asked in questions(ChipAnnotations(season_chip, (one, other)), "greener_field"):
        assert season_chip.instant(1) in asked.question


@pytest.fixture
def season_chip():
    from datetime import date

    from agrilape.geo.timewindow import TimeWindow

    pictures = tuple(Picture(b"", date(2022, month, 1)) for month in (2, 7))
    return Chip("c", "s", "fake", pictures, window=TimeWindow(date(2022, 1, 1), date(2022, 12, 31)))


MIDDLE = crop_field("m", "maize", 0.4, 0.4, 0.6, 0.6)
AROUND = {
    "north": crop_field("n", "oats", 0.4, 0.2, 0.6, 0.39),
    "east": crop_field("e", "wheat", 0.61, 0.4, 0.8, 0.6),
    "south west": crop_field("sw", "barley", 0.1, 0.7, 0.3, 0.9),
}


def test_neighbours_lie_across_a_track():
    view = ChipAnnotations(ON_MAP, (MIDDLE, *AROUND.values()))
    asked = {one.provenance["parcels"][0]: one for one in questions(view, "neighbours")}
    assert asked["m"].answer == (AROUND["north"].box, AROUND["east"].box)  # left to right
    assert asked["n"].provenance["parcels"] == ["n", "m"]
    assert "sw" not in asked
    doubtful = ChipAnnotations(ON_MAP, (MIDDLE, crop_field("d", "oats", 0.4, 0.1, 0.6, 0.38)))  # 20 m away
    hidden = ChipAnnotations(ON_MAP, (MIDDLE, crop_field("h", "oats", 0.4, 0.38, 0.6, 0.39, clear=False)))
    assert questions(doubtful, "neighbours", "neighbour_crop") == ()
    assert questions(hidden, "neighbours", "neighbour_crop") == ()


def asked_between(view, task, one, other):
    return next(a for a in questions(view, task, limit=99) if a.provenance["parcels"] == [one, other])


@pytest.mark.parametrize("towards", AROUND)
def test_directions_on_the_map_and_in_the_image(towards):
    other = AROUND[towards]
    sides = {"north": "top", "east": "right", "south west": "bottom left"}
    view = ChipAnnotations(ON_MAP, (MIDDLE, other))
    compass = asked_between(view, "direction", "m", other.id)
    assert compass.answer == (towards,)
    assert compass.truth["oriented"]
    assert asked_between(view, "relative_position", "m", other.id).answer == (sides[towards],)
    assert questions(ChipAnnotations(CHIP, view.fields), "direction") == ()


def test_north_is_where_the_georeference_says():
    south_up = Georeference("EPSG:32632", Affine(-10, 0, 501_000, 0, 10, 5_499_000), 100, 100)
    view = ChipAnnotations(Chip("c", "s", "fake", (), south_up), (MIDDLE, AROUND["north"]))
    assert asked_between(view, "direction", "m", "n").answer == ("south",)
    assert asked_between(view, "relative_position", "m", "n").answer == ("top",)
    (crop,) = (one for one in questions(view, "neighbour_crop") if one.provenance["parcels"] == ["m", "n"])
    assert (crop.answer, "south" in "".join(map(str, crop.question))) == (("oats",), True)


def test_grid_north_is_not_true_north():
    """In a polar system the pole lies at the origin, here to the left of the image."""
    polar = Georeference("EPSG:3413", Affine(10, 0, 1_500_000, 0, -10, 500), 100, 100)
    assert (polar.azimuth_deg(Point(0.9, 0.5), Point(0.1, 0.5)) + 180) % 360 == pytest.approx(180, abs=0.1)
    assert polar.azimuth_deg(Point(0.5, 0.9), Point(0.5, 0.1)) == pytest.approx(90, abs=0.1)


def test_a_neighbour_is_named_by_its_side():
    view = ChipAnnotations(CHIP, (MIDDLE, AROUND["north"], AROUND["east"]))
    crops = {one.truth["place"]: one.answer for one in questions(view, "neighbour_crop")
             if one.provenance["parcels"][0] == "m"}  # fmt: skip
    assert crops == {"top": ("oats",), "right": ("wheat",)}


@given(st.floats(0, 359.99))
def test_octants_leave_a_gap_of_doubt(angle):
    number = octant_of(angle)
    off = min(abs(angle - 45 * k) for k in range(9))
    assert (number is None) == (off > 15)
    assert number is None or abs((angle - 45 * number + 180) % 360 - 180) <= 15


def test_edges_that_cut_a_field():
    fields = {
        "corner": (0, 0, 0.3, 0.3),
        "inside": (0.4, 0.4, 0.6, 0.6),
        "across": (0.0, 0.7, 1.0, 0.9),
        "near": (0.5, 0.01, 0.7, 0.2),  # so near the top edge that it might touch it
        "nick": (0.8, 0.2, 1.0, 0.22),  # touches the right edge with 2 % of it
    }
    view = ChipAnnotations(CHIP, tuple(crop_field(name, "maize", *edges) for name, edges in fields.items()))
    asked = {one.provenance["parcels"][0]: one.answer[0] for one in questions(view, "image_edges")}
    assert asked == {"corner": "left, top", "inside": "none", "across": "left, right"}


@pytest.mark.parametrize(
    ("angle", "answer"),
    [(0, "across"), (40, "diagonally rising"), (95, "up and down"), (135, "diagonally falling"),
     (170, "across"), (22, None)],
)  # fmt: skip
def test_rows(angle, answer):
    view = ChipAnnotations(CHIP, (crop_field("m", "maize", 0, 0, 0.5, 0.5, rows=angle),))
    assert [one.answer for one in questions(view, "row_direction")] == ([(answer,)] if answer else [])
    small = ChipAnnotations(CHIP, (crop_field("m", "maize", 0, 0, 0.1, 0.1, rows=0.0),))
    assert questions(small, "row_direction") == ()


TURNING = (
    "crop_boxes", "field_boxes", "field_outline", "neighbours", "relative_position", "neighbour_crop",
    "image_edges", "row_direction", "stress_zones", "scene_description", "crop_at_place", "place_of_crop",
)  # fmt: skip


def turned_view(view, k):
    """What there is to see in the turned image, worked out from its outlines."""

    def outline(shape):
        points = [apply_symmetry(Point(x, y), k) for x, y in shape.exterior.coords]
        return shapely.Polygon(points)

    fields = []
    for one in view.fields:
        shape = outline(one.outline)
        rows = None if one.rows is None else (one.rows + 90 * (k % 4)) * (-1 if k >= 4 else 1) % 180
        fields.append(VisibleField(one.id, one.crop, shape, Box(*shape.bounds), True, rows=rows))
    zones = tuple(
        Stress(zone.parcel, zone.cause, shape := outline(zone.outline), Box(*shape.bounds), True)
        for zone in view.stress
    )
    return ChipAnnotations(view.chip, tuple(fields), stress=zones)


def answers(samples):
    """Answers by what they are about."""
    found = {}
    for one in samples:
        parcels = one.provenance.get("parcels", [])
        ordered = tuple(parcels if one.task in {"relative_position", "neighbour_crop"} else sorted(parcels))
        about = one.truth.get("place") if one.task == "crop_at_place" else None
        found[one.task, ordered, about] = tuple(
            tuple(np.round(np.array(part.points if isinstance(part, Polygon) else part, float), 9).ravel())
            if not isinstance(part, str) else part
            for part in one.answer
        )  # fmt: skip
    return found


@pytest.mark.parametrize("k", range(8))
def test_turning_a_chip_gives_the_answers_of_the_turned_chip(k):
    picture = Picture(encode_png(np.zeros((8, 8, 3), np.uint8)))
    bent = shapely.Polygon([(0.05, 0.65), (0.35, 0.62), (0.3, 0.95), (0.15, 0.9)])
    fields = (
        crop_field("a", "maize", 0.0, 0.05, 0.4, 0.6, rows=3.0),
        crop_field("b", "maize", 0.42, 0.0, 0.95, 0.5, rows=130.0),
        VisibleField("c", "rye", bent, Box(*bent.bounds), True, rows=88.0),
    )
    zones = tuple(
        Stress(one, cause, shapely.box(*edges), Box(*edges), True)
        for one, cause, edges in (("a", "pest", (0.1, 0.1, 0.2, 0.3)), ("b", "drought", (0.5, 0.1, 0.8, 0.2)))
    )
    view = ChipAnnotations(Chip("c", "s", "fake", (picture,)), fields, stress=zones)
    asked = questions(view, *TURNING, limit=999)
    assert {one.task for one in asked} == set(TURNING)
    turned = dihedral(Example(view.chip, asked), k)
    assert answers(turned.samples) == answers(questions(turned_view(view, k), *TURNING, limit=999, seed=1))
    with Image.open(io.BytesIO(turned.chip.pictures[0].data)) as image:
        assert image.size == (8, 8)


def test_region_descriptions_turn_with_their_region():
    fields = (crop_field("a", "maize", 0, 0, 0.5, 1), crop_field("b", "oats", 0.5, 0, 1, 1))
    picture = Picture(encode_png(np.zeros((8, 8, 3), np.uint8)))
    view = ChipAnnotations(Chip("c", "s", "fake", (picture,)), fields)
    asked = questions(view, "region_description")
    assert asked
    for k in range(8):
        for one in dihedral(Example(view.chip, asked), k).samples:
            (region,) = (part for part in one.question if isinstance(part, Box))
            boxes = [part for part in one.answer if isinstance(part, Box)]
            assert boxes == sorted(boxes)
            around = shapely.union_all([shapely.box(*box) for box in boxes]).bounds
            assert around == pytest.approx(region)


def test_pairs_are_not_always_given_in_one_order():
    fields = tuple(crop_field(str(n), "maize", 0, n / 6, 0.1 + n / 6, n / 6 + 0.1) for n in range(5))
    said = [
        one.answer
        for seed in range(20)
        for one in questions(ChipAnnotations(CHIP, fields), "larger_field", seed=seed)
    ]
    assert 0.35 < said.count(("the first",)) / len(said) < 0.65


def test_ground_side_is_measured():
    assert ChipAnnotations(ON_MAP).ground_m == pytest.approx(GROUND.gsd_m * 100)
    assert ChipAnnotations(CHIP).ground_m is None
