import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.config.lape import LapeConfig
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.tokens import PositionCodec, parse, render
from agrilape.tokens.grammar import coordinates_of, spell

CODEC = PositionCodec(LapeConfig(num_spatial_tokens=150, num_temporal_tokens=50))
NOTATIONS = pytest.mark.parametrize("coordinates", ["position_tokens", "text"])
unit = st.floats(0, 1)
points = st.builds(Point, unit, unit)
words = st.text(st.characters(exclude_characters="[]<>", exclude_categories=["Cs"]), min_size=1)


@st.composite
def boxes(draw):
    left, right = sorted((draw(unit), draw(unit)))
    top, bottom = sorted((draw(unit), draw(unit)))
    return Box(left, top, right, bottom)


shapes = st.one_of(
    points,
    boxes(),
    st.builds(Instant, unit),
    st.tuples(unit, unit).map(lambda ends: Span(*sorted(ends))),
    st.lists(points, min_size=3, max_size=12).map(lambda vertices: Polygon(tuple(vertices))),
)
messages = st.lists(shapes | words, max_size=8)


def merged(parts):
    """The same message with neighbouring texts joined, as a reader must see it."""
    result = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        else:
            result.append(part)
    return result


@NOTATIONS
@given(parts=messages)
def test_what_is_written_is_read_back_to_half_a_token(coordinates, parts):
    parsed = parse(render(parts, CODEC, coordinates), CODEC, coordinates)
    assert parsed.problems == ()
    wanted = merged(parts)
    assert [type(part) for part in parsed.parts] == [type(part) for part in wanted]
    for part, want in zip(parsed.parts, wanted, strict=True):
        if isinstance(want, str):
            assert part == want
            continue
        for (axis, read), (same, written) in zip(coordinates_of(part), coordinates_of(want), strict=True):
            bins = 1000 if coordinates == "text" else CODEC.bins(axis)
            assert axis == same
            assert abs(read - written) <= 0.5 / (bins - 1) + 1e-12


@NOTATIONS
@given(parts=messages)
def test_writing_what_was_read_changes_nothing(coordinates, parts):
    text = render(parts, CODEC, coordinates)
    assert render(parse(text, CODEC, coordinates).parts, CODEC, coordinates) == text


@given(parts=messages)
def test_exact_positions_give_the_exact_shapes_back(parts):
    exact = [piece.position for piece in spell(parts, CODEC) if piece.axis]
    read = [c for s in parse(render(parts, CODEC), CODEC, positions=exact).shapes for c in coordinates_of(s)]
    written = [c for s in parts if not isinstance(s, str) for c in coordinates_of(s)]
    assert [axis for axis, _ in read] == [axis for axis, _ in written]
    assert [p for _, p in read] == pytest.approx([p for _, p in written], abs=1e-9)


def test_spelling_is_the_documented_one():
    parts = ("At ", Point(0.0, 1.0), ", ", Span(0.0, 1.0))
    assert render(parts, CODEC) == "At [<WIDTH-000><HEIGHT-149>], [<TEMP-000><TEMP-049>]"
    assert render(parts, CODEC, "text") == "At [x000 y999], [t000 t999]"
    assert render((Box(0, 0, 0.5, 1),), CODEC) == "[<WIDTH-000><HEIGHT-000><WIDTH-075><HEIGHT-149>]"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[<WIDTH-150><HEIGHT-000>]", "out of range"),
        ("[<WIDTH-999999><HEIGHT-000>]", "out of range"),
        ("[<WIDTH-009><HEIGHT-000><WIDTH-008><HEIGHT-001>]", "reversed"),
        ("[<WIDTH-001><HEIGHT-002><WIDTH-008><HEIGHT-001>]", "reversed"),
        ("[<TEMP-009><TEMP-008>]", "ends before"),
        ("[<TEMP-001><TEMP-002><TEMP-003>]", "not a shape"),
        ("[<HEIGHT-001><WIDTH-001>]", "not a shape"),
        ("[<WIDTH-001><HEIGHT-001><WIDTH-002>]", "not a shape"),
        ("[<WIDTH-001><HEIGHT-002>", "truncated"),
        ("[<WIDTH-001><HEIGHT-002> and more", "truncated"),
        ("[<WIDTH-0", "truncated"),
        ("[", "truncated"),
        ("<WIDTH-001><HEIGHT-002>", "outside brackets"),
    ],
)
def test_a_malformed_place_is_reported_and_the_sound_one_before_it_kept(text, problem):
    parsed = parse("first [<TEMP-003>] then " + text, CODEC)
    assert len(parsed.problems) == 1
    assert problem in parsed.problems[0]
    assert parsed.shapes == (Instant(3 / 49),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x900 y100 x100 y200]", "reversed"),
        ("[x1000 y000]", "out of range"),
        ("[t500 t400]", "ends before"),
        ("[x12", "truncated"),
        ("[y001 x001]", "not a shape"),
    ],
)
def test_malformed_numerals_are_reported(text, problem):
    parsed = parse(f"[t999] {text}", CODEC, "text")
    assert problem in "".join(parsed.problems)
    assert parsed.shapes == (Instant(1.0),)


def test_blanks_inside_brackets_do_no_harm():
    assert parse("[ <WIDTH-000> <HEIGHT-149> ]", CODEC).parts == (Point(0.0, 1.0),)


def test_plain_brackets_and_words_stay_text():
    text = "maize [sic] at x12, t3 [about]"
    assert parse(text, CODEC).parts == (text,)
    assert parse(text, CODEC, "text").parts == (text,)


def test_positions_that_cross_within_one_token_are_put_in_order():
    text = "[<WIDTH-010><HEIGHT-010><WIDTH-010><HEIGHT-012>]"
    (box,) = parse(text, CODEC, positions=[10.3, 10.0, 9.8, 12.1]).shapes
    assert box == pytest.approx((9.8 / 149, 10 / 149, 10.3 / 149, 12.1 / 149))


def test_positions_stay_with_their_tokens_across_malformed_ones():
    text = "<WIDTH-001>[<TEMP-001><TEMP-000>][<TEMP-007"
    text = text.replace("[<TEMP-007", "[<TEMP-007>]")
    assert parse(text, CODEC, positions=[1.1, 1.2, 0.3, 7.4]).shapes == (Instant(7.4 / 49),)


@NOTATIONS
@given(text=st.text())
def test_any_text_is_read(coordinates, text):
    assert all(part != "" for part in parse(text, CODEC, coordinates).parts)


FRAGMENTS = [
    "[",
    "]",
    "<WIDTH-012>",
    "<HEIGHT-034>",
    "<TEMP-001>",
    "<WIDTH-",
    "9",
    "x1",
    " y22",
    "t",
    " ",
    "é",
    "[",
]


@NOTATIONS
def test_hundred_thousand_random_messages_are_read(coordinates):
    draw = random.Random(0)
    for _ in range(100_000 // 2):
        parsed = parse("".join(draw.choices(FRAGMENTS, k=draw.randrange(12))), CODEC, coordinates)
        for shape in parsed.shapes:
            assert all(0 <= p <= 1 for _, p in coordinates_of(shape))


@NOTATIONS
@pytest.mark.parametrize(
    "unit", ["[", "[ ", "<WIDTH-", "[<WIDTH-001>", "<WIDTH-001>", "[x1 ", "x1", "[]", " ", "9"]
)
def test_time_is_linear_in_the_length(coordinates, unit):
    text = "[<WIDTH-001>[x1" + unit * 200_000
    began = time.process_time()
    parse(text, CODEC, coordinates)
    assert time.process_time() - began < 2.0
