import numpy as np
import pytest
import torch
from scipy.stats import norm
from torchmetrics.classification import BinaryCalibrationError

from agrilape.evaluate.metrics.calibration import (
    central_intervals,
    coverage,
    expected_calibration_error,
    reliability,
)


def gaussians(means, sigma, bins=100):
    edges = np.arange(bins + 1) - 0.5
    return np.diff(norm.cdf(edges, loc=np.asarray(means)[:, None], scale=sigma), axis=1)


def test_intervals_of_a_gaussian():
    low, high = central_intervals(gaussians([50.3], 5.0), 0.9)[0]
    assert (low, high) == pytest.approx((50.3 - 1.645 * 5, 50.3 + 1.645 * 5), abs=0.05)


def test_interval_of_one_certain_bin_is_inside_it():
    np.testing.assert_allclose(central_intervals(np.eye(4)[[2]] * 7, 0.5), [[1.75, 2.25]])


def test_coverage_of_honest_and_overconfident_models():
    rng = np.random.default_rng(0)
    means = rng.uniform(30, 70, 4000)
    truth = rng.normal(means, 4.0)
    for level, share in coverage(gaussians(means, 4.0), truth).items():
        assert share == pytest.approx(level, abs=0.02)
    assert coverage(gaussians(means, 1.0), truth, [0.9])[0.9] < 0.5


def test_calibration_error_agrees_with_torchmetrics():
    rng = np.random.default_rng(1)
    confidence = rng.random(500)
    correct = rng.random(500) < confidence**2
    # torchmetrics compares the probability of class 1 with its share: the same quantities.
    reference = BinaryCalibrationError(n_bins=10, norm="l1")(
        torch.tensor(confidence), torch.tensor(correct).long()
    )
    assert expected_calibration_error(confidence, correct) == pytest.approx(float(reference), abs=1e-6)


def test_reliability_leaves_out_empty_bins():
    curve = reliability([0.05, 0.95, 1.0], [0, 1, 1])
    np.testing.assert_allclose(curve.confidence, [0.05, 0.975])
    np.testing.assert_array_equal(curve.samples, [1, 2])
