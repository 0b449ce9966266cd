"""A checkpoint asked about whole maps, through the code of `agrilape predict`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

from agrilape.errors import DataError
from agrilape.evaluate.calibrator import Calibrator, read_calibrator
from agrilape.evaluate.predictions import Prediction
from agrilape.maps.field_map import FieldMap, MapQuestion
from agrilape.model import Checkpoint, load_checkpoint
from agrilape.serve.asking import answer_tiles
from agrilape.serve.features import calibrated, objects_of
from agrilape.serve.question import Question
from agrilape.serve.tiles import OVERLAP, Tiles
from agrilape.serve.training_questions import Training, TrainingQuestions, training_of

TAUGHT_AS = {"map_fields": "field_boxes", "map_crop": "crop_boxes", "map_absent_crop": "crop_boxes"}
"""The task of training whose wording asks for it."""


class MapAsker:
    """Asks a checkpoint, which is loaded when it is first asked.

    Args:
        folder: The checkpoint, `stages/<n>-<name>` of its run.
        batch_size: Tiles that it answers at once.
    """

    def __init__(self, folder: Path, batch_size: int) -> None:
        self.folder, self.batch_size = folder, batch_size

    @cached_property
    def model(self) -> Checkpoint:
        """Model and processor."""
        return load_checkpoint(self.folder)

    def __call__(self, field_map: FieldMap, questions: Sequence[MapQuestion]) -> list[Prediction | None]:
        """The rows of its answers; none to questions of a kind that it was never taught."""
        return [self._answer(field_map, one) for one in questions if self._taught(field_map, one.task).task]

    @cached_property
    def calibrator(self) -> Calibrator:
        """What its confidences mean."""
        return read_calibrator(self.folder)

    @cached_property
    def training(self) -> Training:
        """What taught it."""
        return training_of(self.folder)

    def _answer(self, field_map: FieldMap, question: MapQuestion) -> Prediction:
        """The row of an answer; all that is found, with what must be said to be sure enough."""
        asked = self._asked(question)
        if asked is None:
            return field_map.row(question, [], [], {"refused": True})
        taught = self._taught(field_map, question.task)
        tiles = Tiles(field_map.scene, (field_map.frame,), asked, taught, OVERLAP, taught.composite)
        rows = list(chain.from_iterable(answer_tiles(self.model, tiles, self.batch_size)))
        objects, _ = objects_of(calibrated(rows, self.calibrator), tiles)
        facts = {
            "tiles": len(tiles),
            "unreadable": sum(bool(row.problems) for row in rows),
            "least": self.calibrator.threshold(asked.task),
        }
        confidence = [round(one.confidence, 4) for one in objects]
        return field_map.row(question, [one.outline for one in objects], confidence, facts)

    def _asked(self, question: MapQuestion) -> Question | None:
        """The question as the model is asked it; None if it is refused, being about a crop never learnt."""
        try:
            return Question(question.text, form=TAUGHT_AS[question.task], crop=question.crop).for_model(
                self.training
            )
        except DataError:
            return None

    def _taught(self, field_map: FieldMap, task: str) -> TrainingQuestions:
        """How the model was taught to be asked about ground like this."""
        georeference = field_map.scene.georeference
        gsd = georeference.gsd_m if georeference else field_map.scene.meta.get("gsd_m")
        return self.training.questions(self.model, TAUGHT_AS[task], gsd, field_map.frame.bands)
