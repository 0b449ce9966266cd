"""Recipes from YAML, with overrides and errors that name the field and the nearest valid name."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from agrilape.config.former_names import (
    KEYS,
    KITS,
    TASKS,
    is_kit,
    present_coordinates,
    present_keys,
    present_source,
    present_tasks,
)
from agrilape.config.recipe import Recipe, StageConfig
from agrilape.console import warn
from agrilape.errors import RecipeError, did_you_mean
from agrilape.files import write_text
from agrilape.io.yaml_text import parse_yaml, read_yaml

_GROUPS = ("datasets", "model", "lape", "loss", "evaluation")
# The strategy's own names of its settings, and where each lives in a recipe. A `*` stands for every stage.
STRATEGY_NAMES = {
    "num_spatial_tokens": "lape.num_spatial_tokens",
    "num_temporal_tokens": "lape.num_temporal_tokens",
    "lape_warmup_steps": "stages.*.lape_schedule.lape_warmup_steps",
    "lape_lr_multiplier": "stages.*.lape_schedule.lape_lr_multiplier",
    "spatial_pos_weight": "loss.spatial_pos_weight",
    "temporal_pos_weight": "loss.temporal_pos_weight",
}

_OWNERS = {
    "datasets.*": "DatasetConfig",
    "datasets.*.source": "FolderSource",
    "stages.*": "StageConfig",
    "evaluation": "EvaluationConfig",
}
"""Where the settings lie of which keys were called otherwise before, and the class of each."""
_TASK_LISTS = ("datasets.*.tasks", "stages.*.mixture.*.tasks", "evaluation.tasks")

RESOLVED, BESIDE = "recipe.yaml", "recipe.resolved.yaml"
"""What a run folder calls its recipe; and where a recipe of the user's own has the first name already."""


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Args:
        path: A YAML file, the name of a recipe that ships with the package (`quickstart`, `kits`), a run
            folder (its recipe), or the checkpoint folder of one of its stages (its recipe up to that stage).
        overrides: `a.b=value` each, value in YAML; list items by number or name (`stages.align.steps=10`),
            all items by `*`, taken out by null (`stages.align=null`). The strategy's own names
            (`num_spatial_tokens=100`) are accepted here as at the recipe's top level.

    Returns:
        The validated recipe.

    Raises:
        RecipeError: The file cannot be read, a key is unknown, or a value is invalid.
    """
    file = _find(path)
    raw = _read(file)
    own = file.name in {RESOLVED, BESIDE} and Path(path).is_dir()
    if own:
        _adopt(raw, file.parent, Path(path))
    former = use_present_names(raw)
    if not own:
        _warn_of(former, str(file))
    _spread_strategy_names(raw, str(file))
    for override in overrides:
        _apply(raw, override)
    _warn_of(use_present_names(raw), "--set")
    return parse_recipe(raw, str(file))


def use_present_names(raw: dict[str, Any]) -> dict[str, str]:
    """Put present names of settings, tasks and values in the place of former ones, in a recipe.

    Returns:
        The former names that were there, with the present ones.
    """
    found: dict[str, str] = {}
    for path, owner in _OWNERS.items():
        for node in (one for one in _values_at(raw, path.split(".")) if isinstance(one, dict)):
            found |= {key: KEYS[owner][key] for key in KEYS[owner].keys() & node.keys()}
            settings = present_keys(owner, node)
            node.clear()
            node.update(settings)
    for path in _TASK_LISTS:
        above, _, last = path.rpartition(".")
        for node in _values_at(raw, above.split(".")):
            if isinstance(node, dict) and isinstance(names := node.get(last), list | tuple):
                found |= {name: TASKS[name] for name in names if isinstance(name, str) and name in TASKS}
                node[last] = present_tasks(names)
    for node in (one for one in _values_at(raw, ["datasets", "*"]) if isinstance(one, dict)):
        if is_kit(source := node.get("source")):
            node["source"] = present_source(source)
            found["kind: kit"] = (
                f"kind: folder with path: {KITS}/NAME, where python tools/make_kits.py lays it out"
            )
    if raw.get("coordinates") != (now := present_coordinates(raw.get("coordinates"))):
        found[f"coordinates: {raw['coordinates']}"] = f"coordinates: {now}"
        raw["coordinates"] = now
    return found


@lru_cache
def _warn_once(text: str) -> None:
    warn(text)


def _warn_of(former: Mapping[str, str], origin: str) -> None:
    """Say what a user had better write; once, though a study reads its recipe many times."""
    if former:
        names = ", ".join(f"{old} is now {new}" for old, new in sorted(former.items()))
        _warn_once(f"{origin}: {names}; former names are read until version 0.3")


def read_settings(file: Path) -> dict[str, Any]:
    """The settings of a recipe by their present names, of the form that a recipe has but not validated.

    Raises:
        RecipeError: The file cannot be read, or a part is of another kind than it must be.
    """
    raw = _read(file)
    use_present_names(raw)
    return raw


def _read(file: Path) -> dict[str, Any]:
    raw = read_yaml(file, RecipeError, "correct the recipe; recipes/quickstart.yaml shows the form")
    if not isinstance(raw, dict):
        raise RecipeError(f"the recipe {file} holds no settings", "see recipes/quickstart.yaml for the form")
    _check_form(raw, str(file))
    return raw


def _check_form(raw: Mapping[Any, Any], origin: str) -> None:
    """Refuse what is no settings where settings must be, before anything looks into them."""
    for key in raw:
        if not isinstance(key, str):
            raise RecipeError(f"{origin}: {key!r} is no name of a setting", "names of settings are words")
    parts = [(name, raw[name], "settings") for name in _GROUPS if raw.get(name) is not None]
    if isinstance(data := raw.get("datasets"), dict):
        parts += [(f"datasets.{name}", one, "settings") for name, one in data.items()]
    if (stages := raw.get("stages")) is not None:
        parts.append(("stages", stages, "a list of stages"))
        each = stages if isinstance(stages, list) else ()
        parts += [(f"stages.{number}", one, "settings") for number, one in enumerate(each)]
    for where, part, wanted in parts:
        if not isinstance(part, list if where == "stages" else dict):
            raise RecipeError(
                f"{origin}: {where} is {part!s:.60}, not {wanted}", "see recipes/quickstart.yaml for the form"
            )


def parse_recipe(raw: dict[str, Any], origin: str = "recipe") -> Recipe:
    """Validate settings.

    Args:
        raw: Nested settings.
        origin: Where they come from, for error messages.

    Raises:
        RecipeError: A key is unknown (with the nearest valid name), a value is invalid, or parts contradict
            each other.
    """
    raw = copy.deepcopy(raw)
    _check_form(raw, origin)
    use_present_names(raw)
    _spread_strategy_names(raw, origin)
    if raw.get("enable_lape") is False:
        stages = [{**stage, "enable_lape": False} for stage in raw.get("stages") or []]
        raw |= {"coordinates": "text", "stages": stages}
    if isinstance(model := raw.get("model"), dict) and model.get("path") is not None:
        raw["model"] = {"preset": None, **model}  # a path stands for itself
    if "learned" in _values_at(raw, ["stages", "*", "lape_schedule", "gate"]):
        raw["lape"] = {"gate": "learned", **(raw.get("lape") or {})}
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_explain(item, raw) for item in error.errors())
        raise RecipeError(f"{origin}: {problems}", "correct the named settings") from error
    _check_names(recipe, origin)
    return recipe


def dump_recipe(recipe: Recipe, path: Path) -> Path:
    """Write the resolved recipe, atomically; returns the file.

    A file that a person wrote keeps its comments and settings: then it is `recipe.resolved.yaml` beside it.
    """
    if path.exists() and not _is_dumped(path):
        path = path.with_name(BESIDE)
    return write_text(path, _dumped(recipe.model_dump(mode="json")))


def recipe_file(run: Path) -> Path:
    """The file of a run folder that holds its recipe as it was resolved."""
    return run / (BESIDE if (run / BESIDE).is_file() else RESOLVED)


def _dumped(raw: Any) -> str:
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=110)


def _is_dumped(path: Path) -> bool:
    """Is a file one that `dump_recipe` wrote? A person's has comments, or leaves out what has a default."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = parse_yaml(text)
        return bool(text == _dumped(raw)) and {"model", "lape", "loss", "evaluation"} <= set(raw)
    except (OSError, ValueError, TypeError, yaml.YAMLError, RecipeError):
        return False


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(
        file.name.removesuffix(".yaml") for file in recipe_folder().iterdir() if file.name.endswith(".yaml")
    )


