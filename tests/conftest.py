"""Settings of all tests."""

import pytest
from hypothesis import settings

from agrilape import logfile

# The same examples in every run, and no deadline: a slow machine must not turn a landing red by chance.
settings.register_profile("agrilape", derandomize=True, deadline=None)
settings.load_profile("agrilape")


@pytest.fixture(scope="session", autouse=True)
def _log_folder(tmp_path_factory):
    """Logs of failures that tests cause stay away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(logfile.FOLDER, str(tmp_path_factory.mktemp("log")))
        yield
