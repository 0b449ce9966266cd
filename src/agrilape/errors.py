"""Errors that say what to do next, and what was being done when they came up."""

from __future__ import annotations

import difflib
import pickle
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

WHILE = "while "
"""How a note of an exception begins that says what was being done."""


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Carry kind, problem, remedy and notes from one process to another."""
        return _restored, (type(self), self.problem, self.remedy), dict(vars(self))


class DataError(AgrilapeError):
    """Imagery, parcels or a sample store cannot be used as they are."""


class RecipeError(AgrilapeError):
    """A recipe or a setting is invalid."""


class ModelError(AgrilapeError):
    """A model, checkpoint or processor cannot be used as it is."""


class DiskError(AgrilapeError):
    """There is no room for a file."""


class WorkerError(Exception):
    """Stands for an exception of another process that cannot be carried over; its text is kept."""


def _restored(kind: type[AgrilapeError], problem: str, remedy: str) -> AgrilapeError:
    """An error as it was, whatever arguments its own class takes."""
    error = kind.__new__(kind, problem, remedy)
    AgrilapeError.__init__(error, problem, remedy)
    return error


class doing:  # noqa: N801 - reads as what it is, like contextlib.suppress
    """Says of an exception that passes what was being done, and with what; costs nothing otherwise.

    Args:
        what: Such as "cutting a chip of".
        place: The file, scene, chip, step or tile.
    """

    __slots__ = ("_place", "_what")

    def __init__(self, what: str, place: object = None) -> None:
        self._what, self._place = what, place

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Note it on whatever passes; a generator that is closed and an exit are no failures."""
        if error is not None and not isinstance(error, (GeneratorExit, SystemExit)):
            note = f"{WHILE}{self._what}" + ("" if self._place is None else f" {self._place}")
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)


def activities(error: BaseException) -> list[str]:
    """What was being done when an error came up, the innermost first, also that of errors behind it."""
    found: dict[str, None] = {}
    for one in chain_of(error):
        notes = getattr(one, "__notes__", ())
        found.update(dict.fromkeys(note.removeprefix(WHILE) for note in notes if note.startswith(WHILE)))
    return list(found)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error and those behind it."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        yield behind
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)


def text_of(error: BaseException) -> str:
    """The kind of an error and its own words; some have none, and some cannot be printed."""
    try:
        words = str(error).strip()
    except Exception:
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def portable(error: Exception) -> Exception:
    """An exception that reaches another process: itself if it can be carried, else one with its text."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:  # noqa: S110 - whatever its own code raises, it cannot be carried
        pass
    stand_in = WorkerError(text_of(error))
    for note in (*getattr(error, "__notes__", ()), "".join(traceback.format_exception(error))):
        stand_in.add_note(note)
    return stand_in


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A question for the known name that is nearest to an unknown one; `otherwise` where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else otherwise
