from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.prepare.seasons import field_seasons, green_cycles

DATES = [date(2022, 1, 1) + timedelta(days=20 * i) for i in range(12)]


def curve(*values):
    return np.array(values, np.float32)


def course(dates, index):
    (found,) = field_seasons(dates, index[None])
    return found


def test_greenest_is_the_highest_clear_date():
    index = curve(0.2, 0.3, 0.6, np.nan, 0.8, 0.5, 0.3, 0.2)
    assert course(DATES[:8], index).top == DATES[4]


@pytest.mark.parametrize(
    "index",
    [
        curve(0.2, 0.8, 0.2),  # too few dates
        curve(0.8, 0.5, 0.3, 0.2),  # falling from the first date on
        curve(0.5, 0.52, 0.51, 0.5, 0.5),  # forest
        curve(0.2, 0.8, 0.3, 0.3, 0.79, 0.2),  # two crops, as green as each other
        curve(np.nan, np.nan, np.nan, np.nan, 0.5),
    ],
)
def test_doubtful_curves_have_no_peak_and_no_span(index):
    assert course(DATES[: len(index)], index) == (None, None)


def test_span_crosses_the_middle_by_interpolation():
    index = curve(0.2, 0.2, 0.6, 0.8, 0.6, 0.2, 0.2)  # the middle, 0.5, lies 3/4 of the way up and 1/4 down
    assert course(DATES[:7], index).span == (DATES[1] + timedelta(days=15), DATES[4] + timedelta(days=5))


@given(st.lists(st.floats(-0.25, 1, width=32) | st.just(float("nan")), min_size=1, max_size=12))
def test_a_span_holds_its_peak(values):
    dates, index = DATES[: len(values)], np.array(values, np.float32)
    top, span = course(dates, index)
    if span:
        assert span[0] <= top <= span[1]


@given(
    st.lists(
        st.lists(st.floats(-0.25, 1, width=32) | st.just(float("nan")), min_size=8, max_size=8), max_size=6
    )
)
def test_fields_do_not_change_each_other(rows):
    curves = np.array(rows, np.float32).reshape(len(rows), 8)
    assert field_seasons(DATES[:8], curves) == [course(DATES[:8], one) for one in curves]


def test_without_dates_there_is_no_season():
    assert field_seasons([], np.zeros((2, 0), np.float32)) == [(None, None)] * 2


def waves(*peaks, count=23, step=16):
    """Dates of 16 days and a curve with a peak at each of some dates."""
    days = [date(2019, 9, 1) + timedelta(days=step * n) for n in range(count)]
    curve = np.full(count, 0.2, np.float32)
    for peak in peaks:
        curve = np.maximum(curve, 0.85 - 0.012 * (step * (np.arange(count) - peak)) ** 2 / step).astype(
            np.float32
        )
    return days, curve


@pytest.mark.parametrize("peaks", [(11,), (6, 16), (4, 11, 18)])
def test_cycles_are_counted_despite_a_cloud_that_was_missed(peaks):
    days, curve = waves(*peaks)
    assert green_cycles(days, curve) == len(peaks)
    curve[peaks[0]] = 0.3
    assert green_cycles(days, curve) == len(peaks)


def test_cycles_are_not_guessed():
    days, curve = waves(6, 16)
    assert green_cycles(days, np.full_like(curve, 0.8)) is None  # a forest
    assert green_cycles(days[::3], curve[::3]) is None  # too few dates
    gap = curve.copy()
    gap[5:9] = np.nan
    assert green_cycles(days, gap) is None
    shallow = np.where(np.arange(len(curve)) == 11, 0.62, np.maximum(curve, 0.64))
    assert green_cycles(days, shallow.astype(np.float32)) is None
