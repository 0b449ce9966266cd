from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from agrilape.serve.tile_merge import TileObject, merge
from agrilape.sources.scene import PixelWindow
from agrilape.sources.tiling import plan_windows

LEFT, RIGHT = PixelWindow(0, 0, 100, 100), PixelWindow(75, 0, 100, 100)


def seen(outline, tiles, least=1.0):
    """What tiles see of an outline: the part inside each."""
    views = [
        (tile, outline.intersection(box(*tile[:2], tile[0] + tile[2], tile[1] + tile[3]))) for tile in tiles
    ]
    return [TileObject(part, tile) for tile, part in views if part.area >= least]


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
    (whole,) = merge([TileObject(box(60, 20, 98, 60), LEFT), TileObject(box(75, 22, 102, 61), RIGHT)])
    assert whole.outline.bounds == (60, 20, 102, 61)
    assert whole.tiles == 2


CORNERS = [PixelWindow(left, top, 100, 100) for top in (0, 75) for left in (0, 75)]


def test_a_box_as_large_as_its_tile_does_not_chain_what_its_neighbours_saw():
    """It agrees with whatever covers half of the ground in common; two fields are not one through it."""
    a, b, c, _ = CORNERS
    whole, right, below = box(0, 0, 100, 100), box(75, 0, 170, 60), box(0, 80, 60, 175)
    found = merge([TileObject(whole, a), TileObject(right, b), TileObject(below, c)])
    assert sorted(one.outline.bounds for one in found) == sorted(o.bounds for o in (whole, right, below))


def test_a_field_that_fills_a_tile_is_put_together_all_the_same():
    field = box(-20, 10, 160, 150)
    (whole,) = merge(seen(field, CORNERS))
    assert whole.outline.bounds == (0, 10, 160, 150)
    assert whole.tiles == 4


def test_a_chain_round_a_corner_does_not_join_two_fields_of_one_tile():
    """Each link agrees, but the tile that the chain comes back to told two fields apart."""
    a, b, c, d = CORNERS
    chain = [
        TileObject(box(60, 10, 100, 70), a),
        TileObject(box(75, 10, 120, 100), b),
        TileObject(box(75, 75, 120, 120), d),
        TileObject(box(10, 75, 100, 120), c),
        TileObject(box(10, 60, 58, 100), a),
    ]
    assert [(one.tiles, one.outline.bounds) for one in merge(chain)] == [
        (4, (10, 10, 120, 120)),
        (1, (10, 60, 58, 100)),
    ]


def test_a_field_that_a_tile_names_twice_is_one():
    twice = [TileObject(box(60, 20, 100, 60), LEFT), TileObject(box(61, 20, 100, 61), LEFT)]
    assert [one.tiles for one in merge([*twice, TileObject(box(75, 21, 130, 60), RIGHT)])] == [2]


@given(st.lists(st.floats(-6, 6), min_size=400, max_size=400))
def test_a_large_field_seen_by_many_tiles_with_slips_is_one(slips):
    errors = iter(slips)
    pieces = []
    for piece in seen(box(40, 50, 350, 330), plan_windows(400, 400, 128, 0.25), least=300):
        left, top, width, height = piece.tile
        view = box(left, top, left + width, top + height)
        edges = [edge + next(errors) for edge in piece.outline.bounds]
        pieces.append(TileObject(box(*edges).intersection(view), piece.tile))
    assert max(one.tiles for one in merge(pieces)) >= 0.8 * len(pieces)


def test_outlines_that_are_no_boxes_keep_their_shape():
    field = box(60, 20, 140, 60).union(box(60, 60, 90, 80))
    (whole,) = merge(seen(field, [LEFT, RIGHT]))
    assert whole.outline.equals(field)


def test_tiles_that_see_no_common_ground_join_nothing():
    far = PixelWindow(200, 0, 100, 100)
    for outline in (box(90, 10, 260, 60), box(90, 10, 260, 60).difference(box(90, 10, 100, 20))):
        assert len(merge([TileObject(outline, LEFT), TileObject(outline, far)])) == 2


def test_boxes_and_other_outlines_are_compared_alike():
    whole = box(60, 20, 140, 60)
    bitten = whole.difference(box(60, 20, 62, 22))
    for first, second in ((whole, bitten), (bitten, whole), (bitten, bitten)):
        pieces = [*seen(first, [LEFT]), *seen(second, [RIGHT])]
        assert [one.tiles for one in merge(pieces)] == [2]
        assert len(merge([*seen(first, [LEFT]), *seen(box(60, 42, 140, 82), [RIGHT])])) == 2


def test_nothing_seen_is_nothing_found():
    assert merge([]) == []
    assert merge([TileObject(box(5, 5, 5, 9), LEFT)]) == []


def test_a_tile_that_shows_an_object_and_does_not_name_it_speaks_against_it():
    field = TileObject(box(80, 20, 98, 60), LEFT, 0.8)
    (alone,) = merge([field])
    (doubted,) = merge([field], asked=[LEFT, RIGHT])
    (confirmed,) = merge([field, TileObject(box(80, 20, 98, 60), RIGHT, 0.6)], asked=[LEFT, RIGHT])
    assert [alone.confidence, doubted.confidence, confirmed.confidence] == [0.8, 0.4, 0.8]