def recipe_folder() -> Path:
    """The recipe folder: `recipes/` of a checkout, or its copy inside an installed package."""
    inside = Path(__file__).resolve().parents[1] / "recipes"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "recipes"


def _find(path: Path | str) -> Path:
    given = Path(path)
    if given.is_file():
        return given
    for run in (given, given.resolve().parent.parent) if given.is_dir() else ():
        if recipe_file(run).is_file():
            return recipe_file(run)
    shipped = recipe_folder() / f"{path}.yaml"
    if shipped.is_file():
        return shipped
    names = shipped_recipes()
    hint = did_you_mean(str(path), names, f"name a YAML file, or one of {', '.join(names)}")
    raise RecipeError(f"there is no recipe '{path}'", hint)


def _adopt(raw: dict[str, Any], run: Path, asked: Path) -> None:
    """Make a run's recipe one of where the run lies now, ending with the stage that was asked for."""
    raw["output"] = str(run)
    names = [f"{number}-{stage.get('name')}" for number, stage in enumerate(raw.get("stages") or (), start=1)]
    if asked.name in names and asked.resolve().parent.name == "stages":
        raw["stages"] = raw["stages"][: names.index(asked.name) + 1]


def _apply(raw: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in place."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(
            f"cannot read the override '{override}'", "write it as key=value, e.g. lape.ntp=off"
        )
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise RecipeError(f"the value of '{override}' is not YAML: {error}", "quote it") from error
    full = STRATEGY_NAMES.get(key.strip(), key.strip())
    _set(raw, _present_path(full.split(".")), value, override)


