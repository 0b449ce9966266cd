"""The templates' surroundings, and how numbers are printed."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context, select_autoescape
from jinja2.nodes import EvalContext

from agrilape.report.score_tables import OUTCOMES, describe, show, words

_MARKDOWN = str.maketrans({"|": "&#124;", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})


def environment() -> Environment:
    """Templates of this package; what is missing is an error, and HTML is escaped."""
    found = Environment(
        loader=PackageLoader("agrilape.report"),
        autoescape=select_autoescape(["html.j2"], default_for_string=False, default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_in_markdown,
    )
    found.filters |= {
        "words": words,
        "show": show,
        "describe": describe,
        "number": number,
        "outcome": OUTCOMES.__getitem__,
    }
    return found


@pass_eval_context
def _in_markdown(context: EvalContext, value: Any) -> Any:
    """What goes into a page of Markdown: no text breaks a table, or becomes HTML."""
    if context.autoescape or not isinstance(value, str):
        return value
    return value.translate(_MARKDOWN)


def number(value: Any) -> str:
    """A number at a glance: three significant digits, thousands set off by thin spaces."""
    if value is None:
        return "–"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}".replace("e-0", "e-")
