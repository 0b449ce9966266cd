"""What the readers of published imagery are tested with."""

import pytest

from agrilape.sources.formats import SkippedRows


@pytest.fixture
def omissions():
    return SkippedRows()
