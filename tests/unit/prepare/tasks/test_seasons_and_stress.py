"""When, how often, in which order; stress; where and when in one answer."""

import shapely

from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.prepare.annotations import ChipAnnotations, LabelledPoint, Stress, Timing

from .conftest import CHIP, crop_field, questions

MAIZE = {
    "peak_of_season": Timing(Instant(0.5), "measured"),
    "green_up": Timing(Instant(0.4), "measured"),
    "green": Timing(Span(0.3, 0.7), "recorded", True),
    "harvest": Timing(Instant(0.7), "recorded", True),
    "cycles": 1,
}


def test_moments_of_a_season():
    view = ChipAnnotations(
        CHIP, (crop_field("m", "maize", 0, 0, 0.5, 0.5, **MAIZE), crop_field("w", "oats", 0.6, 0, 1, 1))
    )
    said = {one.task: one for one in questions(view, "peak_of_season", "green_up", "harvest", "green_cycles")}
    assert {task: one.answer for task, one in said.items()} == {
        "peak_of_season": (Instant(0.5),),
        "green_up": (Instant(0.4),),
        "harvest": (Instant(0.7),),
        "green_cycles": ("1",),
    }
    assert said["harvest"].provenance == {"rule": "recorded", "parcels": ["m"]}


def test_a_recorded_harvest_of_a_point():
    spots = (
        LabelledPoint(Point(0.2, 0.2), "harvest", "rye", Instant(0.6)),
        LabelledPoint(Point(0.4, 0.4), "harvest", "rye"),
    )
    (one,) = questions(ChipAnnotations(CHIP, spots=spots), "harvest")
    assert (one.answer, one.truth) == ((Instant(0.6),), {"crop": "rye"})


def test_double_cropping_is_told_by_labels_alone():
    labels = ("soybean, then maize", "cotton, then fallow", "forest")
    spots = [
        LabelledPoint(Point(0.1 * n, 0.1), "rotation", label, Span(0, 1)) for n, label in enumerate(labels)
    ]
    said = {
        one.truth["label"]: one.answer
        for one in questions(ChipAnnotations(CHIP, spots=tuple(spots)), "double_cropping")
    }
    assert said == {"soybean, then maize": ("yes",), "cotton, then fallow": ("no",)}


def test_rotation_from_year_to_year():
    here, there = Point(0.1, 0.1), Point(0.9, 0.9)
    spots = (
        LabelledPoint(here, "rotation", "cotton, then fallow", Span(0.5, 1.0)),
        LabelledPoint(here, "rotation", "soybean, then maize", Span(0.0, 0.5)),
        LabelledPoint(there, "crop", "rye", Span(0.0, 0.5)),
        LabelledPoint(there, "crop", "rye", Span(0.5, 1.0)),
        LabelledPoint(Point(0.5, 0.5), "crop", "rye", Span(0.0, 0.5)),
    )
    view = ChipAnnotations(CHIP, spots=spots)
    rotations = {one.answer[0] for one in questions(view, "crop_rotation")}
    assert rotations == {"soybean, then maize; cotton, then fallow", "rye; rye"}
    same = {one.question[1]: one.answer for one in questions(view, "same_crop")}
    assert same == {here: ("no",), there: ("yes",)}
    spans = [part for part in questions(view, "crop_rotation")[0].question if isinstance(part, Span)]
    assert spans == sorted(spans)


def test_where_and_when_in_one_answer():
    one, other = crop_field("m", "maize", 0, 0, 0.5, 0.5, **MAIZE), crop_field("o", "oats", 0.6, 0, 1, 1)
    view = ChipAnnotations(CHIP, (one, other))
    (at_point,) = questions(view, "field_and_season")
    (of_crop,) = questions(view, "crop_and_season")
    assert at_point.answer == of_crop.answer == (one.box, Span(0.3, 0.7))
    assert "stand" in "".join(part for part in of_crop.question if isinstance(part, str))
    two = ChipAnnotations(CHIP, (one, crop_field("n", "maize", 0.6, 0, 1, 1)))
    assert questions(two, "crop_and_season") == ()


def zone(parcel, left, top, right, bottom, clear=True, cause="pest", share=0.2):
    return Stress(
        parcel, cause, shapely.box(left, top, right, bottom), Box(left, top, right, bottom), clear, share
    )


FIELDS = (
    crop_field("a", "maize", 0, 0, 0.5, 0.5, whole=True),
    crop_field("b", "oats", 0.6, 0, 1, 1),
)


def test_stress_is_found_outlined_and_measured():
    view = ChipAnnotations(
        CHIP, FIELDS, stress=(zone("b", 0.7, 0.1, 0.9, 0.4), zone("a", 0.1, 0.1, 0.3, 0.3))
    )
    (zones,) = questions(view, "stress_zones")
    assert zones.answer == (Box(0.1, 0.1, 0.3, 0.3), Box(0.7, 0.1, 0.9, 0.4))
    outlines = {one.provenance["parcels"][0]: one for one in questions(view, "stress_outline")}
    assert set(outlines) == {"a", "b"}
    assert isinstance(outlines["a"].answer[0], Polygon)
    assert outlines["a"].provenance["iou"] == 1
    (share,) = questions(view, "stress_share")  # the other field is not wholly visible
    assert (share.answer, share.provenance["parcels"]) == (("20 %",), ["a"])
    assert {one.answer for one in questions(view, "stress_cause")} == {("pest",)}


def test_doubtful_stress_is_not_asked_about():
    doubtful = ChipAnnotations(
        CHIP, FIELDS, stress=(zone("a", 0.1, 0.1, 0.3, 0.3), zone("b", 0.7, 0.1, 0.9, 0.4, clear=False))
    )
    assert questions(doubtful, "stress_zones") == ()
    assert {one.provenance["parcels"][0] for one in questions(doubtful, "stress_outline")} == {"a"}
    twice = ChipAnnotations(
        CHIP, FIELDS, stress=(zone("a", 0.1, 0.1, 0.2, 0.2), zone("a", 0.3, 0.3, 0.4, 0.4))
    )
    assert questions(twice, "stress_outline", "stress_share") == ()
    partly = ChipAnnotations(CHIP, FIELDS, complete=False, stress=(zone("a", 0.1, 0.1, 0.3, 0.3),))
    assert questions(partly, "stress_zones") == ()
    assert len(questions(partly, "stress_outline")) == 1
