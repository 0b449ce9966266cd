"""One bad file never sinks the others: the one way in which loops over files, scenes and rows go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from agrilape import logfile
from agrilape.errors import AgrilapeError, DataError, RecipeError, activities, doing, text_of
from agrilape.files import is_out_of_room

P = ParamSpec("P")
R = TypeVar("R")


def attempt(
    what: str, place: object, work: Callable[P, R], *given: P.args, **named: P.kwargs
) -> R | AgrilapeError:
    """What work with one item of many gives, or why that item is to be skipped, whatever reading it raises.

    What nobody planned is written into the log with its traceback, and is raised with `AGRILAPE_DEBUG=1`. A
    full disk and a setting that is wrong concern all items, and pass.

    Args:
        what: What is being done with the item, such as "reading".
        place: The item: a file, a scene, a row.
        work: The work.
        given: Its arguments.
        named: Its named arguments.
    """
    try:
        with doing(what, place):
            return work(*given, **named)
    except Exception as error:
        if affects_all_items(error):
            raise
        return planned(error)


def affects_all_items(error: Exception) -> bool:
    """Whether an error would meet the other items as well, or is to be seen by whoever looks for faults."""
    if isinstance(error, RecipeError) or is_out_of_room(error):
        return True
    return bool(os.environ.get("AGRILAPE_DEBUG")) and not isinstance(error, (AgrilapeError, OSError))


def planned(error: Exception) -> AgrilapeError:
    """An error as one that the user can solve; one that nobody planned is logged and named as such."""
    if isinstance(error, AgrilapeError):
        return error
    remedy = "look at the file with another program, or leave it out"
    if isinstance(error, MemoryError):
        return DataError(f"there is not enough memory: {text_of(error)}", "make it smaller, or leave it out")
    if isinstance(error, OSError):
        return DataError(str(error) or type(error).__name__, remedy)
    log = logfile.record(error)
    during = "; ".join(activities(error)[:1])
    return DataError(
        f"{text_of(error)}" + (f" while {during}" if during else ""),
        f"{remedy}; the full log is {log}" if log else remedy,
    )
