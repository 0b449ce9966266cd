from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from agrilape.samples.chips import plan_windows
from agrilape.serve.merge import Piece, merge
from agrilape.sources.scene import PixelWindow

LEFT, RIGHT = PixelWindow(0, 0, 100, 100), PixelWindow(75, 0, 100, 100)


def seen(outline, tiles, least=1.0):
    """What tiles see of an outline: the part inside each."""
    views = [
        (tile, outline.intersection(box(*tile[:2], tile[0] + tile[2], tile[1] + tile[3]))) for tile in tiles
    ]
    return [Piece(part, tile) for tile, part in views if part.area >= least]


@st.composite
def boxes(draw, size=400):
    left, top = draw(st.integers(0, size - 20)), draw(st.integers(0, size - 20))
    return box(left, top, draw(st.integers(left + 10, size)), draw(st.integers(top + 10, size)))


@given(boxes(), st.sampled_from([64, 100, 128]), st.sampled_from([0.1, 0.25, 0.5]))
def test_a_field_cut_by_tiles_is_put_together_again(field, side, overlap):
    pieces = seen(field, plan_windows(400, 400, side, overlap))
    (whole,) = merge(pieces)
    assert whole.outline.equals(field)
    assert whole.tiles == len({piece.tile for piece in pieces})


@given(st.lists(boxes(), max_size=5), st.randoms())
def test_the_order_of_the_pieces_does_not_matter(fields, random):
    pieces = [piece for field in fields for piece in seen(field, plan_windows(400, 400, 128, 0.25))]
    shuffled = random.sample(pieces, len(pieces))
    assert [whole.outline.bounds for whole in merge(pieces)] == [
        whole.outline.bounds for whole in merge(shuffled)
    ]


@given(st.lists(boxes(), min_size=1, max_size=5))
def test_nothing_is_lost_and_nothing_invented(fields):
    pieces = [piece for field in fields for piece in seen(field, plan_windows(400, 400, 128, 0.25))]
    wholes = merge(pieces)
    assert len(wholes) <= len(pieces)
    for piece in pieces:
        assert any(whole.outline.covers(piece.outline) for whole in wholes)


def test_fields_side_by_side_stay_apart():
    upper, lower = box(50, 10, 150, 40), box(50, 45, 150, 90)
    assert len(merge(seen(upper, [LEFT, RIGHT]) + seen(lower, [LEFT, RIGHT]))) == 2


def test_a_slightly_different_view_of_the_same_field_is_the_same_field():
    (whole,) = merge([Piece(box(60, 20, 98, 60), LEFT), Piece(box(75, 22, 102, 61), RIGHT)])
    assert whole.outline.bounds == (60, 20, 102, 61)
    assert whole.tiles == 2


def test_outlines_that_are_no_boxes_keep_their_shape():
    field = box(60, 20, 140, 60).union(box(60, 60, 90, 80))
    (whole,) = merge(seen(field, [LEFT, RIGHT]))
    assert whole.outline.equals(field)


def test_nothing_seen_is_nothing_found():
    assert merge([]) == []
    assert merge([Piece(box(5, 5, 5, 9), LEFT)]) == []
