"""From a release of instruction data, in its publishers' own layout, to a sample store.

The release is read twice: once to know which scenes there are and to divide them, once to write. No more than
a shard of each split is held in memory. A killed run keeps its finished shards.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agrilape.config.recipe import DatasetConfig, FormatSource
from agrilape.console import progress, say
from agrilape.dataset.digests import digest
from agrilape.dataset.manifest import Manifest, Origin, Skip
from agrilape.dataset.round_robin import shuffle_interleaved
from agrilape.dataset.store import is_finished, write_rows
from agrilape.dataset.types import SPLITS, Example, Picture, Sample, Split
from agrilape.errors import DataError
from agrilape.geo.timewindow import TimeWindow
from agrilape.io.pictures import picture_size, read_picture
from agrilape.prepare.finalize import WrittenShard, finalize, first_reasons, whole_window
from agrilape.prepare.formats import CITATIONS, EXAMPLE_FORMATS, SkippedRows, read_examples
from agrilape.prepare.splits import assign, official_split, official_splits, undivided
from agrilape.prepare.windows import UNIT_CHIPS
from agrilape.sources.tiling import encode_png

NO_SPLIT = "the release has it in no split"


@dataclass(frozen=True)
class ReleasePlan:
    """What of a release is used.

    Attributes:
        splits: Split of each scene.
        chosen: Ids of the chips; None for all.
        chips: How many that are.
        windows: First and last date of every calendar.
    """

    splits: dict[str, Split]
    chosen: frozenset[str] | None
    chips: int
    windows: tuple[TimeWindow, ...]


def is_published(config: DatasetConfig) -> bool:
    """Does a data set come from a release that holds questions already?"""
    return isinstance(config.source, FormatSource) and config.source.name in EXAMPLE_FORMATS


def prepare_published(name: str, config: DatasetConfig, folder: Path, key: str) -> Manifest:
    """Divide a release by its scenes and write it as a store.

    Args:
        name: Name of the data set, for people.
        config: What to make; of it count tasks, questions, limit, image_size and how to split.
        folder: The data set's own folder.
        key: Hash of configuration and input.

    Raises:
        DataError: The release cannot be read, cannot be split as wanted, or holds no such question.
    """
    source = config.source
    assert isinstance(source, FormatSource)
    omissions = SkippedRows()
    found = _plan(name, config, SkippedRows())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    with progress(f"{name}: write", found.chips, "chips") as track:
        written = []
        for split, number, shard in _shards(_used(config, omissions, found), found):
            file = folder / f"{split}-{number:05d}.parquet"
            if not is_finished(file, key):
                write_rows(file, shard, lambda: {"key": key, "skipped_chips": {}, "skipped_scenes": {}})
            groups = frozenset(example.chip.scene for example in shard)
            written.append(WrittenShard(file.name, split, digest(file), groups))
            track(len(shard))
    for reason, count in sorted(omissions.counts.items()):
        say(f"{name}: skipped {count} x {reason}")
    problems = [Skip(scene=str(one.path), reason=one.reason) for one in omissions.problems]
    origin = Origin(source=source.name, scenes=len(found.splits), citation=CITATIONS[source.name])
    written.sort(key=lambda one: (SPLITS.index(one.split), one.file))
    return finalize(name, config, key, folder, written, [origin], whole_window(found.windows), problems)


def _plan(name: str, config: DatasetConfig, omissions: SkippedRows) -> ReleasePlan:
    """Read a release for its scenes, and give each to a split."""
    chips: dict[str, str] = {}
    official: dict[tuple[str, str | None], None] = {}
    windows: dict[TimeWindow, None] = {}
    for example in _examples(config, omissions):
        chip = example.chip
        chips[chip.id] = chip.scene
        official |= {(chip.scene, one.provenance.get("split")): None for one in example.samples}
        if chip.window:
            windows[chip.window] = None
    if not chips and omissions.counts[NO_SPLIT] and not config.only_split:
        raise undivided(f"data set {name}")
    if not chips:
        problems = [Skip(scene=str(one.path), reason=one.reason) for one in omissions.problems]
        where = f" in its {config.only_split} split" * bool(config.only_split)
        raise DataError(
            f"data set {name}: the release holds nothing that can be used{where}", first_reasons(problems)
        )
    if config.split_by == "published":
        splits = official_splits(official)
    else:
        splits = assign(chips.values(), config.split, config.seed)
    chosen = None
    if config.limit is not None and config.limit < len(chips):
        rng = random.Random(config.seed)  # noqa: S311 - not for secrets
        chosen = frozenset(rng.sample(sorted(chips), config.limit))
    return ReleasePlan(splits, chosen, len(chosen or chips), tuple(windows))


def _examples(config: DatasetConfig, omissions: SkippedRows) -> Iterator[Example]:
    """Examples of a release with the wanted questions alone."""
    assert isinstance(config.source, FormatSource)
    for example in read_examples(config.source, omissions):
        if wanted := tuple(one for one in example.samples if _is_wanted(one, config, omissions)):
            yield Example(example.chip, wanted)


def _is_wanted(sample: Sample, config: DatasetConfig, omissions: SkippedRows) -> bool:
    """Is a question of a wanted task, and in a split where the release's own are kept?"""
    if config.tasks and sample.task not in config.tasks:
        return False
    if config.split_by != "published":
        return True
    split = official_split(sample.provenance.get("split"))
    assert isinstance(config.source, FormatSource)
    if split is None:
        omissions.add(config.source.path, NO_SPLIT, sample.id)
    return split is not None and config.only_split in (None, split)


def _used(config: DatasetConfig, omissions: SkippedRows, plan: ReleasePlan) -> Iterator[Example]:
    """The chosen chips with at most so many questions, as the store is to hold them."""
    for example in _examples(config, omissions):
        if plan.chosen is not None and example.chip.id not in plan.chosen:
            continue
        rng = random.Random(f"{config.seed}/{example.chip.id}")  # noqa: S311 - not for secrets
        samples = shuffle_interleaved(example.samples, lambda one: one.task, rng)[: config.questions]
        pictures = tuple(_reduced(picture, config.image_size) for picture in example.chip.pictures)
        yield Example(replace(example.chip, pictures=pictures), tuple(samples))


def _shards(examples: Iterator[Example], plan: ReleasePlan) -> Iterator[tuple[Split, int, list[Example]]]:
    """Examples in lots of one split, with the split and the number of the lot in it."""
    open_: dict[Split, list[Example]] = defaultdict(list)
    numbers: dict[Split, int] = defaultdict(int)
    for example in examples:
        split = plan.splits[example.chip.scene]
        open_[split].append(example)
        if len(open_[split]) == UNIT_CHIPS:
            yield split, numbers[split], open_.pop(split)
            numbers[split] += 1
    for split, rest in open_.items():
        yield split, numbers[split], rest


def _reduced(picture: Picture, side: int | None) -> Picture:
    if side is None:
        return picture
    if max(picture_size(picture.data)) <= side:
        return picture
    return replace(picture, data=encode_png(read_picture(picture.data).rgb, side))
