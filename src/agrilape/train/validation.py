"""Validation every so many steps while a stage trains: the learning curve of a held-out score."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from agrilape.model import Checkpoint
from agrilape.train.acceleration import slowed_down
from agrilape.train.log import keep_rows

CURVE = "curve.jsonl"


@dataclass(frozen=True)
class ValidationPlan:
    """What is looked at, and how often.

    Attributes:
        every: Steps between validations; the last step of a stage always is one.
        score: Scores a model as it is, by name; must leave it and the random generators unchanged.
    """

    every: int
    score: Callable[[Checkpoint], Mapping[str, float]]


class ValidationCallback(TrainerCallback):  # type: ignore[misc]  # Any: transformers is not analysed
    """Scores the model during one stage and writes its `curve.jsonl`, one row per validation.

    Args:
        validation: What to score, and when.
        checkpoint: The model in training, with its processor.
        path: The `curve.jsonl`.
        resumed: Steps finished before; later validations of an earlier attempt are taken back.
    """

    def __init__(self, validation: ValidationPlan, checkpoint: Checkpoint, path: Path, resumed: int) -> None:
        self.validation, self.checkpoint, self.path = validation, checkpoint, path
        self._seconds = 0.0
        keep_rows(path, resumed)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look, where it is time to."""
        step = state.global_step
        if step % self.validation.every and step != args.max_steps:
            return
        began = time.perf_counter()
        with slowed_down(self.checkpoint.model):
            row = {"step": step, **self.validation.score(self.checkpoint)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._seconds += time.perf_counter() - began

    def take_seconds(self) -> float:
        """Time that validation has taken since the last call: it is no training time."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds
