import numpy as np
import pytest

from agrilape.evaluate.baselines.phenology import CURVES, double_logistic, greenest_image, parabola

DENSE = np.linspace(0, 1, 24)


def season(times, start, end, slope=0.03):
    """NDVI of a season that rises at one time and falls at another."""
    rise, fall = (1 / (1 + np.exp(-(times - edge) / slope)) for edge in (start, end))
    return 0.2 + 0.6 * (rise - fall)


@pytest.mark.parametrize("rule", CURVES.values())
def test_dense_series_show_their_season(rule):
    found = rule(DENSE, season(DENSE, 0.35, 0.6))
    assert found.peak == pytest.approx(0.475, abs=0.03)
    assert (found.start, found.end) == pytest.approx((0.35, 0.6), abs=0.04)


def test_a_curve_sees_the_peak_between_acquisitions():
    times = np.array([0.1, 0.34, 0.58, 0.9])
    index = season(times, 0.35, 0.6)
    assert greenest_image(times, index).peak == 0.58
    assert double_logistic(times, index).peak == pytest.approx(0.475, abs=0.05)


def test_a_parabola_is_exact_on_a_parabola():
    times = np.array([0.2, 0.4, 0.6, 0.8])
    assert parabola(times, 0.9 - (times - 0.53) ** 2).peak == pytest.approx(0.53)


@pytest.mark.parametrize("rule", CURVES.values())
def test_unknown_dates_are_left_out(rule):
    index = season(DENSE, 0.35, 0.6)
    times, gap = DENSE.copy(), index.copy()
    times[3], gap[12] = np.nan, np.nan
    keep = np.isfinite(times) & np.isfinite(gap)
    assert rule(times, gap) == rule(DENSE[keep], index[keep])


@pytest.mark.parametrize("rule", CURVES.values())
def test_times_may_be_days(rule):
    index = season(DENSE, 0.35, 0.6)
    assert rule(DENSE * 365, index, 365.0) == pytest.approx(np.array(rule(DENSE, index)) * 365)


def test_what_a_course_does_not_show_is_not_invented():
    times = np.array([0.1, 0.5, 0.9])
    rising = greenest_image(times, np.array([0.2, 0.4, 0.8]))
    assert rising.peak == 0.9
    assert np.isnan(rising.end)
    assert np.isnan(double_logistic(times[:2], np.array([0.2, 0.8]))).all()
    for rule in CURVES.values():
        assert np.isnan(rule(np.full(3, np.nan), np.ones(3))).all()
        assert np.isnan(rule(np.array([]), np.array([]))).all()
