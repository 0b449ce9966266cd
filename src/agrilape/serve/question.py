"""A person's question, put as the model was taught to be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from agrilape.dataset.prompt_templates import load_prompt_templates
from agrilape.geo.shapes import Part, Point

_PLACE = re.compile(r"(-?\d{1,3}\.\d+)\s*,\s*(-?\d{1,2}\.\d+)")
_TIME = re.compile(r"\b(when|dates?|season|time)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        text: The question; in the trained wording where it differs from that only in case and punctuation.
        task: The task of that wording; None for a question in the asker's own words.
        crop: The crop that is asked about, where the wording names one.
        place: Longitude and latitude of the place that is asked about.
        about_time: Does it ask for a date?
    """

    text: str
    task: str | None = None
    crop: str | None = None
    place: tuple[float, float] | None = None
    about_time: bool = False

    def parts(self, point: Point | None) -> tuple[Part, ...]:
        """The question as the model gets it, the place as a point of the tile."""
        if point is None:
            return (self.text,)
        before, after = _PLACE.split(self.text)[0], _PLACE.split(self.text)[-1]
        return tuple(part for part in (before, point, after) if part != "")


def understand(text: str) -> Question:
    """Recognise a trained wording, a crop and a place in a question.

    Any question is passed on; whether the model understands one in other words than the trained ones is
    another matter. A place is written as longitude and latitude in degrees with decimals, `12.345, 55.678`.

    Args:
        text: The question.
    """
    place = _PLACE.search(text)
    about_time = bool(_TIME.search(text))
    spot = (float(place[1]), float(place[2])) if place else None
    for task, template, pattern in _wordings():
        if found := pattern.fullmatch(text.strip()):
            named = {name: value.strip() for name, value in found.groupdict().items()}
            return Question(template.format(**named), task, named.get("crop"), spot, about_time)
    return Question(text.strip(), place=spot, about_time=about_time)


def known_questions() -> list[str]:
    """Every trained wording, with placeholders in braces."""
    return [template for templates in load_prompt_templates().questions.values() for template in templates]


@lru_cache
def _wordings() -> list[tuple[str, str, re.Pattern[str]]]:
    """Task, template and a forgiving pattern of every wording; those without a placeholder first."""
    found = []
    for form, templates in load_prompt_templates().questions.items():
        for template in templates:
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template.rstrip(".?")))
            found.append((form.split(".")[0], template, re.compile(pattern + r"\s*[.?!]*", re.IGNORECASE)))
    return sorted(found, key=lambda wording: wording[1].count("{"))
