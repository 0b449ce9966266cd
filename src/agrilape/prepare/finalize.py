"""The end of preparing a data set: check its shards for leaks, add them up, and write the manifest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agrilape import __version__
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset.digests import Digest
from agrilape.dataset.leakage import LeakageKeys, check_split
from agrilape.dataset.manifest import Manifest, Origin, Shard, Skip, SplitCounts
from agrilape.dataset.types import SPLITS, Split
from agrilape.errors import DataError
from agrilape.geo.timewindow import TimeWindow


@dataclass(frozen=True)
class WrittenShard:
    """A shard that was written.

    Attributes:
        file: Its name.
        split: The split that it belongs to.
        digest: What it holds.
        groups: Scenes or blocks that its chips come from.
    """

    file: str
    split: Split
    digest: Digest
    groups: frozenset[str]


def finalize(
    name: str,
    config: DatasetConfig,
    key: str,
    folder: Path,
    written: Sequence[WrittenShard],
    origins: Sequence[Origin],
    window: tuple[str, str] | None,
    problems: Sequence[Skip],
) -> Manifest:
    """Check the shards for leaks, write the manifest, and remove what is not part of it.

    Raises:
        DataError: Two splits share something, or no chip holds a question.
    """
    found: dict[Split, list[WrittenShard]] = defaultdict(list)
    for one in written:
        found[one.split].append(one)
    traces: dict[str, list[LeakageKeys]] = {
        split: [each for one in ours for each in one.digest.traces] for split, ours in found.items()
    }
    check_split(traces, config)
    skipped: Counter[str] = Counter()
    broken: dict[str, str] = {}
    for one in written:
        skipped.update(one.digest.facts["skipped_chips"])
        broken = one.digest.facts["skipped_scenes"] | broken
    skips = [*problems, *(Skip(scene=scene, reason=broken[scene]) for scene in sorted(broken))]
    if not any(traces.values()):
        reasons = ", ".join(f"{count} x {reason}" for reason, count in skipped.items())
        raise DataError(f"data set {name}: no chip holds a question ({reasons})", first_reasons(skips))
    manifest = Manifest(
        name=name,
        key=key,
        version=__version__,
        config=config,
        shards=tuple(_shard(one) for one in written),
        splits={split: _counts(found[split]) for split in SPLITS if traces.get(split)},
        window=window,
        origins=tuple(origins),
        skipped_scenes=tuple(skips),
        skipped_chips=dict(sorted(skipped.items())),
    )
    manifest.write(folder)
    _tidy(folder, {shard.path for shard in manifest.shards})
    return manifest


def whole_window(windows: Iterable[TimeWindow | None]) -> tuple[str, str] | None:
    """First and last date of some calendars."""
    known = [window for window in windows if window is not None]
    if not known:
        return None
    return min(w.start for w in known).isoformat(), max(w.end for w in known).isoformat()


def first_reasons(problems: Sequence[Skip]) -> str:
    """What to tell of many problems."""
    more = [f"and {len(problems) - 3:,} more"] if len(problems) > 3 else []
    shown = "\n     ".join([*map(str, problems[:3]), *more])
    return shown or "check the source's path and patterns"


def _tidy(folder: Path, listed: set[str]) -> None:
    """Remove shards of another configuration, and what a killed run left half-written."""
    for pattern in ("*-[0-9][0-9][0-9][0-9][0-9].parquet", ".*.parquet.*"):
        for file in folder.glob(pattern):
            if file.name not in listed:
                file.unlink()


def _shard(one: WrittenShard) -> Shard:
    held = one.digest
    return Shard(path=one.file, split=one.split, chips=len(held.traces), bytes=held.bytes, sha256=held.sha256)


def _counts(written: Sequence[WrittenShard]) -> SplitCounts:
    tasks = sum((one.digest.tasks for one in written), Counter[str]())
    return SplitCounts(
        chips=sum(len(one.digest.traces) for one in written),
        pictures=sum(one.digest.pictures for one in written),
        samples=tasks.total(),
        tasks=dict(sorted(tasks.items())),
        groups=tuple(sorted(frozenset().union(*(one.groups for one in written)))),
    )
