"""Names that changed with version 0.2; the former ones are read for one release more.

Files that agrilape wrote earlier (recipes of runs, manifests, scores, predictions) are read without a
word; what a user wrote, with a warning that names the present one. Digests are made from the first names of
settings and tasks, so that whatever was prepared or trained is still recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS: Mapping[str, Mapping[str, str]] = {
    "DatasetConfig": {"picture_side": "image_size"},
    "FolderSource": {"fully_labelled": "exhaustively_labelled"},
    "SceneMetadata": {"fully_labelled": "exhaustively_labelled", "facts": "metadata"},
    "StageConfig": {"introduction": "lape_schedule", "recolour": "colour_jitter"},
    "EvaluationConfig": {"expectation": "soft_argmax", "constrained": "constrained_decoding"},
}
"""Settings class -> former key -> present key."""

COORDINATES: Mapping[str, str] = {"numerals": "text"}
"""Values of a recipe's `coordinates`."""

TASKS: Mapping[str, str] = {
    "greenest": "peak_of_season",
    "green_span": "growing_season",
    "field_and_span": "field_and_season",
    "crop_and_span": "crop_and_season",
    "crops_in_span": "crops_in_season",
}

KITS = "data/kits"
"""Where `tools/make_kits.py` lays out the real data sets that were a kind of source of their own."""
_KIT_IMAGES = {"eurosat_rgb_subset": "**/*.jpg", "us_naip_field_polygons": "**/*.png"}

METRICS: Mapping[str, str] = {"ciou": "cumulative_iou", "declined": "refusal_rate"}

_IN_DIGESTS = {
    new: old
    for table in (*(names for owner, names in KEYS.items() if owner != "SceneMetadata"), TASKS)
    for old, new in table.items()
}
"""Present name -> first name, of what recipes hold."""


def present_keys(owner: str, content: Any) -> Any:
    """What settings are made from, by their present keys; one that is given twice stays, to be refused."""
    table = KEYS.get(owner)
    if not table or not isinstance(content, Mapping):
        return content
    return {
        (new if (new := table.get(key)) is not None and new not in content else key): value
        for key, value in content.items()
    }


def is_kit(source: Any) -> bool:
    """Is this the former source `{kind: kit, name: ...}`?"""
    return isinstance(source, Mapping) and source.get("kind") == "kit"


def present_source(source: Any) -> Any:
    """Where the images of a data set come from: of a kit, the folder that it is laid out in."""
    if not is_kit(source) or not isinstance(name := source.get("name"), str):
        return source
    images = {"images": _KIT_IMAGES[name]} if name in _KIT_IMAGES else {}
    return {"kind": "folder", "path": f"{KITS}/{name}", **images}


def present_task(name: str) -> str:
    """The present name of a task."""
    return TASKS.get(name, name)


def present_tasks(names: Any) -> Any:
    """Likewise of several; anything else than a list stays, to be refused."""
    return [present_task(name) for name in names] if isinstance(names, list | tuple) else names


def present_coordinates(value: Any) -> Any:
    """The present name of a way to write coordinates."""
    return COORDINATES.get(value, value) if isinstance(value, str) else value


def first_task(name: str) -> str:
    """What a task was first called: prepared data sets, and the ids of samples in them, have that name."""
    return next((old for old, new in TASKS.items() if new == name), name)


def present_score(name: str) -> str:
    """The present name of a score, `task.metric`."""
    task, dot, metric = name.rpartition(".")
    return f"{present_task(task)}{dot}{METRICS.get(metric, metric)}"


def present_scores(content: Any) -> Any:
    """Contents of a file of scores or of a study, by present names of tasks and metrics, at any depth."""
    match content:
        case Mapping():
            return {_present_word(key): present_scores(value) for key, value in content.items()}
        case list() | tuple():
            return [
                _present_word(item) if isinstance(item, str) else present_scores(item) for item in content
            ]
        case _:
            return content


def _present_word(word: Any) -> Any:
    if not isinstance(word, str):
        return word
    return TASKS.get(word) or METRICS.get(word) or present_score(word)


def in_digests(content: Any) -> Any:
    """JSON-ready settings by the names that digests are made from."""
    match content:
        case Mapping():
            return {_IN_DIGESTS.get(key, key): _in_digests(key, value) for key, value in content.items()}
        case list() | tuple():
            return [in_digests(item) for item in content]
        case str():
            return _IN_DIGESTS.get(content, content)
        case _:
            return content


def _in_digests(key: Any, value: Any) -> Any:
    if key == "coordinates" and isinstance(value, str):
        return next((old for old, new in COORDINATES.items() if new == value), value)
    return in_digests(value)
