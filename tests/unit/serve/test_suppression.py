from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, box

from agrilape.serve.suppression import suppress
from agrilape.serve.tile_merge import MergedObject

SIDE = 100


@st.composite
def objects(draw):
    left, top = draw(st.integers(0, SIDE - 5)), draw(st.integers(0, SIDE - 5))
    right, bottom = draw(st.integers(left + 3, SIDE)), draw(st.integers(top + 3, SIDE))
    confidence = draw(st.integers(0, 10)) / 10
    if draw(st.booleans()):
        return MergedObject(box(left, top, right, bottom), 1, confidence)
    return MergedObject(box(left, top, right, bottom).union(box(left, top, left + 1, SIDE)), 1, confidence)


def test_the_surest_of_two_that_are_the_same_stays():
    sure, unsure = MergedObject(box(0, 0, 50, 50), 1, 0.9), MergedObject(box(2, 0, 52, 50), 1, 0.4)
    assert suppress([unsure, sure], SIDE**2) == [sure]


def test_what_surer_ones_hold_together_is_no_object_of_its_own():
    halves = [MergedObject(box(x, 0, x + 30, 40), 1, 0.8) for x in (0, 30)]
    across = MergedObject(box(8, 0, 52, 40), 1, 0.5)
    assert suppress([*halves, across], SIDE**2) == halves


def test_boxes_of_neighbours_may_overlap_and_stay_boxes():
    pair = [MergedObject(box(0, 0, 50, 50), 1, 0.9), MergedObject(box(30, 30, 90, 90), 1, 0.4)]
    assert suppress(pair, SIDE**2) == pair


def test_an_outline_ends_where_a_surer_one_begins():
    sure, unsure = Point(40, 40).buffer(20), Point(65, 40).buffer(20)
    first, second = suppress([MergedObject(sure, 1, 0.9), MergedObject(unsure, 1, 0.5)], SIDE**2)
    assert first.outline.equals(sure)
    assert second.outline.equals(unsure.difference(sure))


@given(st.lists(objects(), min_size=1, max_size=12))
def test_together_objects_never_have_more_ground_than_the_image(found):
    kept = suppress(found, SIDE**2)
    assert sum(one.outline.area for one in kept) <= SIDE**2
    assert max(one.confidence for one in kept) == max(one.confidence for one in found)


def test_boxes_that_overlap_and_fill_the_image_leave_no_room_for_a_less_sure_one():
    first, second = (MergedObject(box(x, 0, x + 60, 100), 1, sure) for x, sure in ((0, 0.9), (40, 0.8)))
    assert suppress([second, first], SIDE**2) == [first]  # 60 % of the image each
