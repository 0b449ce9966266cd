import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.dataset.serialization import parts_from_json, parts_to_json
from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span

number = st.floats(allow_nan=False, allow_infinity=False)
points = st.builds(Point, number, number)
parts = st.one_of(
    st.text(),
    points,
    st.builds(Box, number, number, number, number),
    st.builds(Instant, number),
    st.builds(Span, number, number),
    st.lists(points, min_size=3, max_size=6).map(lambda vertices: Polygon(tuple(vertices))),
)


@given(st.lists(parts))
def test_parts_survive_json(message):
    back = parts_from_json(json.loads(json.dumps(parts_to_json(message))))
    assert back == tuple(message)
    assert [type(part) for part in back] == [type(part) for part in message]


@pytest.mark.parametrize(
    "value",
    [
        {"box": [1, 2, 3]},
        {"box": ["a", 2, 3, 4]},
        {"polygon": [[0, 0], [1, 1]]},
        {"point": [1, 2], "box": [1, 2, 3, 4]},
        {"circle": 1},
        3,
        None,
    ],
)
def test_nonsense_is_refused(value):
    with pytest.raises(DataError, match="neither a text nor a place"):
        parts_from_json([value])
