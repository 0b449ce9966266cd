"""A checkpoint as a STAC item with the Machine Learning Model extension (MLM 1.4).

Fields: https://github.com/stac-extensions/mlm. What it has no field for has the prefix `agrilape:`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from agrilape import __version__
from agrilape.dataset.tasks import TASKS, AnswerKind
from agrilape.dataset.training_data import TaughtWith
from agrilape.errors import DataError
from agrilape.model_card.facts import Facts, bands_of
from agrilape.sources.composite import COMPOSITES

SCHEMA = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
_TASKS: dict[AnswerKind, str] = {
    "box": "object-detection", "boxes": "object-detection", "named_boxes": "object-detection",
    "box_and_interval": "object-detection", "outline": "instance-segmentation", "name": "classification",
    "grid": "classification", "number": "regression", "hectares": "regression",
    "percent": "regression", "stage": "regression", "date": "regression", "interval": "regression",
}  # fmt: skip
"""Kind of answer -> its name in the MLM extension."""
_BY_NAME = {"scene": "scene-classification", "caption": "image-captioning"}
_RESAMPLING = {0: "nearest", 1: "lanczos4", 2: "linear", 3: "cubic"}  # Pillow's numbers, MLM's words


def stac_item(facts: Facts) -> dict[str, Any]:
    """The item as JSON.

    It has no geometry: where a model may be used is not known. Its datetime is when the weights were written.

    Raises:
        DataError: pystac is not installed.
    """
    try:
        from pystac import Asset, Item
    except ImportError as error:
        raise DataError("a STAC item needs pystac", "pip install 'agrilape[cubes]'") from error
    weights = sorted(facts.folder.glob("*.safetensors"))
    written = max(file.stat().st_mtime for file in weights)
    item = Item(
        id=facts.name,
        geometry=None,
        bbox=None,
        datetime=datetime.fromtimestamp(int(written), UTC),
        properties=_properties(facts),
        stac_extensions=[SCHEMA],
    )
    for file in weights:
        item.add_asset(file.stem, Asset(f"./{file.name}", **_asset(facts, file.stem)))
    item.add_asset(
        "model_card", Asset("./README.md", title="Model card", media_type="text/markdown", roles=["metadata"])
    )
    described: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    return described


def _properties(facts: Facts) -> dict[str, Any]:
    tasks = _mlm_tasks(facts.tasks)
    found = {
        "title": facts.name,
        "description": f"Questions about farmland on images, answered by {facts.architecture}",
        "license": facts.licence,
        "gsd": facts.gsd_m[0] if facts.gsd_m else None,
        "bands": _all_bands(facts),
        "mlm:name": facts.name,
        "mlm:architecture": facts.architecture,
        "mlm:tasks": tasks,
        "mlm:framework": "PyTorch",
        "mlm:framework_version": _release("torch"),
        "mlm:total_parameters": facts.contents["parameters"]["total"],
        "mlm:pretrained_source": facts.base,
        "mlm:input": _inputs(facts),
        "mlm:output": [_output(tasks)],
        "agrilape:version": __version__,
        "agrilape:tasks": facts.tasks or None,
        "agrilape:training_data": [_training(one) for one in facts.datasets] or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _mlm_tasks(names: Sequence[str] | dict[str, int]) -> list[str]:
    """Every answer is generated text; what that says is one of these tasks too."""
    kinds = (
        _BY_NAME.get(name) or (_TASKS.get(TASKS[name].answer) if name in TASKS else None) for name in names
    )
    return sorted({kind for kind in kinds if kind} | {"generative"})


def _training(data: TaughtWith) -> dict[str, Any]:
    """What the ground of one data set was: pixel size in metres, side of a tile in source pixels."""
    licences = sorted({origin.licence or "not recorded" for origin in data.origins})
    return {
        "name": data.name, "bands": list(bands_of(data.composite)), "gsd_m": data.gsd_m and list(data.gsd_m),
        "tile_px": data.chip, "dates": max(data.series, 1), "tasks": list(data.tasks), "licences": licences,
    }  # fmt: skip


def _inputs(facts: Facts) -> list[dict[str, Any]]:
    """One for each way in which images were shown: their composite, and one date or several."""
    shown = sorted({(one.composite, one.series) for one in facts.datasets}) or [("true_colour", 0)]
    return [_input(facts, composite, dates) for composite, dates in shown]


def _input(facts: Facts, composite: str, dates: int) -> dict[str, Any]:
    height, width = _shape(facts)
    seen = [one for one in facts.datasets if (one.composite, one.series) == (composite, dates)]
    tiles = sorted({one.chip for one in seen if one.chip})
    found = {
        "name": f"{composite.replace('_', ' ')}, {f'{dates} dates' if dates else 'one date'}",
        "description": f"An 8-bit picture of three colours made of the bands; tiles of {_either(tiles)} px.",
        "bands": [{"name": band} for band in bands_of(composite)],
        "input": {
            "shape": [-1, *([dates] if dates else []), 3, height, width],
            "dim_order": ["batch", *(["time"] if dates else []), "channel", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": _scaling(facts),
        "resize_type": _resizing(facts),
        "pre_processing_function": {"format": "python", "expression": "agrilape.sources.composite"},
    }
    return {key: value for key, value in found.items() if value is not None}


def _either(tiles: Sequence[int]) -> str:
    return " or ".join(map(str, tiles)) or "any number of"


def _shape(facts: Facts) -> tuple[int, int]:
    """Height and width of what the image processor makes; -1 where that depends on the image."""
    size = facts.processor.get("crop_size") if facts.processor.get("do_center_crop") else None
    size = size or facts.processor.get("size")
    if isinstance(size, dict):
        return int(size.get("height") or -1), int(size.get("width") or -1)
    return (size, size) if isinstance(size, int) else (-1, -1)


def _scaling(facts: Facts) -> list[dict[str, Any]] | None:
    """The processor's normalisation, for values of 0 to 255 as they stand before it rescales them."""
    mean, spread = (facts.processor.get(key) for key in ("image_mean", "image_std"))
    if (
        not (isinstance(mean, list) and isinstance(spread, list))
        or facts.processor.get("do_normalize") is False
    ):
        return None
    full = 1 / float(facts.processor.get("rescale_factor") or 1 / 255)
    return [
        {"type": "z-score", "mean": round(full * float(centre), 6), "stddev": round(full * float(width), 6)}
        for centre, width in zip(mean, spread, strict=False)
    ]


