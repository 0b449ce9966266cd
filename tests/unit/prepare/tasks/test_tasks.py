import random

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from agrilape.dataset.prompt_templates import fill
from agrilape.dataset.tasks import TASKS
from agrilape.errors import RecipeError
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.prepare.annotations import ChipAnnotations, LabelledPoint, Timing, VisibleField
from agrilape.prepare.tasks import BUILDERS, POINTS_PER_FIELD, random_point

from .conftest import CHIP, crop_field, questions

STILL = [name for name, task in TASKS.items() if not task.dated]

MAIZE = crop_field("m", "maize", 0.0, 0.0, 0.4, 0.4)
WHEAT = [crop_field("w1", "wheat", 0.5, 0.5, 1.0, 1.0), crop_field("w0", "wheat", 0.0, 0.6, 0.4, 1.0)]
VIEW = ChipAnnotations(CHIP, (MAIZE, *WHEAT), scene_crops=("maize", "oats", "wheat"))


def test_one_field_and_several():
    (one,) = questions(VIEW, "crop_box")
    assert one.answer == (MAIZE.box,)
    assert "maize" in one.question[0]
    assert one.truth == {"crop": "maize", "size": "large", "area_ha": None}
    (several,) = questions(VIEW, "crop_boxes")
    assert several.answer == (WHEAT[1].box, WHEAT[0].box)  # left to right
    assert several.provenance == {"parcels": ["w0", "w1"]}


def test_a_sliver_makes_its_crop_ambiguous_but_not_the_others():
    view = ChipAnnotations(CHIP, (*VIEW.fields, crop_field("m2", "maize", 0.9, 0.0, 1.0, 0.01, clear=False)))
    assert questions(view, "crop_box", "field_boxes") == ()
    assert len(questions(view, "crop_boxes")) == 1
    assert {sample.truth["crop"] for sample in questions(view, "count")} == {"wheat"}


def test_partly_labelled_ground_is_never_counted_nor_complete():
    view = ChipAnnotations(CHIP, VIEW.fields, complete=False, scene_crops=VIEW.scene_crops)
    assert questions(view, "crop_box", "crop_boxes", "field_boxes", "count", "layout", "place_of_crop") == ()
    assert len(questions(view, "field_at_point")) == 3 * POINTS_PER_FIELD
    assert len(questions(view, "crop_in_box")) == 3


def test_counts_include_none():
    counted = {sample.truth["crop"]: sample.answer for sample in questions(VIEW, "count")}
    assert counted == {"maize": ("1",), "wheat": ("2",), "oats": ("0",), None: ("3",)}


def test_fields_without_crops_can_be_found_and_counted():
    view = ChipAnnotations(
        CHIP, tuple(crop_field(str(i), None, i / 4, 0, i / 4 + 0.2, 0.5) for i in range(3))
    )
    (boxes,) = questions(view, "field_boxes")
    assert [box.left for box in boxes.answer] == [0, 0.25, 0.5]
    (counted,) = questions(view, "count")
    assert counted.answer == ("3",)
    assert questions(view, "crop_box", "crop_in_box", "layout", "crop_at_place") == ()


def test_several_points_of_a_field_have_one_answer():
    named = [(sample.truth["crop"], sample.answer) for sample in questions(VIEW, "crop_at_point")]
    assert len(named) == 3 * POINTS_PER_FIELD
    assert all(answer == (crop,) for crop, answer in named)


def test_the_asked_point_lies_in_the_field():
    for sample in questions(VIEW, "field_at_point"):
        point = next(part for part in sample.question if isinstance(part, Point))
        (box,) = sample.answer
        assert box.left < point.x < box.right
        assert box.top < point.y < box.bottom


def test_a_box_full_of_something_else_is_not_asked_about():
    ring = shapely.box(0, 0, 1, 1).difference(shapely.box(0.1, 0.1, 1, 1))  # an L whose box is mostly wheat
    view = ChipAnnotations(
        CHIP,
        (VisibleField("l", "maize", ring, Box(0, 0, 1, 1), True), crop_field("w", "wheat", 0.1, 0.1, 1, 1)),
    )
    assert [sample.answer for sample in questions(view, "crop_in_box")] == [("wheat",)]


def test_places_in_words():
    placed = {sample.truth["place"]: sample.answer[0] for sample in questions(VIEW, "crop_at_place")}
    assert placed["top left"] == "maize"
    assert placed["bottom right"] == "wheat"
    assert "top right" not in placed
    (where,) = questions(VIEW, "place_of_crop")
    assert (where.truth["crop"], where.answer) == ("maize", ("top left",))  # the wheat is in two places


