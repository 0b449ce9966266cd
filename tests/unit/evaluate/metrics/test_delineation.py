import numpy as np
import pytest
import torch
from shapely.geometry import box
from torchmetrics.detection import PanopticQuality

from agrilape.evaluate.metrics.delineation import (
    boundary_f1,
    label_iou_matrix,
    object_matches,
    panoptic_quality,
    pixel_iou,
    segmentation_errors,
)


def label_image(seed, objects):
    """Overlapping rectangles painted one over the other; numbers without pixels may occur."""
    rng = np.random.default_rng(seed)
    image = np.zeros((60, 60), dtype=np.int64)
    for number in range(1, objects + 1):
        top, left = rng.integers(0, 45, 2)
        image[top : top + rng.integers(8, 30), left : left + rng.integers(8, 30)] = number
    return image


def shifted(image):
    return np.roll(image, 2, axis=1)


@pytest.mark.parametrize("seed", range(10))
def test_panoptic_quality_agrees_with_torchmetrics(seed):
    true = label_image(seed, 7)
    given = shifted(true)
    iou = label_iou_matrix(given, true)
    matches = object_matches(
        iou[np.isin(range(1, len(iou) + 1), given)][:, np.isin(range(1, iou.shape[1] + 1), true)]
    )
    reference = PanopticQuality(things={1}, stuffs={0}, return_per_class=True, return_sq_and_rq=True)
    images = [torch.tensor(np.stack([np.minimum(one, 1), one], axis=-1))[None] for one in (given, true)]
    expected = reference(*images)[0]
    np.testing.assert_allclose(panoptic_quality(*matches), expected.numpy(), atol=1e-6)


def test_label_iou_matrix_agrees_with_masks():
    true = label_image(1, 5)
    given = shifted(true)
    matrix = label_iou_matrix(given, true)
    for p in range(matrix.shape[0]):
        for t in range(matrix.shape[1]):
            if (given == p + 1).any() or (true == t + 1).any():
                assert matrix[p, t] == pytest.approx(pixel_iou(given == p + 1, true == t + 1))


def test_boundary_tolerance():
    field, moved = box(0, 0, 100, 100), box(3, 0, 103, 100)
    assert boundary_f1([field], [field], 0.5) == pytest.approx(1)
    assert boundary_f1([moved], [field], 3.01) == pytest.approx(1)
    # Beyond one metre: the moved sides, and the ends of the others past the corners.
    assert boundary_f1([moved], [field], 1) == pytest.approx((400 - 200 - 2 * 2) / 400 + 2 / 400, abs=0.01)
    assert boundary_f1([], [field], 1) == 0


def test_field_cut_into_halves_is_over_segmented():
    field = box(0, 0, 10, 10)
    assert segmentation_errors([box(0, 0, 5, 10), box(5, 0, 10, 10)], [field]) == pytest.approx((0.5, 0))


def test_two_fields_in_one_prediction_are_under_segmented():
    fields = [box(0, 0, 5, 10), box(5, 0, 10, 10)]
    assert segmentation_errors([box(0, 0, 10, 10)], fields) == pytest.approx((0, 0.5))


def test_missed_fields_are_over_segmented():
    over, under = segmentation_errors([], [box(0, 0, 1, 1)])
    assert over == 1
    assert np.isnan(under)
    assert np.isnan(segmentation_errors([], [])).all()
