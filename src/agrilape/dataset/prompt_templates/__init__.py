"""The wording of questions and answers, one YAML table per language."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from agrilape.errors import RecipeError
from agrilape.geo.shapes import Box, Part
from agrilape.io.yaml_text import parse_yaml

THEN = ", then "  # between the crops of one season, as sources spell it


@dataclass(frozen=True)
class PromptTemplates:
    """The wording of one language.

    Attributes:
        questions: Question templates by form (`count`, `count.fields`), with placeholders in braces.
        places: Names of the parts of an image, 3 rows of 3.
        other: What is said of ground where no listed crop grows.
        yes: The answer yes; likewise no.
        no: The answer no.
        first: The first of two fields; likewise second.
        second: The second of two fields.
        none: None of the edges.
        field: A field of unknown crop.
        absent: The answer to a question about a crop that is not there, with `{crop}`.
        no_field: The answer to a question about a field where there is none.
        then: Between the crops of one season.
        compass: Eight compass points from north, clockwise.
        rows: Directions of crop rows: across, rising, up and down, falling.
        metadata: How facts of a chip are told, by fact, with `{value}`.
        crops: Names of crops, causes and land covers by their English ones; what is not listed stays English.
    """

    questions: Mapping[str, tuple[str, ...]]
    places: tuple[tuple[str, ...], ...]
    other: str
    yes: str
    no: str
    first: str
    second: str
    none: str
    field: str
    absent: str
    no_field: str
    then: str
    compass: tuple[str, ...]
    rows: tuple[str, ...]
    metadata: Mapping[str, str]
    crops: Mapping[str, str]

    @property
    def sides(self) -> tuple[str, ...]:
        """Eight sides of the image from the top, clockwise: the names of its outer parts."""
        upper, middle, lower = self.places
        return (upper[1], upper[2], middle[2], lower[2], lower[1], lower[0], middle[0], upper[0])

    @property
    def edges(self) -> tuple[str, ...]:
        """Left, top, right and bottom."""
        return (self.places[1][0], self.places[0][1], self.places[1][2], self.places[2][1])

    def edges_text(self, names: Sequence[str]) -> str:
        """Some edges in words, in their order."""
        return ", ".join(name for name in self.edges if name in names) or self.none

    def crop(self, name: str) -> str:
        """A crop, or the crops of a season, in this language."""
        return self.then.join(self.crops.get(crop, crop) for crop in name.split(THEN))


def languages() -> list[str]:
    """Languages that there are templates for."""
    tables = (table.name for table in files(__package__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in tables if name.endswith(".yaml"))


@lru_cache
def load_prompt_templates(language: str = "en") -> PromptTemplates:
    """The wording of a language.

    Raises:
        RecipeError: There is no table for it.
    """
    table = files(__package__) / f"{language}.yaml"
    if language not in languages():
        raise RecipeError(
            f"no templates for the language {language!r}, only for {', '.join(languages())}",
            "copy dataset/prompt_templates/en.yaml and translate it (docs/data.md)",
        )
    data = parse_yaml(table.read_text(encoding="utf-8"))
    words: dict[str, Any] = data["words"]
    words |= {name: tuple(words[name]) for name in ("compass", "rows")}
    words["places"] = tuple(tuple(row) for row in words["places"])
    questions = {form: tuple(templates) for form, templates in data["questions"].items()}
    return PromptTemplates(questions=questions, crops=data["crops"], metadata=data["metadata"], **words)


def layout_text(grid: Sequence[Sequence[str]]) -> str:
    """A grid in words, row by row."""
    return "; ".join(", ".join(row) for row in grid)


def named_boxes(names: Sequence[str], boxes: Sequence[Box]) -> tuple[Part, ...]:
    """Boxes, each after its name: `maize [box]; winter wheat [box]`."""
    parts: list[Part] = []
    for number, (name, box) in enumerate(zip(names, boxes, strict=True)):
        parts += [f"; {name} " if number else f"{name} ", box]
    return tuple(parts)


def fill(template: str, values: Mapping[str, Part]) -> tuple[Part, ...]:
    """A template with its placeholders filled: texts run together, shapes stay parts of their own."""
    pieces = string.Formatter().parse(template)
    return joined(
        part for text, name, _, _ in pieces for part in (text, values[name] if name is not None else "")
    )


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts of a message with neighbouring texts run together and empty ones skipped."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return tuple(found)
