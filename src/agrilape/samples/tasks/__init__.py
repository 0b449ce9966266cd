"""The tasks, one subject per module, and how a chip is asked about.

A task yields drafts; the wording comes from a table (`samples.phrasings`). Several places in an answer stand
in order of their left edge, then their top edge. A task yields nothing rather than a question that has more
than one right answer.
"""

from agrilape.samples.tasks import (  # noqa: F401 - each module registers its tasks
    compare,
    crops,
    description,
    growth,
    measure,
    neighbours,
    orientation,
    outline,
    place,
    rotation,
    season,
    space_time,
    stress,
    unanswerable,
    words,
)
from agrilape.samples.tasks.asking import ask
from agrilape.samples.tasks.base import TASKS, AnswerKind, Draft, Task, find_task, refuse_strangers
from agrilape.samples.tasks.shared import POINTS_PER_FIELD, random_point

__all__ = [
    "POINTS_PER_FIELD",
    "TASKS",
    "AnswerKind",
    "Draft",
    "Task",
    "ask",
    "find_task",
    "random_point",
    "refuse_strangers",
]
