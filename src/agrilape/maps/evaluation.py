"""All maps of an evaluation: answered and kept map by map, so that a killed evaluation goes on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from agrilape import __version__
from agrilape.config import Recipe
from agrilape.console import progress, say
from agrilape.dataset.manifest import read_manifest
from agrilape.errors import AgrilapeError
from agrilape.evaluate.collect import predictions_key, processes
from agrilape.evaluate.evaluation import MapAnswers, last_checkpoint
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.suites import map_tasks, suite_of
from agrilape.files import path_inside, write_json
from agrilape.io.json_text import read_json_if_sound
from agrilape.maps import segments
from agrilape.maps.asking import MapAsker
from agrilape.maps.field_map import FieldMap, MapQuestion, read_map
from agrilape.maps.picture import keep_picture
from agrilape.prepare.from_release import is_published
from agrilape.prepare.split_ground import OpenedGround, SplitGround, open_ground
from agrilape.skips import attempt

FORMAT = 1  # raise it when the same map and checkpoint give other rows
MODEL = "model"
NO_BASELINE = "install agrilape[baselines] to set segments of the picture beside the model's maps"
NO_SCENES = "a release of questions has no scenes"

Answerer: TypeAlias = Callable[[FieldMap, Sequence[MapQuestion]], list[Prediction | None]]
"""The rows of answers to questions about a map; None for a question that it has no answer to."""


def ask_maps(recipe: Recipe, run: Path, checkpoint: Path | None = None) -> MapAnswers:
    """Ask the last stage's checkpoint about every whole scene of the evaluated split, and segments beside it.

    Answers are kept below `evaluation/maps` map by map; of several processes each asks its share. What cannot
    be scored is counted by reason.

    Args:
        recipe: What the run was made from; `recipe.evaluation` says what is measured.
        run: Run folder with `data/`, `scenes/` and `stages/`.
        checkpoint: Another checkpoint, such as the one that ships, whose own run says how it was taught.

    Raises:
        DataError: The source of a data set has changed since it was prepared.
        RecipeError: There is no trained stage.
    """
    checkpoint = checkpoint or last_checkpoint(recipe, run)
    asker = MapAsker(checkpoint, recipe.evaluation.batch_size)
    found = _collect(
        recipe, run, {MODEL: (predictions_key(recipe.evaluation, run / "data", checkpoint), asker)}
    )
    for reason, count in found.left_out.items():
        say(f"maps: {count:,} skipped: {reason}")
    guesses = found.rows[segments.NAME]
    own = [(row, guess) for row, guess in zip(found.rows[MODEL], guesses, strict=True) if row]
    baselines = {segments.NAME: [guess for _, guess in own]} if any(guesses) else {}
    return MapAnswers([row for row, _ in own], baselines, dict(found.left_out))


def guess_maps(recipe: Recipe, run: Path) -> list[Prediction]:
    """The rows of the baseline alone; no checkpoint is needed."""
    return [row for row in _collect(recipe, run, {}).rows[segments.NAME] if row]


@dataclass
class _Collected:
    """Rows of each who answered, to the same questions in the same order, and what was skipped by reason."""

    rows: dict[str, list[Prediction | None]]
    left_out: Counter[str] = field(default_factory=Counter)


def _collect(recipe: Recipe, run: Path, askers: Mapping[str, tuple[str, Answerer]]) -> _Collected:
    found = _Collected({name: [] for name in (*askers, segments.NAME)})
    guessing = segments.is_installed()
    if not guessing:
        say(NO_BASELINE)
    for name in recipe.evaluation.datasets:
        if is_published(recipe.datasets[name]):
            found.left_out[f"{name}: {NO_SCENES}"] += 1
            continue
        with ExitStack() as stack:
            maps = _DatasetMaps(recipe, run, name, stack)
            guesser = {segments.NAME: ("", maps.guess)} if guessing else {}
            for ground in maps.finish({**askers, **guesser}):
                maps.add(ground, found)
    return found


class _DatasetMaps:
    """The maps of one data set.

    Args:
        recipe: The recipe.
        run: The run folder.
        name: The data set.
        stack: Where opened ground is closed again.
    """

    def __init__(self, recipe: Recipe, run: Path, name: str, stack: ExitStack) -> None:
        self.recipe, self.run, self.name, self._stack = recipe, run, name, stack
        self.config, self.settings = recipe.datasets[name], recipe.evaluation
        self.ground = self._open(name)
        self.grounds = _spread(self.ground.of(self.settings.split), suite_of(self.settings).limit)

    def finish(self, answerers: Mapping[str, tuple[str, Answerer]]) -> Sequence[SplitGround]:
        """Write the answers that are not there yet; returns the ground of all maps, in order.

        Args:
            answerers: By name, what its answers depend on beyond the maps, and who answers.
        """
        process = processes()
        own = self.grounds[process.process_index :: process.num_processes]
        with progress(f"{self.name}: maps", len(own), "maps") as track:
            for ground in own:
                opened = _Opened(self.name, ground)
                for who, (key, answerer) in answerers.items():
                    self._finish(opened, who, self._key(key), answerer)
                track()
        process.wait_for_everyone()
        return self.grounds

    def add(self, ground: SplitGround, found: _Collected) -> None:
        """Add the rows of a map: of every question that anybody answered, one of each."""
        records = {who: read_json_if_sound(self._file(ground, who)) for who in found.rows}
        for reason in {str(record["left_out"]) for record in records.values() if "left_out" in record}:
            found.left_out[f"{self.name}: {reason}"] += 1
        rows = {who: {row["id"]: row for row in record.get("rows", ())} for who, record in records.items()}
        for name in dict.fromkeys(name for answered in rows.values() for name in answered):
            for who, answered in rows.items():
                found.rows[who].append(Prediction.from_json(answered[name]) if name in answered else None)

    def guess(self, field_map: FieldMap, questions: Sequence[MapQuestion]) -> list[Prediction | None]:
        """What segments of the picture answer; nothing where there is nothing to fit them on."""
        return self._baseline.answer(field_map, questions) if self._baseline else []

    @cached_property
    def _baseline(self) -> segments.SegmentBaseline | None:
        maps = list(islice(self._train_maps(), segments.MOST_MAPS))
        if not maps:
            say(f"{self.name}: no whole map in the train split, so that no baseline is fitted for maps")
            return None
        shrink = max(self.config.chip / (self.config.image_size or self.config.chip), 1.0)
        return segments.fit(maps, self.config.composite, shrink)

    def _train_maps(self) -> Iterator[FieldMap]:
        """Maps of the train split, in no order of place."""
        grounds = [
            (name, one)
            for name in self.settings.fitted_on or (self.name,)
            for one in (self.ground if name == self.name else self._open(name)).of("train")
        ]
        for n in np.random.default_rng(0).permutation(len(grounds)).tolist():
            found = attempt("opening the map", grounds[n][1].name, read_map, *grounds[n])
            if isinstance(found, FieldMap):
                yield found

    def _open(self, name: str) -> OpenedGround:
        config, folder = self.recipe.datasets[name], self.run / "data" / name
        return self._stack.enter_context(open_ground(name, config, folder, self.run / "scenes"))

    def _finish(self, opened: _Opened, who: str, key: str, answerer: Answerer) -> None:
        path = self._file(opened.ground, who)
        if read_json_if_sound(path).get("key") == key:
            return
        rows = attempt("answering about the map", opened.ground.name, self._rows, opened, answerer)
        said = (
            {"rows": [row.to_json() for row in rows if row]}
            if isinstance(rows, list)
            else {"left_out": rows.problem if isinstance(rows, AgrilapeError) else rows}
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"key": key, **said})

    def _rows(self, opened: _Opened, answerer: Answerer) -> list[Prediction | None] | str:
        """The answers about a map, or why it is skipped."""
        if isinstance(opened.map, str):
            return opened.map
        keep_picture(self.run / "evaluation" / "images", opened.map, self.config.composite)
        questions = opened.map.questions(
            self.config.language, self.ground.crops, self.settings.crops_per_map, self.config.seed
        )
        tasks = map_tasks(self.settings)
        return answerer(opened.map, [one for one in questions if one.task in tasks])

    def _file(self, ground: SplitGround, who: str) -> Path:
        folder = self.run / "evaluation" / "maps" / self.name
        return path_inside(folder, f"{ground.name}.{who}.json", "the name of a map")

    def _key(self, key: str) -> str:
        names = dict.fromkeys((self.name, *(self.settings.fitted_on or ())))
        facts = {
            "format": FORMAT,
            "version": __version__,
            "answers": key,
            "data": [read_manifest(self.run / "data" / name).key for name in names],
            "asked": [map_tasks(self.settings), self.settings.crops_per_map],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass
class _Opened:
    """A map, opened when it is first looked at."""

    name: str
    ground: SplitGround

    @cached_property
    def map(self) -> FieldMap | str:
        """The map, or why it cannot be scored."""
        return read_map(self.name, self.ground)


def _spread(grounds: Sequence[SplitGround], limit: int | None) -> Sequence[SplitGround]:
    """At most so many, spread evenly."""
    if limit is None or len(grounds) <= limit:
        return grounds
    return [grounds[n] for n in np.linspace(0, len(grounds) - 1, limit).round().astype(int).tolist()]
