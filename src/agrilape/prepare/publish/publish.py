"""Write a prepared data set for others: Parquet files of conversations, a card, Croissant metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from agrilape.dataset.integrity import check_data_set
from agrilape.dataset.manifest import read_manifest, read_store
from agrilape.dataset.types import Example
from agrilape.errors import DataError
from agrilape.files import whole_folder, write_text
from agrilape.prepare.publish.card import SPLIT_NAMES, card
from agrilape.prepare.publish.croissant import Coverage, croissant
from agrilape.prepare.publish.messages import row_of, write_conversations


def publish_data_set(folder: Path, output: Path) -> dict[str, int]:
    """Write what a hub repository of a data set holds, whole or not at all.

    Args:
        folder: A prepared data set, with its manifest.
        output: The folder to write: `data/*.parquet`, `README.md`, `croissant.json`, `dataset_info.json`.

    Returns:
        Rows of each split, by the name that others give it.

    Raises:
        DataError: The data set is not whole, or its splits share what they must not.
        AgrilapeError: `output` holds files that were not written so.
        DiskError: There is no room for it.
    """
    manifest = read_manifest(folder)
    if wrong := check_data_set(folder):
        raise DataError(
            f"{folder} is not fit to publish: {wrong[0].where}: {wrong[0].problem}"
            + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""),
            "see `agrilape data check`, and prepare it again",
        )
    rows: dict[str, int] = {}
    coverage = Coverage()
    with whole_folder(output) as draft:
        for split in manifest.splits:
            name = SPLIT_NAMES.get(split, split)
            examples = _counted(read_store(folder, split), coverage)
            (draft / "data").mkdir(exist_ok=True)
            rows[name] = write_conversations(draft / "data" / f"{name}.parquet", examples)
        files = sorted((draft / "data").glob("*.parquet"))
        metadata = croissant(manifest, draft, files, coverage)
        write_text(draft / "croissant.json", _json(metadata))
        write_text(draft / "dataset_info.json", _json(_llama_factory(manifest.name, rows)))
        write_text(draft / "README.md", card(manifest))
    return rows


def _counted(examples: Iterable[Example], coverage: Coverage) -> Iterator[Example]:
    for example in examples:
        gsd = example.chip.meta.get("gsd_m")
        coverage.add(row_of(example), float(gsd) if gsd else None)
        yield example


def _llama_factory(name: str, rows: dict[str, int]) -> dict[str, object]:
    """How LLaMA-Factory finds the columns of each split."""
    return {
        f"{name}_{split}": {
            "file_name": f"data/{split}.parquet",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "images": "images"},
        }
        for split in rows
    }


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
