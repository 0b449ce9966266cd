"""The page on all keys of a recipe."""

from pathlib import Path

import pytest

from agrilape.config.recipe import Recipe
from agrilape.config.reference import groups, page

PAGE = Path(__file__).parents[3] / "docs" / "recipe.md"


@pytest.mark.parametrize(("where", "model"), list(groups(Recipe)))
def test_every_key_is_documented_with_its_meaning(where, model) -> None:
    written = PAGE.read_text(encoding="utf-8")
    title = f"## `{where}`" if where else "## The recipe"
    kind = model.model_fields.get("kind")
    section = written.split(f"{title} of kind `{kind.annotation.__args__[0]}`" if kind else f"{title}\n")[1]
    section = section.split("\n## ")[0]
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no description"
        assert f"| `{name}` |" in section


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m agrilape.config.reference > docs/recipe.md"


def test_paths_lead_through_names_and_groups() -> None:
    paths = [where for where, _ in groups(Recipe)]
    assert {"", "lape", "datasets.<name>.source", "stages.<name>.mixture.<name>"} <= set(paths)
