import pytest
import torch

from agrilape.model import lape as lape_module
from agrilape.train.parity import check_parity


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lape_equals_the_published_formulas(seed):
    checks = check_parity(seed)
    assert len(checks) == 6
    assert [check.name for check in checks if not check.passed] == []


def test_a_wrong_propagation_is_found(monkeypatch):
    monkeypatch.setattr(lape_module, "propagation_matrix", lambda bins, normalised: torch.eye(bins))
    assert [check.name for check in check_parity() if not check.passed] == ["rows: gradient"]
