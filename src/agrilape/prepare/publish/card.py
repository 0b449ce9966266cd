"""The card of a published data set: README.md with YAML front matter, as the Hugging Face Hub reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from agrilape.dataset.manifest import Manifest
from agrilape.prepare.publish.croissant import describe

SPLIT_NAMES: Mapping[str, str] = {"train": "train", "val": "validation", "test": "test"}
"""Split of a prepared data set -> what others call it."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Manifest) -> str:
    """The card in Markdown."""
    front = yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n".join(_body(manifest)) + "\n"


def _front_matter(manifest: Manifest) -> dict[str, Any]:
    chips = sum(one.chips for one in manifest.splits.values())
    size = next((name for most, name in _SIZES if chips < most), "n>1M")
    files = [
        {"split": SPLIT_NAMES.get(name, name), "path": f"data/{SPLIT_NAMES.get(name, name)}.parquet"}
        for name in manifest.splits
    ]
    return {
        "pretty_name": manifest.name,
        "language": [manifest.config.language],
        "license": "other",  # by source: the Hub knows one licence to a data set
        "license_name": "by-source",
        "license_link": "#sources-and-licences",
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "size_categories": [size],
        "tags": ["agriculture", "remote-sensing", "geospatial", "croissant"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _body(manifest: Manifest) -> Iterator[str]:
    yield f"# {manifest.name}\n\n{describe(manifest)}\n"
    yield _COLUMNS
    yield "## Splits\n"
    rows = [
        (SPLIT_NAMES.get(name, name), one.chips, one.pictures, one.samples, len(one.groups))
        for name, one in manifest.splits.items()
    ]
    yield _table(("split", "chips", "images", "questions", "places"), rows)
    yield f"Divided by {manifest.config.split_by}{_buffer(manifest)}."
    yield (
        "Leak check: splits share no image, no parcel and no ground or year that the division keeps apart; "
        "checked when it was prepared and again before it was published.\n"
    )
    yield from (f"- {note}" for note in manifest.notes)
    yield "\n## Questions by task\n"
    names = list(manifest.splits)
    tasks = sorted({task for one in manifest.splits.values() for task in one.tasks})
    counts = [(task, *(manifest.splits[name].tasks.get(task, 0) for name in names)) for task in tasks]
    yield _table(("task", *(SPLIT_NAMES.get(name, name) for name in names)), counts)
    yield "## Sources and licences\n"
    origins = [
        (one.source, one.scenes, *(said or "not recorded" for said in (one.licence, one.citation)))
        for one in manifest.origins
    ]
    yield _table(("source", "scenes", "licence", "cite"), origins)
    yield "\n## What was skipped\n"
    skipped = list(manifest.skipped_chips.items())
    yield _table(("chips", "count"), skipped) if skipped else "No chip was skipped.\n"
    if manifest.skipped_scenes:
        yield f"{len(manifest.skipped_scenes)} scenes or files could not be used.\n"
    yield f"Made by agrilape {manifest.version}; `croissant.json` is its Croissant metadata."


def _buffer(manifest: Manifest) -> str:
    metres = manifest.config.buffer_m
    return f" with {metres:g} m of ground between splits" if metres else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).replace("|", "\\|").split())


_COLUMNS = """\
One row per chip. `messages` are turns of `user` and `assistant` that belong to `images`, as TRL and ms-swift
read them; `conversations` are the same with `<image>` tags, which LLaMA-Factory reads by `dataset_info.json`.
Coordinates are fractions of the image, x to the right and y down: a point `[x, y]`, a box
`[left, top, right, bottom]`, an outline `[[x, y], ...]`; dates are in ISO 8601.

```python
from datasets import load_dataset
rows = load_dataset("parquet", data_files={"train": "data/train.parquet"})
```
"""
