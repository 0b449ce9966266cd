"""Errors that say what to do next."""

import difflib
from collections.abc import Iterable


class AgrilapeError(Exception):
    """A problem that the user can solve.

    The command line prints it without a traceback and exits with status 1.

    Args:
        problem: What is wrong, naming the file or the field.
        remedy: What to do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n  -> {remedy}")
        self.problem = problem
        self.remedy = remedy


class DataError(AgrilapeError):
    """Imagery, parcels or a sample store cannot be used as they are."""


class RecipeError(AgrilapeError):
    """A recipe or a setting is invalid."""


class ModelError(AgrilapeError):
    """A model, checkpoint or processor cannot be used as it is."""


class DiskError(AgrilapeError):
    """There is no room for a file."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A question for the known name that is nearest to an unknown one; `otherwise` where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else otherwise
