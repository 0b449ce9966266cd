"""What the readers of published imagery are tested with."""

import pytest

from agrilape.sources.formats import Omissions


@pytest.fixture
def omissions():
    return Omissions()
