"""Settings of every part, validated."""

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.config.load import dump_recipe, load_recipe, parse_recipe, recipe_file, shipped_recipes
from agrilape.config.recipe import Recipe

__all__ = [
    "AXES", "Axis", "LapeConfig", "Recipe", "dump_recipe", "load_recipe", "parse_recipe", "recipe_file",
    "shipped_recipes",
]  # fmt: skip