def _present_path(keys: list[str]) -> list[str]:
    """The path of a setting by its present name."""
    for path, owner in _OWNERS.items():
        above = path.split(".")
        at = len(above)
        if len(keys) <= at or any(step not in ("*", key) for step, key in zip(above, keys, strict=False)):
            continue
        if new := KEYS[owner].get(keys[at]):
            _warn_of({keys[at]: new}, "--set")
            return [*keys[:at], new, *keys[at + 1 :]]
    return keys


def _spread_strategy_names(raw: dict[str, Any], origin: str) -> None:
    """Move the strategy's own names from the top level of a recipe to where they live, in place."""
    for name in STRATEGY_NAMES.keys() & raw.keys():
        value, path = raw.pop(name), STRATEGY_NAMES[name]
        for given in _values_at(raw, path.split(".")):
            if given != value:
                raise RecipeError(f"{origin}: {name} is {value}, but {path} is {given}", "say it once")
        _set(raw, path.split("."), value, f"{name}={value}")


def _values_at(node: Any, keys: list[str]) -> list[Any]:
    """What settings hold at a path; `*` stands for every item of a list or of a mapping."""
    if not keys:
        return [node]
    if isinstance(node, list | dict) and keys[0] == "*":
        items = node if isinstance(node, list) else node.values()
        return [value for item in items for value in _values_at(item, keys[1:])]
    return _values_at(node[keys[0]], keys[1:]) if isinstance(node, dict) and keys[0] in node else []


def _set(node: Any, keys: list[str], value: Any, override: str) -> None:
    key, rest = keys[0], keys[1:]
    if isinstance(node, list):
        indices = range(len(node)) if key == "*" else [_index(key, node, override)]
        if not rest and value is None:  # `stages.align=null` skips a stage
            node[:] = [item for index, item in enumerate(node) if index not in indices]
            return
        for index in indices:
            if rest:
                _set(node[index], rest, value, override)
            else:
                node[index] = value
    elif isinstance(node, dict):
        if rest:
            child = node.setdefault(key, {})
            _set(child, rest, value, override)
        else:
            node[key] = value
    else:
        raise RecipeError(f"'{override}' goes deeper than the recipe does", "check the key's path")


def _index(key: str, node: list[Any], override: str) -> int:
    """Position of a list item, by number or by its `name`."""
    names = [item.get("name") if isinstance(item, dict) else None for item in node]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(node):
        return int(key)
    known = [str(name) for name in names if name is not None] or [f"0-{len(node) - 1}"]
    hint = did_you_mean(key, known, f"use one of {', '.join(known)}")
    raise RecipeError(f"'{override}' names no item '{key}'", hint)


