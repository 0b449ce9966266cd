"""YAML as people mean it: of all words, only true and false are booleans (as in YAML 1.2, section 10.3)."""

from __future__ import annotations

import re
from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """Read settings; `off` and `no` are words, as in `ntp: off`.

    Raises:
        yaml.YAMLError: The text is not YAML, a value is none of its type (`2020-99-99`, `!!int abc`), or
            something holds itself.
    """
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
        _refuse_circles(content, set(), set())
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error
    return content


def _refuse_circles(node: Any, above: set[int], done: set[int]) -> None:
    if not isinstance(node, (dict, list)) or id(node) in done:
        return
    if id(node) in above:
        raise yaml.YAMLError("an alias (*) stands for what it is part of")
    above.add(id(node))
    for inner in node.values() if isinstance(node, dict) else node:
        _refuse_circles(inner, above, done)
    above.discard(id(node))
    done.add(id(node))


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
