"""The sample store: Parquet shards with one row per chip, its images as bytes and its samples nested.

`datasets.load_dataset("parquet", data_files=...)` opens the shards too. Rows lie in small row groups, so that
training can draw single chips without reading a whole file.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agrilape.config.former_names import first_task, present_task
from agrilape.dataset.lazy import LazyExamples
from agrilape.dataset.serialization import (
    georeference_from_json,
    georeference_to_json,
    parts_from_json,
    parts_to_json,
    window_from_json,
    window_to_json,
)
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import AgrilapeError, DataError
from agrilape.files import whole_file
from agrilape.geo.georeference import Georeference

ROWS_PER_GROUP = 32
_CROP = r'"crop":(?P<crop>"(?:[^"\\]|\\.)+")'  # of a truth, which `_dump` wrote
CACHE_BYTES = 1 << 30
FACTS = "agrilape"  # key of what `write_rows` is given about a file
CACHE_CHIPS = 2048  # of some 0.1 MB each

# What differs in its fields from row to row (facts, parts of a message) is JSON text: Parquet wants one type.
_SAMPLE = pa.struct(
    [(name, pa.string()) for name in ("id", "task", "question", "answer", "truth", "provenance")]
)
_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES = {
    **dict.fromkeys(("id", "scene", "source"), _TEXT),
    "images": [{"_type": "Image"}],
    "acquired": [_TEXT],
    **dict.fromkeys(("georeference", "window", "meta"), _TEXT),
    "samples": [{field.name: _TEXT for field in _SAMPLE}],
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("scene", pa.string()),
        ("source", pa.string()),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("acquired", pa.list_(pa.string())),
        ("georeference", pa.string()),
        ("window", pa.string()),
        ("meta", pa.string()),
        ("samples", pa.list_(_SAMPLE)),
    ],
    # What Hugging Face `datasets` reads its features from: without it images would be opaque bytes.
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def write_rows(path: Path, examples: Iterable[Example], facts: Callable[[], Mapping[str, Any]] = dict) -> int:
    """Write one Parquet file, whole or not at all.

    Args:
        path: The file.
        examples: Its rows; taken in small batches, so they may come from a generator.
        facts: Gives JSON-ready metadata of the file, once all rows are written.

    Returns:
        Number of rows.

    Raises:
        DiskError: There is no room for it.
    """
    rows = 0
    # Chips are compressed already: zstd is for the JSON columns.
    how = {"compression": "zstd", "compression_level": 1, "use_dictionary": False}
    with whole_file(path) as draft, pq.ParquetWriter(draft, SCHEMA, **how) as writer:
        for batch in _batches(examples, ROWS_PER_GROUP):
            table = pa.Table.from_pylist([_to_row(example) for example in batch], schema=SCHEMA)
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            rows += len(batch)
        writer.add_key_value_metadata({FACTS: json.dumps(dict(facts()))})
    return rows


def read_shard_metadata(path: Path) -> dict[str, Any]:
    """The metadata that `write_rows` was given."""
    metadata = pq.read_metadata(path).metadata or {}
    facts: dict[str, Any] = json.loads(metadata.get(FACTS.encode(), b"{}"))
    return facts


def is_finished(path: Path, key: str) -> bool:
    """Is a shard there, whole and of the configuration with this key?"""
    try:
        return path.is_file() and read_shard_metadata(path).get("key") == key
    except (OSError, ValueError):
        return False


class Store(LazyExamples):
    """Chips with their samples, read from Parquet files as they are asked for.

    Row groups stay in memory up to `CACHE_BYTES`, and the chips last asked for, parsed, up to `CACHE_CHIPS`;
    small data sets are held whole. A store may be pickled and forked: each process opens its own files.

    Args:
        files: Parquet files in order.

    Raises:
        DataError: A file is missing or broken.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self._groups: list[tuple[int, int]] = []  # file and row group of each group
        self._starts: list[int] = []  # index of the first row of each group
        self._length = 0
        for number, file in enumerate(self.files):
            metadata = _open(file).metadata
            for group in range(metadata.num_row_groups):
                self._groups.append((number, group))
                self._starts.append(self._length)
                self._length += metadata.row_group(group).num_rows
        self._reset()

    def _reset(self) -> None:
        self._open: dict[int, pq.ParquetFile] = {}
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()
        self._cached_bytes = 0
        self._chip = lru_cache(CACHE_CHIPS)(self._read_chip)

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files and cached rows behind."""
        return {key: self.__dict__[key] for key in ("files", "_groups", "_starts", "_length")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start with no files open."""
        self.__dict__.update(state)
        self._reset()

    def __len__(self) -> int:
        """Number of chips."""
        return self._length

    def make(self, position: int) -> Example:
        """One chip."""
        return self._chip(position)

    def __iter__(self) -> Iterator[Example]:
        """Chips in order.

        Raises:
            DataError: A cell is null.
        """
        for row in self._all_rows():
            yield _from_row(row)

    def attempts(self) -> Iterator[Example | str]:
        """Chips in order; in place of one that cannot be read, why: one bad row must not hide the others."""
        for row in self._all_rows():
            try:
                yield _from_row(row)
            except AgrilapeError as error:
                yield error.problem
            except (ValueError, KeyError, TypeError) as error:
                yield str(error)

    def _all_rows(self) -> Iterator[dict[str, Any]]:
        for group in range(len(self._groups)):
            table = self._cache[group] if group in self._cache else self._read(group)  # once: nothing to keep
            yield from table.to_pylist()

    def tasks(self) -> list[frozenset[str]]:
        """The tasks of each chip, without reading any image."""
        return [frozenset(names) for names in self.task_lists()]

    def task_lists(self) -> list[tuple[str, ...]]:
        """The task of each sample of each chip, without reading any image."""
        found: list[tuple[str, ...]] = []
        for file in self.files:
            column = _open(file).read(columns=["samples.list.element.task"], use_threads=False)["samples"]
            found += [tuple(present_task(one["task"]) for one in samples) for samples in column.to_pylist()]
        return found

    def truths(self) -> list[list[tuple[str, dict[str, Any]]]]:
        """Task and truth of every sample of each chip, without reading any image."""
        found: list[list[tuple[str, dict[str, Any]]]] = []
        names = [f"samples.list.element.{name}" for name in ("task", "truth")]
        for file in self.files:
            column = _open(file).read(columns=names, use_threads=False)["samples"]
            found += [
                [(present_task(one["task"]), json.loads(one["truth"])) for one in chip]
                for chip in column.to_pylist()
            ]
        return found

    def grids(self) -> list[Georeference]:
        """Grids of chips that have a place on the map, one for each size of pixel; no image is read."""
        found: dict[tuple[object, ...], Georeference] = {}
        for file in self.files:
            column = _open(file).read(columns=["georeference"], use_threads=False)["georeference"]
            for text in column.unique().to_pylist():
                grid = georeference_from_json(json.loads(text))
                if grid is not None:
                    a, b, _, d, e, f = tuple(grid.transform)[:6]
                    band = round(f) if abs(f) <= 90 else 0  # degrees are shorter further north
                    found.setdefault((grid.crs, a, b, d, e, band), grid)
        return list(found.values())

    def stated_pixel_sizes(self) -> list[float]:
        """What the metadata of chips say of the ground that a pixel, as shown, is long; no image is read."""
        found: set[float] = set()
        for file in self.files:
            column = _open(file).read(columns=["meta"], use_threads=False)["meta"]
            found |= {
                float(size) for text in column.unique().to_pylist() if (size := json.loads(text).get("gsd_m"))
            }
        return sorted(found)

    def crops(self) -> Counter[tuple[str, str | None]]:
        """Number of samples of each task and crop that they are about; no image is read."""
        found: Counter[tuple[str, str | None]] = Counter()
        names = [f"samples.list.element.{name}" for name in ("task", "truth")]
        for file in self.files:
            samples = _open(file).read(columns=names, use_threads=False)["samples"].combine_chunks().flatten()
            crops = pc.struct_field(pc.extract_regex(samples.field("truth"), _CROP), "crop")
            table = pa.table({"task": samples.field("task"), "crop": crops})
            for row in table.group_by(["task", "crop"]).aggregate([([], "count_all")]).to_pylist():
                crop = None if row["crop"] is None else str(json.loads(row["crop"]))
                found[present_task(row["task"]), crop] += row["count_all"]
        return found

    def samples(self) -> Iterator[tuple[Sample, ...]]:
        """The samples of each chip in order, without reading any image."""
        for file in self.files:
            for batch in _open(file).iter_batches(
                ROWS_PER_GROUP, columns=["id", "samples"], use_threads=False
            ):
                for row in batch.to_pylist():
                    yield _samples(row)

    def _read_chip(self, position: int) -> Example:
        group = bisect_right(self._starts, position) - 1
        return _from_row(self._rows(group).slice(position - self._starts[group], 1).to_pylist()[0])

    def _rows(self, group: int) -> pa.Table:
        if group in self._cache:
            self._cache.move_to_end(group)
            return self._cache[group]
        table = self._read(group)
        self._cache[group] = table
        self._cached_bytes += table.nbytes
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return table

    def _read(self, group: int) -> pa.Table:
        file, number = self._groups[group]
        if file not in self._open:
            self._open[file] = _open(self.files[file])
        return self._open[file].read_row_group(number, use_threads=False)


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{file} is not a readable sample file: {error}", "prepare the data set again"
        ) from error


