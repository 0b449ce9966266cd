"""The page on all keys of a recipe: `python -m agrilape.config.reference > docs/recipe.md`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agrilape.config.recipe import Recipe

_HEAD = """\
# All keys of a recipe

Made from the code (`python -m agrilape.config.reference`). `--set` takes the same names, as in
`--set model.lora_rank=8`; stages go by their names: `--set stages.align.steps=50`. A key without a default
must be given. What a recipe is made of, with examples: [training.md](training.md), [data.md](data.md).
"""


def page() -> str:
    """The page in Markdown: a table for each group of settings, the recipe's own first."""
    tables = [_table(where, model) for where, model in groups(Recipe)]
    return "\n".join([_HEAD, *tables])


def groups(model: type[BaseModel], where: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """A group of settings and those below it, each with the path of its keys, as `stages.<name>`."""
    yield where, model
    for name, field in model.model_fields.items():
        below = list(_models(field.annotation))
        named = _is_collection(field.annotation)
        for part in below:
            yield from groups(part, f"{where}.{name}".strip(".") + (".<name>" if named else ""))


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind) if get_origin(kind) is not Literal else ():
        yield from _models(part)


def _is_collection(kind: Any) -> bool:
    return get_origin(kind) in (dict, tuple) or any(_is_collection(part) for part in get_args(kind))


def _table(where: str, model: type[BaseModel]) -> str:
    title = f"`{where}`" if where else "The recipe"
    kind = model.model_fields.get("kind")
    if kind is not None:
        title += f" of kind `{get_args(kind.annotation)[0]}`"
    said = " ".join((model.__doc__ or "").split())
    rows = [
        f"| `{name}` | {_default(field)} | {_meaning(field)} |" for name, field in model.model_fields.items()
    ]
    return "\n".join(
        [f"## {title}", "", said, "", "| Key | Default | Meaning |", "| --- | --- | --- |", *rows, ""]
    )


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "must be given"
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{json.dumps(value)}`"


def _meaning(field: FieldInfo) -> str:
    words = " ".join((field.description or "").split()).replace("|", "\\|")
    choices = list(dict.fromkeys(_choices(field.annotation)))
    if len(choices) > 1:
        several = "Any" if _is_collection(field.annotation) else "One"
        words += f" {several} of: {', '.join(f'`{choice}`' for choice in choices)}."
    if limits := ", ".join(_limits(field)):
        words += f" ({limits})"
    return words


def _choices(kind: Any) -> Iterator[str]:
    for part in get_args(kind):
        yield from [str(part)] if get_origin(kind) is Literal else _choices(part)


def _limits(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        for name, sign in (("ge", "at least"), ("gt", "more than"), ("le", "at most")):
            if (number := getattr(rule, name, None)) is not None:
                yield f"{sign} {number:g}"


if __name__ == "__main__":
    sys.stdout.write(page())
