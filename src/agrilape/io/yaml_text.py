"""YAML as people mean it, within bounds: of all words only true and false are booleans (YAML 1.2, 10.3).

Aliases may stand for each other so that a few hundred bytes hold billions of values, and nesting may go
deeper than Python does: both are refused before anything is built.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from agrilape.errors import AgrilapeError, RecipeError
from agrilape.io.text import read_text

MOST_VALUES = 100_000
"""Values of a document with its aliases written out; a recipe has some hundred."""
MOST_NESTED = 100


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; `off` and `no` are words, as in `ntp: off`.

    Raises:
        ValueError: It is no YAML, holds too much or too deep, or a value that cannot be (`2020-99-99`); the
            message says where.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, ())
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise ValueError(f"a value cannot be read: {error}") from error
    except RecursionError as error:
        raise ValueError(f"nested more than {MOST_NESTED} deep") from error


def read_yaml(path: Path, fault: type[AgrilapeError] = RecipeError, remedy: str = "correct the file") -> Any:
    """The value of a YAML file.

    Raises:
        AgrilapeError: Of the kind `fault`: the file is missing, or no YAML.
    """
    try:
        return parse_yaml(read_text(path, fault))
    except ValueError as error:
        raise fault(f"{path} is not readable YAML: {error}", remedy) from error


def _count(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Values of a node with its aliases written out."""
    if id(node) in above:
        raise ValueError("a value contains itself")
    if id(node) in known:
        return known[id(node)]
    if len(above) >= MOST_NESTED:
        raise ValueError(f"nested more than {MOST_NESTED} deep")
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [one for pair in node.value for one in pair]
    total = 1 + sum(_count(one, known, (*above, id(node))) for one in inner)
    if total > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values once its aliases are written out")
    known[id(node)] = total
    return total


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