def _batches(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        batch.append(example)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _to_row(example: Example) -> dict[str, Any]:
    chip = example.chip
    return {
        "id": chip.id,
        "scene": chip.scene,
        "source": chip.source,
        "images": [{"bytes": picture.data, "path": None} for picture in chip.pictures],
        "acquired": [picture.acquired and picture.acquired.isoformat() for picture in chip.pictures],
        "georeference": _dump(georeference_to_json(chip.georeference)),
        "window": _dump(window_to_json(chip.window)),
        "meta": _dump(dict(chip.meta)),
        "samples": [
            {
                "id": sample.id,
                "task": first_task(sample.task),
                "question": _dump(parts_to_json(sample.question)),
                "answer": _dump(parts_to_json(sample.answer)),
                "truth": _dump(dict(sample.truth)),
                "provenance": _dump(dict(sample.provenance)),
            }
            for sample in example.samples
        ],
    }


def _from_row(row: dict[str, Any]) -> Example:
    if (empty := _null(row)) is not None:
        raise DataError(f"column {empty} of chip {row['id']} is null", "prepare the data set again")
    chip = Chip(
        id=row["id"],
        scene=row["scene"],
        source=row["source"],
        pictures=tuple(
            Picture(image["bytes"], acquired and date.fromisoformat(acquired))
            for image, acquired in zip(row["images"], row["acquired"], strict=True)
        ),
        georeference=georeference_from_json(json.loads(row["georeference"])),
        window=window_from_json(json.loads(row["window"])),
        meta=json.loads(row["meta"]),
    )
    return Example(chip, _samples(row))


def _null(row: dict[str, Any]) -> str | None:
    """The first column without a value: what is unknown is the JSON text `null`, never an empty cell."""
    for column in SCHEMA.names:
        if row[column] is None:
            return str(column)
    for image in row["images"]:
        if image is None or image["bytes"] is None:
            return "images.bytes"
    for sample in row["samples"]:
        if sample is None or None in sample.values():
            return f"samples.{next((name for name in sample or () if sample[name] is None), 'element')}"
    return None


def _samples(row: dict[str, Any]) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            id=sample["id"],
            chip=row["id"],
            task=present_task(sample["task"]),
            question=parts_from_json(json.loads(sample["question"])),
            answer=parts_from_json(json.loads(sample["answer"])),
            truth=json.loads(sample["truth"]),
            provenance=json.loads(sample["provenance"]),
        )
        for sample in row["samples"]
    )


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
