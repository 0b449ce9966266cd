"""What a client is told when something cannot be done: in words, with a status, and no traceback."""

from __future__ import annotations

from agrilape.errors import AgrilapeError


class RequestError(AgrilapeError):
    """A request that is refused.

    Args:
        status: Of HTTP.
        problem: What is wrong.
        remedy: What to do about it.
    """

    def __init__(self, status: int, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.status = status


def busy() -> RequestError:
    """Too much is being done already."""
    return RequestError(
        429, "the service is busy", "try again in a second; large images are better asked as jobs"
    )
