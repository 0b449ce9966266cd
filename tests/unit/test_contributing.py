"""CONTRIBUTING.md's map of the code: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import agrilape

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = Path(agrilape.__file__).parent


def test_the_map_leads_to_what_it_names():
    table = PAGE.partition("| looking for |")[2].partition("\n\n")[0]
    places = re.findall(r"`([\w/]+(?:\.py|/))`(?: \(([^)]*)\))?", table)
    assert len(places) > 10
    for path, names in places:
        place = PACKAGE / path
        assert place.exists(), path
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", names):
            assert re.search(rf"\b(def|class) {name}\b", place.read_text()), f"{path} has no {name}"


def test_recipes_for_additions_name_files_that_are_there():
    root = PACKAGE.parents[1]
    for path in re.findall(r"`((?:tests/)?[\w/]+\.(?:py|yaml|md))`", PAGE.partition("## How to add")[2]):
        beside = PACKAGE / "dataset" / "prompt_templates" / path
        assert any(place.exists() for place in (PACKAGE / path, root / path, beside)), path
