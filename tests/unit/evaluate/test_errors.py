"""Numbers, places and times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.evaluate.metrics import position, quantities, spatiotemporal
from agrilape.evaluate.metrics import time as times

NAN = np.nan
share = st.floats(0, 1)
spans = st.tuples(share, share).map(sorted)


def test_counts():
    np.testing.assert_array_equal(quantities.exact([3, NAN, 2], [3, 3, 4]), [1, 0, 0])
    np.testing.assert_array_equal(quantities.absolute_error([3, NAN, 2], [3, 3, 4], 9), [0, 9, 2])
    np.testing.assert_array_equal(quantities.relative_error([3, NAN, 0, 1], [2, 4, 0, 0]), [0.5, 1, 0, 1])
    np.testing.assert_array_equal(quantities.growth_stage_error([61, NAN], [65, 65]), [4, 99])


def test_position_error_in_metres():
    error = position.position_error_m([[0.5, 0.5], [NAN, NAN]], [[0.2, 0.9], [0.5, 0.5]], [1000, 500])
    np.testing.assert_allclose(error, [np.hypot(300, 200), np.hypot(1000, 500)])
    np.testing.assert_allclose(position.box_centres([0, 0, 1, 0.5]), [0.5, 0.25])


@given(spans, spans)
def test_temporal_iou_counts_shared_days(a, b):
    """Against counting 10,000 small steps."""
    steps = np.linspace(0, 1, 10_001)[:-1]
    inside = [(steps >= start) & (steps < end) for start, end in (a, b)]
    either = (inside[0] | inside[1]).sum()
    if either > 200:
        expected = (inside[0] & inside[1]).sum() / either
        assert times.temporal_iou(a, b) == pytest.approx(expected, abs=0.02)


def test_temporal_iou_of_moments_and_nonsense():
    given_spans = [[0.3, 0.3], [0.3, 0.3], [0.8, 0.2], [NAN, NAN]]
    np.testing.assert_array_equal(
        times.temporal_iou(given_spans, [[0.3, 0.3], [0.4, 0.4], [0.2, 0.8], [0, 1]]), [1, 0, 0, 0]
    )
    assert times.recall_at_1([0.29, 0.3, 0.9, 0], 0.3) == 0.5


def test_days_of_error():
    np.testing.assert_allclose(times.date_error_days([0.5, NAN], [0.25, 0.5], 200), [50, 200])
    # 2 January against 30 December of a year of 365 days.
    assert times.date_error_days(1 / 365, 363 / 365, 365, period_days=365) == pytest.approx(3)
    assert times.date_error_days(NAN, 0.5, 365, period_days=365) == 182.5


def test_tubes():
    box, absent = [0, 0, 1, 1], [NAN] * 4
    assert spatiotemporal.tube_iou([box, box, absent], [absent, box, box]) == pytest.approx(1 / 3)
    assert spatiotemporal.tube_iou([box, absent], [[0, 0, 1, 0.5], absent]) == 0.5
    assert np.isnan(spatiotemporal.tube_iou([absent], [absent]))


def test_standing_tube_equals_the_sampled_one():
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.random((2, 2, 2)), axis=1).reshape(2, 4)
    span_a, span_b = (0.2, 0.7), (0.4, 0.9)
    points = rng.random((400_000, 3))

    def inside(box, span):
        low, high = [*box[:2], span[0]], [*box[2:], span[1]]
        return ((points >= low) & (points <= high)).all(axis=1)

    expected = (inside(a, span_a) & inside(b, span_b)).sum() / (inside(a, span_a) | inside(b, span_b)).sum()
    assert spatiotemporal.prism_iou(a, span_a, b, span_b) == pytest.approx(expected, abs=0.02)
    assert spatiotemporal.prism_iou([NAN] * 4, span_a, b, span_b) == 0
