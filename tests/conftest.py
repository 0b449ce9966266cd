"""Settings of all tests."""

from hypothesis import settings

# The same examples in every run, and no deadline: a slow machine must not turn a landing red by chance.
settings.register_profile("agrilape", derandomize=True, deadline=None)
settings.load_profile("agrilape")
