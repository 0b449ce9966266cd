"""Is a prepared data set whole and sound? Looked for in the files, not in what made them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from agrilape.dataset.leakage import LeakageKeys, check_split, leakage_keys
from agrilape.dataset.manifest import NAME, Manifest, Shard, hash_file, read_manifest
from agrilape.dataset.store import SCHEMA, Store
from agrilape.dataset.types import Chip, Example, Sample
from agrilape.errors import DataError
from agrilape.geo.shapes import Box, Instant, Part, Polygon, Span
from agrilape.io.pictures import as_rgb
from agrilape.skips import planned

SLACK = 1e-9  # of a coordinate beyond the edge: rounding


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        where: File, chip or sample.
        problem: What is wrong with it.
    """

    where: str
    problem: str


@dataclass
class _ShardContents:
    """What was found in the shards."""

    chips: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(default_factory=Counter)
    tasks: dict[str, Counter[str]] = field(default_factory=dict)
    traces: dict[str, list[LeakageKeys]] = field(default_factory=dict)


def find_prepared(folder: Path) -> list[Path]:
    """The data sets in a folder: itself, those in it, or those of a run folder.

    Raises:
        DataError: There are none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", "name a prepared data set, or the run folder around it")
    for pattern in (NAME, f"*/{NAME}", f"data/*/{NAME}"):
        if found := sorted(folder.glob(pattern)):
            return [manifest.parent for manifest in found]
    raise DataError(f"{folder} holds no prepared data set", "run `agrilape prepare` first")


def check_data_set(folder: Path) -> list[Finding]:
    """All that is wrong with a prepared data set; nothing, if it is whole and sound.

    Checked are the manifest; that its files lie in the folder, with the size and hash it states; their
    schema; every row, with its pictures and coordinates; that names are unique; that the counts agree; and
    that the splits share neither pictures nor parcels, nor ground or years.

    Args:
        folder: The data set, with its manifest.
    """
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        return [Finding(str(folder / NAME), error.problem)]
    findings: list[Finding] = []
    seen = _ShardContents()
    for shard in manifest.shards:
        findings += _check_shard(folder, shard, seen)
    findings += _check_counts(folder, manifest, seen)
    listed = {shard.path for shard in manifest.shards}
    findings += [
        Finding(str(file), "is not listed in the manifest")
        for file in sorted(folder.glob("[!.]*.parquet"))
        if file.name not in listed
    ]
    for kind, names in (("chip", seen.chips), ("sample", seen.samples)):
        findings += [Finding(name, f"{kind} id stands {n} times") for name, n in names.items() if n > 1]
    try:
        check_split(seen.traces, manifest.config)
    except DataError as error:
        findings.append(Finding(str(folder), error.problem))
    return findings


def _check_shard(folder: Path, shard: Shard, seen: _ShardContents) -> list[Finding]:
    file = folder / shard.path
    if hash_file(file) != shard.sha256:
        return [Finding(str(file), "differs from its hash in the manifest")]
    try:
        if not pq.read_schema(file).equals(SCHEMA):
            return [Finding(str(file), "has another schema than this version writes")]
        return list(_check_rows(file, shard, seen))
    except Exception as error:  # the other files are checked in any case
        return [Finding(str(file), f"cannot be read: {planned(error).problem}")]


def _check_rows(file: Path, shard: Shard, seen: _ShardContents) -> Iterator[Finding]:
    tasks = seen.tasks.setdefault(shard.split, Counter())
    traces = seen.traces.setdefault(shard.split, [])
    store = Store([file])
    if len(store) != shard.chips:
        yield Finding(str(file), f"holds {len(store)} chips, not {shard.chips} as the manifest says")
    for number, example in enumerate(store.attempts(), start=1):
        if isinstance(example, str):
            yield Finding(f"{file.name}: row {number}", f"cannot be read: {example}")
            continue
        seen.chips[example.chip.id] += 1
        seen.samples.update(sample.id for sample in example.samples)
        tasks.update(sample.task for sample in example.samples)
        traces.append(leakage_keys(example))
        for problem in check_example(example):
            yield Finding(f"{file.name}: {problem.where}", problem.problem)


def check_example(example: Example) -> Iterator[Finding]:
    """All that is wrong with a chip and its samples, taken by themselves."""
    chip = example.chip
    for problem in (*_check_pictures(chip), *_check_calendar(chip)):
        yield Finding(chip.id, problem)
    if not example.samples:
        yield Finding(chip.id, "has no question")
    for sample in example.samples:
        for problem in _check_sample(sample, dated=chip.window is not None):
            yield Finding(sample.id, problem)


def _check_pictures(chip: Chip) -> Iterator[str]:
    sizes = set()
    for picture in chip.pictures:
        try:
            sizes.add(as_rgb(picture.data).size)
        except Exception as error:  # bombs, odd headers: as many kinds as there are formats
            yield f"a picture cannot be read: {planned(error).problem}"
    if not chip.pictures:
        yield "has no picture"
    if len(sizes) > 1:
        yield f"has pictures of several sizes: {sorted(sizes)}"


def _check_calendar(chip: Chip) -> Iterator[str]:
    days = [picture.acquired for picture in chip.pictures if picture.acquired]
    if any(later < earlier for earlier, later in pairwise(days)):
        yield "has pictures out of order in time"
    if chip.window and any(not 0 <= chip.window.position(day) <= 1 for day in days):
        yield "has a picture from outside its calendar"


def _check_sample(sample: Sample, dated: bool) -> Iterator[str]:
    for name, parts in (("question", sample.question), ("answer", sample.answer)):
        if not parts or not any(not isinstance(part, str) or part.strip() for part in parts):
            yield f"has an empty {name}"
        for part in parts:
            if problem := _wrong(part):
                yield f"{problem} in the {name}: {part}"
            if isinstance(part, Instant | Span) and not dated:
                yield f"a time in the {name}, but the chip has no calendar"


def _wrong(part: Part) -> str | None:
    """What is wrong with a place or time; None if nothing is."""
    match part:
        case str():
            return None
        case Polygon(points):
            numbers: Sequence[float] = [number for point in points for number in point]
        case _:
            numbers = list(part)
    if not all(math.isfinite(number) and -SLACK <= number <= 1 + SLACK for number in numbers):
        return "a coordinate outside 0-1"
    match part:
        case Box(left, top, right, bottom) if left > right or top > bottom:
            return "a reversed box"
        case Span(start, end) if start > end:
            return "a reversed span"
    return None


def _check_counts(folder: Path, manifest: Manifest, seen: _ShardContents) -> Iterator[Finding]:
    for split, counts in manifest.splits.items():
        found = seen.tasks.get(split, Counter())
        chips = len(seen.traces.get(split, []))
        if chips != counts.chips or dict(found) != counts.tasks:
            yield Finding(
                str(folder / NAME),
                f"{split}: says {counts.chips} chips and {sum(counts.tasks.values())} samples, "
                f"the files hold {chips} and {found.total()}",
            )