def _explain(error: Any, raw: dict[str, Any]) -> str:
    """One validation error in a line, with the nearest name for an unknown key."""
    where = _path_of(error["loc"], raw)
    match error["type"]:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            hint = did_you_mean(str(error["loc"][-1]), _all_field_names(Recipe))
            return f"unknown key '{where}'" + (hint and f", {hint}")
        case _:
            return f"{where}: {error['msg'].removeprefix('Value error, ')} (got {error['input']!r})"


def _path_of(keys: Sequence[str | int], node: Any) -> str:
    """A path as `--set` takes it: items of a list by their name; without what pydantic adds, the kind."""
    path = []
    for key in keys:
        if isinstance(node, list) and isinstance(key, int):
            node = node[key] if key < len(node) else None  # pydantic names items that are missing too
            path.append(str(node.get("name", key)) if isinstance(node, dict) else str(key))
        elif isinstance(node, dict) and key == node.get("kind") and key not in node:
            continue
        else:
            node = node.get(key) if isinstance(node, dict) else None
            path.append(str(key))
    return ".".join(path)


def _all_field_names(model: type[BaseModel]) -> set[str]:
    """Names of all fields below a settings class."""
    names: set[str] = set()
    pending, seen = [model], set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        for name, info in current.model_fields.items():
            names.add(name)
            pending += _models_in(info.annotation)
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


def _check_names(recipe: Recipe, origin: str) -> None:
    """Refuse names of undefined data sets, and settings that contradict each other."""
    used = [
        (f"stages.{stage.name}.mixture.{entry}", name)
        for stage in recipe.stages
        for entry, part in stage.mixture.items()
        for name in part.datasets
    ]
    used += [("evaluation.datasets", name) for name in recipe.evaluation.datasets]
    used += [("evaluation.fitted_on", name) for name in recipe.evaluation.fitted_on or ()]
    for where, name in used:
        if name not in recipe.datasets:
            others = f"define it, or use one of {', '.join(recipe.datasets)}"
            hint = did_you_mean(name, recipe.datasets, others)
            raise RecipeError(f"{origin}: {where} names the unknown data set '{name}'", hint)
    names = [stage.name for stage in recipe.stages]
    if len(set(names)) < len(names):
        raise RecipeError(f"{origin}: two stages share a name ({', '.join(names)})", "give each its own")
    if recipe.coordinates == "text" and any(stage.enable_lape for stage in recipe.stages):
        raise RecipeError(
            f"{origin}: coordinates are text, yet a stage enables LAPE",
            "set enable_lape=false, or coordinates=position_tokens",
        )
    if (recipe.model.preset is None) == (recipe.model.path is None):
        raise RecipeError(f"{origin}: the model needs either a preset or a path", "set one of them to null")
    for stage in recipe.stages:
        for problem, remedy in _contradictions(stage, recipe):
            raise RecipeError(f"{origin}: stage {stage.name}: {problem}", remedy)


def _contradictions(stage: StageConfig, recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What in a stage cannot be meant: problem and remedy."""
    rates, lape_schedule = stage.learning_rates, stage.lape_schedule
    peaks = [rate for rate in rates.model_dump().values() if rate is not None]
    lora = recipe.model.lora_rank is not None
    where = f"stages.{stage.name}"
    if not peaks:
        yield "nothing trains", f"give {where}.learning_rates for vision, projector, llm, lora or lape"
    if rates.lape is not None and not stage.enable_lape and peaks == [rates.lape]:
        yield "only LAPE would train, but it is off", f"set {where}.enable_lape=true"
    if rates.lora is not None and not lora:
        yield "a learning rate for LoRA, but the model has none", "set model.lora_rank, e.g. to 16"
    if recipe.model.quantisation is not None and not lora:
        yield "a model in 4 bits does not train, and it has no LoRA", "set model.lora_rank, e.g. to 16"
    if rates.llm is not None and lora:
        yield (
            "the language model cannot train beside its LoRA",
            "give learning_rates.lora instead of llm, or set model.lora_rank=null",
        )
    if stage.enable_lape and lape_schedule.gate == "learned" and recipe.lape.gate != "learned":
        yield "its gate is learned, but LAPE's is fixed", "set lape.gate=learned, or leave it out"
    opens = lape_schedule.gate in ("linear", "cosine")
    if stage.enable_lape and opens and lape_schedule.lape_warmup_steps == 0:
        yield (
            "the gate opens over the LAPE warm-up, which has no steps",
            f"set {where}.lape_schedule.lape_warmup_steps, or gate=off",
        )
