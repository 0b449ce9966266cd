import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

from agrilape.evaluate.metrics.crops import (
    cohen_kappa,
    confusion,
    hierarchical_credit,
    macro_f1,
    margins,
    overall_accuracy,
)

CLASSES = ["barley", "maize", "wheat"]
names = st.sampled_from(CLASSES)
answers = st.lists(st.tuples(names, names | st.sampled_from(["rye", None])), min_size=1, max_size=60)


@given(answers)
def test_scores_agree_with_scikit_learn(pairs):
    truth, given_names = zip(*pairs, strict=True)
    as_label = [name if name in CLASSES else "other" for name in given_names]
    sums = margins(truth, given_names, CLASSES).sum(axis=0)
    assert overall_accuracy(sums) == pytest.approx(accuracy_score(truth, as_label))
    present = sorted(set(truth))
    assert macro_f1(sums) == pytest.approx(
        f1_score(truth, as_label, labels=present, average="macro", zero_division=0)
    )
    if len(set(truth) | set(as_label)) > 1:
        assert cohen_kappa(sums) == pytest.approx(cohen_kappa_score(truth, as_label))
    expected = confusion_matrix(truth, as_label, labels=[*CLASSES, "other"])[:-1]
    np.testing.assert_array_equal(confusion(truth, given_names, CLASSES), expected)


def test_kappa_of_one_class_is_zero():
    assert cohen_kappa(margins(["maize"], ["maize"], CLASSES).sum(axis=0)) == 0


def test_truth_outside_the_classes_is_refused():
    with pytest.raises(ValueError, match="rye"):
        margins(["rye"], ["rye"], CLASSES)


def test_hierarchical_credit_counts_levels_from_the_root():
    winter_wheat, summer_wheat, pasture = "3301010101", "3301010102", "3302000000"
    assert hierarchical_credit(winter_wheat, winter_wheat) == 1
    assert hierarchical_credit(winter_wheat, summer_wheat) == 0.75
    assert hierarchical_credit(winter_wheat, pasture) == 0
    assert hierarchical_credit(winter_wheat, None) == 0
    assert hierarchical_credit(pasture, pasture) == 1
    with pytest.raises(ValueError, match="HCAT"):
        hierarchical_credit("3300000000", pasture)
