"""A question about an image, as tiles to answer; and what their answers come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import torch

from agrilape import __version__
from agrilape.dataset.tasks import TASKS
from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.calibrator import UNCALIBRATED, Calibrator
from agrilape.evaluate.inference import Decoding, predict_samples
from agrilape.evaluate.metrics.captions import find_number
from agrilape.evaluate.predictions import Prediction
from agrilape.model import Checkpoint
from agrilape.serve.features import Found, determination, features_of
from agrilape.serve.question import Question, understand, verbatim
from agrilape.serve.tiles import OVERLAP, Tiles
from agrilape.serve.training_questions import MOST_SCALE, Training, TrainingQuestions, scale
from agrilape.sources.scene import Frame, Scene


@dataclass(frozen=True)
class AskSettings:
    """How an image is asked about.

    Attributes:
        composite: How bands become colours; None: as in training.
        overlap: Share of a tile that its neighbours repeat, in [0, 0.9].
        tile: Side of a tile in pixels; None: as in training.
        acquired: Date of the image, if it does not say; of several dates, the one to look at.
        min_confidence: Least confidence of a feature, 0 to 1; None: the best on the val split, if known.
        word_for_word: Ask the model the question as it stands.
    """

    composite: str | None = None
    overlap: float = OVERLAP
    tile: int | None = None
    acquired: date | None = None
    min_confidence: float | None = None
    word_for_word: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that make no sense, before any work is done."""
        if not 0 <= self.overlap <= 0.9:
            raise RecipeError(
                f"an overlap of {self.overlap} makes no sense", "give a share of a tile from 0 to 0.9"
            )
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise RecipeError(
                f"a confidence of {self.min_confidence} makes no sense", "give a number from 0 to 1"
            )


@dataclass(frozen=True)
class AskedImage:
    """A question about one image: its tiles, and how their answers become features.

    Attributes:
        tiles: The tiles, each with the question.
        facts: Properties of every feature.
        calibrator: What confidences mean.
        least: Least confidence of a feature.
        notes: What was decided in reading image and question.
        doubts: Why the answer may mean little.
    """

    tiles: Tiles
    facts: dict[str, Any]
    calibrator: Calibrator = UNCALIBRATED
    least: float = 0.0
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = field(default=())

    def found(self, rows: Sequence[Prediction]) -> Found:
        """The features of the tiles' answers, joined over those that are given."""
        return features_of(rows, self.tiles, self.facts, self.calibrator, self.least)

    def summary(self, found: Found, rows: Sequence[Prediction]) -> str:
        """The answer in a sentence."""
        features, question = found.features, self.tiles.question
        asked = f"{len(self.tiles)} tile{'s' * (len(self.tiles) > 1)}"
        if self.tiles.blank:
            asked += f" ({self.tiles.blank} without imagery skipped)"
        if counts_tiles(question):
            return f"{_sum_of(rows, question)} (sum over {asked}; what their edges cut counts twice)"
        if question.total == "count":
            return f"{len(features)} on the whole map ({asked}, {found.ground} in all)"
        if question.total == "hectares":
            return f"{found.ground} on the whole map ({asked}, {len(features)} found)"
        if not features:
            return f"nothing found in {asked}"
        if "answer" in features[0].properties:
            said = Counter(feature.properties["answer"] for feature in features).most_common(5)
            return f"{asked}: " + "; ".join(f"{answer} ({n})" for answer, n in said) + "; by tile"
        return f"{len(features)} found in {asked}, {found.ground} in all"


def ask_image(
    scene: Scene,
    question: str,
    checkpoint: Checkpoint,
    training: Training,
    calibrator: Calibrator,
    settings: AskSettings,
    name: str,
) -> AskedImage:
    """Put a question about a scene as the model was taught to be asked.

    Args:
        scene: The image; without a georeference, places are in pixels.
        question: In one's own words.
        checkpoint: The model that will answer.
        training: What it was taught.
        calibrator: What its confidences mean.
        settings: How the scene is asked about.
        name: What the model is called in the answer.

    Raises:
        DataError: The question is not understood, or its place or date is not in the scene, or that shows
            nothing.
    """
    notes: list[str] = []
    asked = verbatim(question) if settings.word_for_word else _understood(question, training, notes)
    notes += scene.meta.get("notes", ())
    frames = _frames(scene, asked, settings.acquired or asked.day)
    gsd = scene.georeference.gsd_m if scene.georeference else None
    taught = training.questions(checkpoint, asked.task, gsd, frames[0].bands)
    if settings.tile is not None:
        taught = replace(taught, side=settings.tile)
    shown = settings.composite or taught.composite
    notes.append(_decision(taught, shown, gsd, len(frames)))
    tiles = Tiles(scene, frames, asked, taught, 0.0 if counts_tiles(asked) else settings.overlap, shown)
    details = f"agrilape {__version__}, {name}: {asked.text(taught.language)}"
    least = calibrator.threshold(asked.task) if settings.min_confidence is None else settings.min_confidence
    facts = determination(settings.acquired or frames[-1].acquired, details)
    return AskedImage(tiles, facts, calibrator, least, tuple(notes), tuple(_doubts(tiles, checkpoint, name)))


