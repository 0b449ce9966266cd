"""YAML as people mean it: of all words, only true and false are booleans (as in YAML 1.2, section 10.3)."""

from __future__ import annotations

import re
from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """Read settings; `off` and `no` are words, as in `ntp: off`.

    Raises:
        yaml.YAMLError: The text is not YAML.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
