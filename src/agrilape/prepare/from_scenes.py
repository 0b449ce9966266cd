"""From a source to a sample store: cut, ask, split, check, write.

The work is divided into units of at most `UNIT_CHIPS` windows of one split; each unit becomes one shard,
written while its chips are cut, whole or not at all. A killed run keeps its finished shards; the result
does not depend on who does the work, nor on how many.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path

import rasterio

from agrilape.config.former_names import in_digests
from agrilape.config.recipe import DatasetConfig, FormatSource
from agrilape.console import progress, say, warn
from agrilape.dataset.digests import Digest, Digester, digest
from agrilape.dataset.manifest import Manifest, Origin, describe_splits, read_manifest
from agrilape.dataset.prompt_templates import load_prompt_templates
from agrilape.dataset.store import is_finished, write_rows
from agrilape.dataset.tasks import TASKS, find_task
from agrilape.dataset.types import Chip, Example
from agrilape.errors import AgrilapeError, DataError, RecipeError, doing
from agrilape.prepare.chips import ChipCutter
from agrilape.prepare.finalize import WrittenShard, finalize, first_reasons, whole_window
from agrilape.prepare.formats import check_format
from agrilape.prepare.from_release import is_published, prepare_published
from agrilape.prepare.label_index import LabelledScene
from agrilape.prepare.opening import RASTER_CACHE_BYTES, OpenedSource, fingerprint, open_source
from agrilape.prepare.tasks import ask
from agrilape.prepare.windows import ShardJob, SplitWindows, plan, released
from agrilape.prepare.worker_pool import WorkerPool
from agrilape.skips import attempt
from agrilape.sources.scene import PixelWindow
from agrilape.sources.tile_cache import keep_tiles

FORMAT = 4  # raise it when the same configuration gives another store
PUBLISHED = 2  # raise it when a release's own split is read in another way
MOSTLY_LABELLED = 0.4  # share of the ground in parcels from which on it may well be labelled whole
WORTH_WORKERS = 400  # windows; starting a worker takes about as long as cutting a hundred
UNREADABLE = "cannot be read"
LABEL_FOLDER = ".labels"  # folder of the scenes' labels while they are needed


def prepare_dataset(
    name: str,
    config: DatasetConfig,
    folder: Path,
    scenes_cache: Path,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Manifest:
    """Prepare a data set: cut chips, ask questions, split, check for leaks, write shards and a manifest.

    A finished folder of the same configuration and input is left as it is, a half-finished one is continued.
    Memory is bounded by what a few chips and the labels around them take, however large the scenes are.

    Args:
        name: Name of the data set, for people.
        config: What to make.
        folder: The data set's own folder.
        scenes_cache: Where simulated scenes are kept.
        workers: Processes; null: some where there is enough to do. The result is the same.
        scheduler: Address of a Dask scheduler, whose workers see the same folders; null: this machine.

    Returns:
        The manifest, as written to `folder/manifest.json`.

    Raises:
        RecipeError: A task or a language does not exist.
        DataError: The source cannot be read, cannot be split as wanted, or gives no chip at all.
    """
    _check(name, config)
    folder = folder.resolve()
    key = store_key(config)
    manifest = _finished(folder, key)
    if manifest is not None:
        say(f"{name}: prepared before, {describe_splits(manifest.splits)}")
    elif is_published(config):
        with doing("preparing data set", name):
            manifest = prepare_published(name, config, folder, key)
    else:
        with doing("preparing data set", name), WorkerPool(workers, scheduler) as pool:
            manifest = _prepare(name, config, folder, scenes_cache, key, pool)
        say(f"{name}: {describe_splits(manifest.splits)}")
    for skip in manifest.skipped_scenes:
        warn(f"{name}: skipped {skip}")
    for reason, count in manifest.skipped_chips.items():
        say(f"{name}: skipped {count:,} chips: {reason}")
    for note in manifest.notes:
        warn(f"{name}: {note}")
    asked = {task for counts in manifest.splits.values() for task in counts.tasks}
    if unasked := [task for task in config.tasks if task not in asked]:
        warn(f"{name}: no chip gave a question for {', '.join(unasked)}; docs/data.md says what each needs")
    return manifest


def _check(name: str, config: DatasetConfig) -> None:
    """Refuse what cannot be made before any work is done."""
    load_prompt_templates(config.language)
    if isinstance(config.source, FormatSource):
        check_format(config.source)
    if config.only_split and config.split_by != "published":
        raise RecipeError(
            f"data set {name} takes one split of a release, but is divided by {config.split_by}",
            f"set datasets.{name}.split_by to published, or only_split to null",
        )
    if is_published(config):
        if config.split_by == "year":
            raise RecipeError(
                f"data set {name}: a release of questions cannot be split by year",
                f"set datasets.{name}.split_by to scene or published",
            )
        return
    if not config.tasks:
        raise RecipeError(
            f"data set {name} has no tasks", f"set datasets.{name}.tasks to some of {', '.join(TASKS)}"
        )
    for task in config.tasks:
        find_task(task)


def _prepare(
    name: str, config: DatasetConfig, folder: Path, scenes_cache: Path, key: str, pool: WorkerPool
) -> Manifest:
    label_folder = folder / LABEL_FOLDER
    shutil.rmtree(label_folder, ignore_errors=True)  # of a killed run
    label_folder.mkdir(parents=True)
    try:
        opened = open_source(config.source, scenes_cache, label_folder, pool)
        for note in opened.notes:
            say(note)
        if not opened.grounds:
            raise DataError(f"data set {name}: no scene could be opened", first_reasons(opened.problems))
        _require_statement(name, config, opened.grounds)
        grounds, strays = released(opened.grounds, config, name)
        opened = replace(opened, grounds=grounds, problems=(*opened.problems, *strays))
        units = plan(opened.grounds, config)
        (folder / "manifest.json").unlink(missing_ok=True)
        digests = _cut_all(name, units, config, folder, key, pool)
        return _finalize(name, config, key, folder, units, digests, opened)
    finally:
        shutil.rmtree(label_folder, ignore_errors=True)


def _require_statement(name: str, config: DatasetConfig, grounds: Sequence[LabelledScene]) -> None:
    """Counts, lists and absences are asked only of ground of which somebody says that it is labelled whole.

    Raises:
        RecipeError: Nobody does; the share of the ground that lies in parcels is said.
    """
    shares = [
        float(one.scene.meta["labelled_share"]) for one in grounds if "labelled_share" in one.scene.meta
    ]
    if not shares:
        return
    mean = sum(shares) / len(shares)
    likely = "true" if mean >= MOSTLY_LABELLED else "false"
    said = (
        f"of the ground of {len(shares)} scenes {mean:.0%} lies in parcels ({min(shares):.0%} to "
        f"{max(shares):.0%})"
    )
    asked = [task for task in config.tasks if TASKS[task].exhaustive]
    if not asked:
        say(f"{name}: {said}; exhaustively_labelled is not stated (it looks {likely})")
        return
    raise RecipeError(
        f"data set {name} asks {', '.join(asked)}, which need every field of the images to be labelled, and "
        f"nothing says whether they are: {said}",
        f"set datasets.{name}.source.exhaustively_labelled to true or false (this looks like {likely}), or "
        "say it in scene.json; false leaves these tasks out",
    )


def _cut_all(
    name: str, units: Sequence[ShardJob], config: DatasetConfig, folder: Path, key: str, pool: WorkerPool
) -> list[Digest]:
    """Write the shards that are not there yet, and look into all of them.

    The most work comes first, so that several workers end together: chips of val and test lie apart and share
    no tiles, and a unit of them takes twice as long as one of train.
    """
    order = sorted(range(len(units)), key=lambda number: -units[number].reads)
    windows = sum(unit.windows for unit in units)
    with progress(f"{name}: cut", windows, "chips") as track:
        work = partial(write_shard, config=config, folder=folder, key=key)
        todo = [units[number] for number in order]
        done = pool.map(work, todo, lambda unit: track(unit.windows), windows >= WORTH_WORKERS)
        return [held for _, held in sorted(zip(order, done, strict=True), key=itemgetter(0))]


def write_shard(unit: ShardJob, config: DatasetConfig, folder: Path, key: str) -> Digest:
    """Write the shard of a unit if it is not there yet, and say what it holds."""
    file = folder / unit.file
    if is_finished(file, key):
        return digest(file)
    tally, digester = SkipCounts(), Digester()
    with rasterio.Env(GDAL_CACHEMAX=RASTER_CACHE_BYTES):
        examples = digester.observe(_examples(unit, config, tally))
        write_rows(file, examples, lambda: {"key": key, **tally.facts})
    return digester.digest(file)


@dataclass
class SkipCounts:
    """What was skipped while a shard was filled.

    Attributes:
        chips: Number of windows without a chip, by reason.
        scenes: First reason why windows of a scene could not be read.
    """

    chips: Counter[str] = field(default_factory=Counter)
    scenes: dict[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, dict[str, int] | dict[str, str]]:
        """JSON-ready."""
        return {"skipped_chips": dict(self.chips), "skipped_scenes": self.scenes}


def _examples(unit: ShardJob, config: DatasetConfig, tally: SkipCounts) -> Iterator[Example]:
    """The chips of a unit that hold a question, as they are cut."""
    for piece in unit.pieces:
        name = piece.ground.scene.id
        cutter = attempt("opening what lies near the chips of", name, _cutter, piece, unit, config)
        if isinstance(cutter, AgrilapeError):
            tally.scenes.setdefault(name, cutter.problem)
            tally.chips[UNREADABLE] += len(piece.windows)
            continue
        for window, group in zip(piece.windows, piece.groups, strict=True):
            made = attempt("cutting a chip of", name, _example, cutter, window, config)
            match made:
                case Example():
                    yield Example(_with_block(made.chip, piece.blocks.get(group)), made.samples)
                case AgrilapeError():
                    tally.scenes.setdefault(name, made.problem)
                    tally.chips[UNREADABLE] += 1
                case _:
                    tally.chips[made] += 1


def _cutter(piece: SplitWindows, unit: ShardJob, config: DatasetConfig) -> ChipCutter:
    scene = piece.ground.near(piece.windows)
    scene = replace(scene, frames=keep_tiles(scene, piece.windows))
    others = piece.owners.of_other_splits(scene.parcels, unit.split) if piece.owners else frozenset()
    return ChipCutter(scene, config, others, piece.ground.crops)


def _example(cutter: ChipCutter, window: PixelWindow, config: DatasetConfig) -> Example | str:
    """A chip with its questions, or why there is none."""
    view = cutter.cut(window)
    if isinstance(view, str):
        return view
    rng = random.Random(f"{config.seed}/{view.chip.id}")  # noqa: S311 - not for secrets
    samples = ask(view, config.tasks, config.questions, rng, config.language, config.metadata)
    return Example(view.chip, samples) if samples else "nothing to ask"


def _with_block(chip: Chip, edges: tuple[int, int, int, int] | None) -> Chip:
    """A chip that says which block of its scene it lies in, if that is kept apart from others by a buffer."""
    return chip if edges is None else replace(chip, meta={**chip.meta, "block": list(edges)})


def _finalize(
    name: str,
    config: DatasetConfig,
    key: str,
    folder: Path,
    units: Sequence[ShardJob],
    digests: Sequence[Digest],
    opened: OpenedSource,
) -> Manifest:
    written = [
        WrittenShard(unit.file, unit.split, one, frozenset().union(*(piece.groups for piece in unit.pieces)))
        for unit, one in zip(units, digests, strict=True)
    ]
    pieces = [piece for unit in units for piece in unit.pieces]
    window = whole_window(piece.ground.scene.window for piece in pieces)
    return finalize(name, config, key, folder, written, _origins(pieces), window, opened.problems)


def _origins(pieces: Iterable[SplitWindows]) -> tuple[Origin, ...]:
    scenes: dict[tuple[str, str | None, str | None], set[str]] = defaultdict(set)
    for scene in (piece.ground.scene for piece in pieces):
        scenes[scene.source, scene.meta.get("licence"), scene.meta.get("citation")].add(scene.id)
    return tuple(
        Origin(source=source, scenes=len(ids), licence=licence, citation=citation)
        for (source, licence, citation), ids in scenes.items()
    )


def store_key(config: DatasetConfig) -> str:
    """Hash of all that decides the content of the store."""
    facts = {"format": FORMAT, "config": config.model_dump(mode="json"), "input": fingerprint(config.source)}
    if config.split_by == "published":
        facts["published"] = PUBLISHED
    return hashlib.sha256(json.dumps(in_digests(facts), sort_keys=True).encode()).hexdigest()


def _finished(folder: Path, key: str) -> Manifest | None:
    try:
        manifest = read_manifest(folder)
    except DataError:
        return None
    return manifest if manifest.key == key else None
