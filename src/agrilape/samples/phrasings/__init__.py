"""The wording of questions and answers, one YAML table per language."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from agrilape.errors import RecipeError
from agrilape.geo.shapes import Part


@dataclass(frozen=True)
class Phrasings:
    """The wording of one language.

    Attributes:
        questions: Question templates by form (`count`, `count.fields`), with placeholders in braces.
        places: Names of the parts of an image, 3 rows of 3.
        other: What is said of ground where no listed crop grows.
    """

    questions: Mapping[str, tuple[str, ...]]
    places: tuple[tuple[str, ...], ...]
    other: str


@lru_cache
def load_phrasings(language: str = "en") -> Phrasings:
    """The wording of a language.

    Raises:
        RecipeError: There is no table for it.
    """
    table = files(__package__) / f"{language}.yaml"
    if not table.is_file():
        raise RecipeError(
            f"no phrasings for the language {language!r}", "copy samples/phrasings/en.yaml and translate it"
        )
    data = yaml.safe_load(table.read_text(encoding="utf-8"))
    return Phrasings(
        questions={form: tuple(templates) for form, templates in data["questions"].items()},
        places=tuple(tuple(row) for row in data["words"]["places"]),
        other=data["words"]["other"],
    )


def layout_text(grid: Sequence[Sequence[str]]) -> str:
    """A grid in words, row by row."""
    return "; ".join(", ".join(row) for row in grid)


def fill(template: str, values: Mapping[str, Part]) -> tuple[Part, ...]:
    """A template with its placeholders filled: texts run together, shapes stay parts of their own."""
    parts: list[Part] = []
    for text, name, _, _ in string.Formatter().parse(template):
        for part in (text, values[name] if name is not None else ""):
            if not isinstance(part, str):
                parts.append(part)
            elif part and parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part:
                parts.append(part)
    return tuple(parts)