def _resizing(facts: Facts) -> str | None:
    word = _RESAMPLING.get(facts.processor.get("resample", -1))
    return f"interpolation-{word}" if word and facts.processor.get("do_resize", True) else None


def _output(tasks: Sequence[str]) -> dict[str, Any]:
    return {
        "name": "answer",
        "description": "Tokens of text; boxes, points and dates are position tokens, which agrilape reads as "
        "places on the map and days.",
        "tasks": list(tasks),
        "result": {"shape": [-1, -1], "dim_order": ["batch", "token"], "data_type": "int64"},
        "post_processing_function": {"format": "python", "expression": "agrilape.Predictor.ask"},
    }


def _all_bands(facts: Facts) -> list[dict[str, str]]:
    """The bands of all inputs, which MLM wants described where `mlm:input` names any."""
    names = dict.fromkeys(band for one in facts.datasets for band in bands_of(one.composite))
    return [{"name": name} for name in names or COMPOSITES["true_colour"]]


def _asset(facts: Facts, stem: str) -> dict[str, Any]:
    return {
        "title": f"Weights ({stem})",
        "media_type": "application/octet-stream; application=safetensors",
        "roles": ["mlm:model", "mlm:weights", "data"],
        "extra_fields": {"mlm:artifact_type": "safetensors.torch.save_file", "bands": _all_bands(facts)},
    }


def _release(package: str) -> str:
    """A version as MLM's pattern takes it: three numbers, without the build."""
    numbers = re.findall(r"\d+", version(package).partition("+")[0])
    return ".".join([*numbers, "0", "0"][:3])