def decoding_of(question: Question) -> Decoding:
    """Coordinates that can be drawn, finer than a token; boxes where the task was taught with boxes."""
    task = TASKS.get(question.task or "")
    boxes = task is not None and task.answer in ("box", "boxes")
    return Decoding(soft_argmax=True, constrained_decoding=True, outlines=not boxes)


def answer_tiles(
    checkpoint: Checkpoint, tiles: Tiles, batch_size: int, device: torch.device | None = None
) -> Iterator[list[Prediction]]:
    """The answer of each tile, batch by batch, in no order."""
    return predict_samples(
        checkpoint, tiles, batch_size=batch_size, decoding=decoding_of(tiles.question), device=device
    )


def counts_tiles(question: Question) -> bool:
    """Are numbers that tiles answer added up? They must not overlap then."""
    return question.total is not None and question.task in ("count", "crop_area")


def _understood(text: str, training: Training, notes: list[str]) -> Question:
    """The question as the model can be asked it; notes where that is not what was asked."""
    question = understand(text, training.crops)
    asked = question.for_model(training)
    wording = asked.text()
    if asked.crop != question.crop:
        notes.append(f"the model knows {question.crop} as {asked.crop}")
    if wording.casefold().strip(".?") != text.strip().casefold().strip(".?"):
        notes.append(f"asked as: {wording}")
    return asked


def _frames(scene: Scene, question: Question, acquired: date | None) -> tuple[Frame, ...]:
    """All dates for a question about time; else the one that is asked for, or the last."""
    if len(scene.frames) == 1 or (question.about_time and scene.window):
        return scene.frames
    if acquired is None:
        return scene.frames[-1:]
    chosen = tuple(frame for frame in scene.frames if frame.acquired == acquired)
    if not chosen:
        dates = ", ".join(str(frame.acquired) for frame in scene.frames)
        raise DataError(f"{scene.id} has no image of {acquired}", f"choose one of: {dates}")
    return chosen


def _decision(taught: TrainingQuestions, composite: str, gsd: float | None, dates: int) -> str:
    """How the image is shown, and after which data set, in one line."""
    like = f"as in data set {taught.name}" if taught.name else "as the model's input suggests"
    pixels = "" if taught.gsd is None else f" of {taught.gsd[0]:.3g}"
    if taught.gsd is not None and taught.gsd[1] - taught.gsd[0] > 0.01 * taught.gsd[1]:
        pixels += f" to {taught.gsd[1]:.3g}"
    trained = f" ({pixels.strip()} m in training)" if pixels else ""
    shown = "one date" if dates == 1 else f"{dates} dates"
    size = "unknown size" if gsd is None else f"{gsd:.3g} m"
    return f"asked {like}: {composite}, {shown}, tiles of {taught.side} px, pixels of {size}{trained}"


def _doubts(tiles: Tiles, checkpoint: Checkpoint, name: str) -> Iterator[str]:
    """Why an answer may mean little: the model was taught something else."""
    taught, question = tiles.taught, tiles.question
    gsd = tiles.scene.georeference.gsd_m if tiles.scene.georeference else None
    if checkpoint.config is None and checkpoint.coordinates == "position_tokens":
        yield f"{name} has no LAPE: places and times are asked and answered as text"
    if taught.gsd and gsd and scale(taught.gsd, gsd) > MOST_SCALE:
        nearest = min(max(gsd, taught.gsd[0]), taught.gsd[1])
        yield f"a pixel of the image is {gsd:.3g} m, but {nearest:.3g} m in training: answers mean little"
    if not taught.task:
        yield f"the model was not taught to answer this (task {question.task}): answers mean little"


def _sum_of(rows: Sequence[Prediction], question: Question) -> str:
    """Numbers that tiles answered, added up."""
    said = ("".join(part for part in row.prediction if isinstance(part, str)) for row in rows)
    total = sum(number for text in said if (number := find_number(text)) is not None)
    return f"{total:.0f}" if question.total == "count" else f"{total:.2f} ha"
