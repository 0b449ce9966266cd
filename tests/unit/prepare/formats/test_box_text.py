from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.geo.timewindow import TimeWindow
from agrilape.prepare.formats.box_text import EARTHDIAL, FRACTIONS, GEOCHAT, TEOCHAT, VRSBENCH
from agrilape.prepare.formats.coordinate_conventions import Size

SIZE = Size(100, 100)
quick = settings(max_examples=60, deadline=None)
WHOLE = {"geochat": GEOCHAT, "vrsbench": VRSBENCH, "earthdial": EARTHDIAL, "teochat": TEOCHAT}


@st.composite
def messages(draw):
    """Texts and boxes on whole percents, as in the published data."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()) and not (parts and isinstance(parts[-1], str)):
            parts.append(draw(st.sampled_from(["the maize ", " in the east of ", "A field: "])))
        left, top = draw(st.integers(0, 98)), draw(st.integers(0, 98))
        right, bottom = draw(st.integers(left + 1, 100)), draw(st.integers(top + 1, 100))
        parts.append(Box(left / 100, top / 100, right / 100, bottom / 100))
    return tuple(parts)


@pytest.mark.parametrize("name", WHOLE)
@quick
@given(messages())
def test_messages_survive_a_round_trip(name, message):
    again = WHOLE[name].parse(WHOLE[name].write(message, SIZE), SIZE)
    assert again == message


@quick
@given(messages())
def test_fractions_survive_a_round_trip(message):
    again = FRACTIONS.parse(FRACTIONS.write(message, SIZE), SIZE)
    assert len(again) == len(message)
    for one, other in zip(again, message, strict=True):
        assert one == other if isinstance(other, str) else one == pytest.approx(other)


def test_points_and_outlines_are_lists_of_fractions():
    message = (Point(0.25, 0.5), " lies in ", Polygon((Point(0.1, 0.1), Point(0.5, 0.2), Point(0.3, 0.9))))
    assert FRACTIONS.parse(FRACTIONS.write(message, SIZE), SIZE) == message


@pytest.mark.parametrize("name", ["geochat", "earthdial"])
@pytest.mark.parametrize("degrees", [30, 120])
def test_turned_boxes_become_outlines_and_are_written_with_their_angle(name, degrees):
    notation = WHOLE[name]
    (outline,) = notation.parse(notation.oriented.format(40, 40, 60, 50, degrees), SIZE)
    assert isinstance(outline, Polygon)
    assert len(outline.points) == 4
    (again,) = notation.parse(notation.write((outline,), SIZE), SIZE)
    ours, theirs = (sorted(shape.points) for shape in (outline, again))
    assert [c for p in ours for c in p] == pytest.approx([c for p in theirs for c in p], abs=0.011)


def test_lists_of_boxes_keep_no_separators():
    assert TEOCHAT.parse("[10, 20, 30, 40], [50, 60, 70, 80].", SIZE) == (
        Box(0.1, 0.2, 0.3, 0.4),
        Box(0.5, 0.6, 0.7, 0.8),
    )
    assert len(GEOCHAT.parse("{<1><2><3><4>|<0>}<delim>{<5><6><7><8>|<0>}", SIZE)) == 2


@pytest.mark.parametrize(
    ("notation", "text"),
    [
        (GEOCHAT, "what is {<1><2><3>|<4>}?"),
        (GEOCHAT, "{<1><2><30><4"),
        (EARTHDIAL, "[[1, 2, 3]]"),
        (TEOCHAT, "[10, 20"),
    ],
)
def test_damaged_boxes_are_refused(notation, text):
    with pytest.raises(ValueError, match="cannot be read"):
        notation.parse(text, SIZE)


def test_what_a_notation_cannot_say_is_refused():
    triangle = Polygon((Point(0.1, 0.1), Point(0.5, 0.2), Point(0.3, 0.9)))
    for notation, part, reason in (
        (VRSBENCH, triangle, "no sign for a polygon"),
        (GEOCHAT, Point(0.5, 0.5), "no sign for a point"),
        (GEOCHAT, Instant(0.5), "without a calendar"),
        (GEOCHAT, Box(0.1, 0.1, 0.102, 0.5), "narrower"),
    ):
        with pytest.raises(ValueError, match=reason):
            notation.write((part,), SIZE)


def test_what_has_no_sign_has_a_nearest_form():
    """A point is read back as the smallest box, which holds it; an outline as its bounding box."""
    nearest = replace(VRSBENCH, nearest=True)
    triangle = Polygon((Point(0.1, 0.1), Point(0.5, 0.2), Point(0.3, 0.9)))
    assert nearest.write((triangle,), SIZE) == "{<10><10><50><90>}"
    for x, y in ((0.0, 0.999), (1.0, 0.505), (0.29, 0.57)):
        (box,) = nearest.parse(nearest.write((Point(x, y),), SIZE), SIZE)
        assert box.left - 1e-9 <= x <= box.right + 1e-9
        assert box.top - 1e-9 <= y <= box.bottom + 1e-9
        assert box.right - box.left == pytest.approx(0.01)


def test_times_are_written_as_dates():
    window = TimeWindow(date(2022, 1, 1), date(2022, 12, 31))
    assert GEOCHAT.write(("green: ", Span(0.0, 1.0)), SIZE, window) == "green: 2022-01-01 to 2022-12-31"


@pytest.mark.parametrize("text", ["[0.1, 0.2, 0.3, 0.4]", "at [0.10, 0.2, 1, 1]"])
def test_fractions_are_not_taken_for_percent(text):
    with pytest.raises(ValueError, match="fractions of the image"):
        TEOCHAT.parse(text, Size(100, 100))
