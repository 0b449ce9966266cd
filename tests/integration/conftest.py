"""Fixtures that several whole runs share."""

import pytest
import torch
from tests.kits import Kits


@pytest.fixture(scope="module")
def one_thread():
    """One thread of PyTorch while a module's tests run: sums then have one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def kits(tmp_path_factory):
    """Real data, laid out once per session."""
    return Kits(tmp_path_factory.mktemp("kits"))
