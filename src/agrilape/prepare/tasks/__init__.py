"""The tasks, one subject per module, and how a chip is asked about.

A task yields drafts; the wording comes from a table (`dataset.prompt_templates`). Several places in an answer
stand in order of their left edge, then their top edge. A task yields nothing rather than a question that has
more than one right answer.
"""

from agrilape.prepare.tasks import (  # noqa: F401 - each module registers its builders
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
from agrilape.prepare.tasks.asking import ask
from agrilape.prepare.tasks.builder import BUILDERS, Draft
from agrilape.prepare.tasks.shared import POINTS_PER_FIELD, random_point

__all__ = ["BUILDERS", "POINTS_PER_FIELD", "Draft", "ask", "random_point"]
