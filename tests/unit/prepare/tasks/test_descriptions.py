"""Descriptions, and questions about what is not there."""

import pytest
import shapely

from agrilape.geo.shapes import Box, Point
from agrilape.prepare.annotations import ChipAnnotations

from .conftest import CHIP, crop_field, questions

MAIZE, OATS = crop_field("m", "maize", 0.5, 0.0, 1.0, 0.5), crop_field("o", "oats", 0.0, 0.0, 0.45, 1.0)
VIEW = ChipAnnotations(CHIP, (MAIZE, OATS), scene_crops=("maize", "oats", "silage maize", "rye"))
UNKNOWN = ChipAnnotations(
    CHIP, (MAIZE, crop_field("u", None, 0.0, 0.0, 0.45, 1.0)), scene_crops=VIEW.scene_crops
)


def test_a_scene_is_described_field_by_field():
    (one,) = questions(VIEW, "scene_description")
    assert one.answer == ("oats ", OATS.box, "; maize ", MAIZE.box)
    assert one.truth["labels"] == ["oats", "maize"]
    (unknown,) = questions(UNKNOWN, "scene_description")
    assert unknown.answer[0] == "field "


def test_a_region_is_described_by_the_parts_in_it():
    found = questions(VIEW, "region_description", seed=3)
    assert found
    for one in found:
        region = next(part for part in one.question if isinstance(part, Box))
        for name, box in zip(one.truth["labels"], (p for p in one.answer if isinstance(p, Box)), strict=True):
            whole = MAIZE.box if name == "maize" else OATS.box
            clipped = (max(region.left, whole.left), max(region.top, whole.top),
                       min(region.right, whole.right), min(region.bottom, whole.bottom))  # fmt: skip
            assert box == pytest.approx(clipped)


def test_what_is_not_there_is_said_not_to_be():
    asked = questions(VIEW, "absent_crop")
    assert [one.answer[0] for one in asked if one.truth["crop"] == "rye"] == ["There is no rye here."]
    assert "silage maize" not in {one.truth["crop"] for one in asked}  # it may be meant by maize
    present = {one.truth["crop"]: one.answer for one in questions(VIEW, "crop_present")}
    assert {"maize": ("yes",), "oats": ("yes",), "rye": ("no",)}.items() <= present.items()
    assert list(present.values()).count(("no",)) == 2


@pytest.mark.parametrize(
    ("here", "crop", "asked"),
    [
        ("winter wheat", "winter barley", True),
        ("winter wheat", "wheat", False),
        ("maize", "silage maize", False),
    ],
)
def test_crops_that_may_be_meant_are_not_denied(here, crop, asked):
    view = ChipAnnotations(CHIP, (crop_field("m", here, 0, 0, 0.5, 0.5),), scene_crops=(crop, here))
    assert (crop in {one.truth["crop"] for one in questions(view, "absent_crop")}) is asked


def test_compound_names_are_understood():
    view = ChipAnnotations(
        CHIP, (crop_field("m", "winter wheat", 0, 0, 0.5, 0.5),), scene_crops=("wheat", "winter wheat")
    )
    asked = {one.truth["crop"] for one in questions(view, "absent_crop", language="de")}
    assert asked
    assert "Weizen" not in asked


@pytest.mark.parametrize(
    "view",
    [
        ChipAnnotations(CHIP, VIEW.fields, complete=False, scene_crops=VIEW.scene_crops),
        UNKNOWN,
        ChipAnnotations(CHIP),
    ],
    ids=["partly labelled", "a crop is unknown", "no field"],
)
def test_nothing_is_denied_where_something_is_unknown(view):
    assert questions(view, "absent_crop", "crop_present") == ()
    assert all(one.truth["crop"] is None for one in questions(view, "count"))


def test_ground_beside_fields_is_said_to_hold_none():
    asked = questions(ChipAnnotations(CHIP, (MAIZE,)), "no_field_at_point")
    assert len(asked) == 3
    for one in asked:
        point = next(part for part in one.question if isinstance(part, Point))
        assert MAIZE.outline.distance(shapely.Point(point)) > 0.015
        assert one.answer == ("There is no field here.",)


@pytest.mark.parametrize(
    ("fields", "complete", "asked"), [((), True, 1), ((), False, 0), ((MAIZE,), True, 0)], ids=str
)
def test_fields_are_denied_where_there_are_surely_none(fields, complete, asked):
    view = ChipAnnotations(CHIP, fields, complete=complete)
    assert len(questions(view, "no_fields")) == asked
    assert not complete or len(questions(view, "no_field_at_point")) == 3
    assert complete or not questions(view, "no_field_at_point")


def many(count, *more):
    """Strips of maize side by side."""
    return (
        tuple(crop_field(f"m{i}", "maize", i / count, 0, (i + 0.9) / count, 0.8) for i in range(count)) + more
    )


def test_lists_are_as_long_and_as_partial_as_is_asked_for():
    sliver = crop_field("s", "maize", 0, 0.9, 1, 1, clear=False)
    cases = {
        (8, 8, False): 8, (9, 8, False): 0, (9, 25, False): 9, (26, 25, False): 0,
        (1, 8, False): 0, (1, 8, True): 1,
    }  # fmt: skip
    for (count, longest, partial), listed in cases.items():
        view = ChipAnnotations(CHIP, many(count), longest_list=longest, partial_fields=partial)
        (boxes,) = [one.answer for one in questions(view, "crop_boxes")] or [()]
        assert len(boxes) == listed
    for partial in (False, True):
        view = ChipAnnotations(CHIP, many(3, sliver), partial_fields=partial)
        (boxes,) = [one.answer for one in questions(view, "field_boxes")] or [()]
        assert len(boxes) == (3 if partial else 0)


def test_nothing_grows_on_a_tile_of_a_map_without_fields():
    view = ChipAnnotations(CHIP, partial_fields=True, scene_crops=("maize",))
    assert [one.answer for one in questions(view, "absent_crop")] == [("There is no maize here.",)]
