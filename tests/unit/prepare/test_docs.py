"""docs/data.md lists the tasks and formats as they are."""

import re
from pathlib import Path

from agrilape.dataset.tasks import TASKS
from agrilape.prepare.formats import EXAMPLE_FORMATS
from agrilape.sources.formats import SCENE_FORMATS

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
START, END = "<!-- tasks: checked by tests/unit/prepare/test_docs.py -->\n", "<!-- end of tasks -->"


def table():
    """The tasks by subject, as the page should show them."""
    lines = ["| task | what is asked | answer | |", "| --- | --- | --- | --- |"]
    for task in sorted(TASKS.values(), key=lambda one: (one.subject, one.name)):
        needs = ["a time series"] * task.dated + ["words only"] * (not task.positions)
        answer = task.answer.replace("_", " ")
        lines.append(f"| `{task.name}` | {task.description} | {answer} | {', '.join(needs)} |")
    return "\n".join(lines) + "\n"


def test_the_tasks_on_the_page_are_those_that_there_are():
    page = PAGE.read_text(encoding="utf-8")
    shown = page.partition(START)[2].partition(END)[0]
    assert shown == table(), f"put this between the marks in {PAGE}:\n{table()}"


def test_every_format_is_named():
    named = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert {*EXAMPLE_FORMATS, *SCENE_FORMATS} <= named