def test_layout_names_each_cell_row_by_row():
    (sample,) = questions(VIEW, "layout")
    rows = [row.split(", ") for row in sample.answer[0].split("; ")]
    assert rows == sample.truth["grid"]
    assert rows[0] == ["maize"] * 3 + ["other"] * 5
    assert rows[7] == ["wheat"] * 3 + ["other"] + ["wheat"] * 4


def test_time_is_asked_with_the_wording_of_its_rule():
    season = {
        "peak_of_season": Timing(Instant(0.4), "measured"),
        "green": Timing(Span(0.2, 0.6), "recorded", True),
    }
    spot = LabelledPoint(
        Point(0.5, 0.5), "land_use", "cropland", peak_of_season=Timing(Instant(0.7), "measured")
    )
    view = ChipAnnotations(CHIP, (crop_field("m", "maize", 0, 0, 1, 1, **season),), (spot,))
    field_peak, spot_peak = sorted(questions(view, "peak_of_season"), key=lambda sample: sample.answer)
    assert field_peak.answer == (Instant(0.4),)
    assert "land" in spot_peak.question[0]
    (span,) = questions(view, "growing_season")
    assert span.answer == (Span(0.2, 0.6),)
    assert "stand" in span.question[0]
    assert span.provenance == {"rule": "recorded", "parcels": ["m"]}


def test_labelled_points():
    spots = (
        LabelledPoint(Point(0.2, 0.2), "land_use", "pasture"),
        LabelledPoint(Point(0.3, 0.3), "bbch", 31.4, Instant(0.5)),
        LabelledPoint(Point(0.4, 0.4), "rotation", "soybean, then maize", Span(0.0, 1.0)),
        LabelledPoint(Point(0.5, 0.5), "leaf_area_index", 2.0),
    )
    found = questions(ChipAnnotations(CHIP, spots=spots, complete=False), *TASKS)
    assert {sample.task: sample.answer for sample in found} == {
        "land_use_at_point": ("pasture",),
        "growth_stage": ("31",),
        "crops_in_season": ("soybean, then maize",),
        "double_cropping": ("yes",),
    }


def test_tasks_take_turns_until_the_limit():
    asked = questions(VIEW, "field_at_point", "count", "crop_box", limit=5)
    assert [sample.task for sample in asked] == [
        "field_at_point",
        "count",
        "crop_box",
        "field_at_point",
        "count",
    ]
    assert len({sample.id for sample in asked}) == 5


def test_questions_are_deterministic():
    assert questions(VIEW, *STILL) == questions(VIEW, *STILL)


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(RecipeError, match="crop_box"):
        questions(VIEW, "crop_bocks")


def test_filling_keeps_shapes_apart():
    point = Point(0.1, 0.2)
    assert fill("The {crop} at {point}?", {"crop": "maize", "point": point}) == ("The maize at ", point, "?")


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.001, 0.5), st.floats(0.1, 0.9))
def test_random_points_lie_inside_any_outline(seed, width, bend):
    thin = shapely.Polygon(
        [(0, 0), (width, 0), (bend, 0.5), (width, 1), (0, 1), (bend - width / 2, 0.5)]
    ).buffer(0)
    if thin.area > 1e-6:
        point = random_point(thin, random.Random(seed))
        assert thin.buffer(1e-9).contains(shapely.Point(point))


def test_an_outline_that_no_trial_hits_still_gives_a_point_in_it():
    class Unlucky(random.Random):
        trials = 0

        def uniform(self, low: float, high: float) -> float:
            self.trials += 1
            assert self.trials <= 10, "there is no end to trying"
            return low

    corner = shapely.Polygon([(0, 1), (1, 0), (1, 1)])  # the first corner of its bounds is outside
    point = random_point(corner, rng := Unlucky(), attempts=5)
    assert shapely.contains_xy(corner, *point)
    assert rng.trials == 10


def test_nothing_is_told_of_a_field_that_belongs_to_another_split():
    of_other_split = crop_field("x", "rye", 0.0, 0.7, 1.0, 1.0, clear=False, of_other_split=True)
    view = ChipAnnotations(CHIP, (MAIZE, of_other_split))
    told = questions(view, *STILL, limit=999)
    tasks = {sample.task for sample in told}
    assert tasks >= {"field_at_point", "crop_box", "crop_at_place"}
    assert "layout" not in tasks  # it would have to call the rye nothing
    assert not any("rye" in part for sample in told for part in sample.answer if isinstance(part, str))
    assert not any("x" in sample.provenance.get("parcels", ()) for sample in told)


def test_every_task_has_a_builder() -> None:
    assert set(BUILDERS) == set(TASKS)
