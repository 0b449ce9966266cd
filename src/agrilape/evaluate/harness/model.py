"""Our checkpoints as a model of lmms-eval: `--model agrilape --model_args checkpoint=runs/quickstart`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from accelerate import Accelerator
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import ModelError
from agrilape.evaluate.collect import processes
from agrilape.evaluate.harness.bracket_text import write_parts
from agrilape.evaluate.harness.tasks import row_of
from agrilape.evaluate.inference import MAX_NEW_TOKENS, Answerer, Decoding
from agrilape.model import find_checkpoint, load_checkpoint


class Agrilape(lmms):  # type: ignore[misc]  # lmms-eval is untyped
    """Answers the harness's requests.

    Questions exported by `agrilape export --format lmms` are asked in the model's own notation; those of
    other tasks as they are worded, about their images. Answers are written with numbers in brackets.

    Args:
        checkpoint: A checkpoint, or a run folder, of which the last stage is taken.
        batch_size: Questions per batch.
        constrained_decoding: Write only well-formed coordinates.
        soft_argmax: Read each position from the distribution over its axis.
    """

    def __init__(
        self,
        checkpoint: str,
        batch_size: int | str = 16,
        constrained_decoding: bool = False,
        soft_argmax: bool = False,
        **ignored: Any,
    ) -> None:
        super().__init__()
        soft_argmax = soft_argmax or bool(ignored.get("expectation"))  # as it was called before 0.2
        constrained_decoding = constrained_decoding or bool(ignored.get("constrained"))
        process = processes()
        self._rank, self._world_size = process.process_index, process.num_processes
        if self._world_size > 1:
            self.accelerator = Accelerator()
        self._batch_size = int(batch_size)
        self._decoding = Decoding(
            soft_argmax=bool(soft_argmax), constrained_decoding=bool(constrained_decoding)
        )
        self._answerer = Answerer(load_checkpoint(find_checkpoint(Path(checkpoint))), self._decoding)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answers to requests, in their order; alike ones share a batch."""
        asked = [self._example(request) for request in requests]
        limits = [request.args[1].get("max_new_tokens") or MAX_NEW_TOKENS for request in requests]
        kinds = [
            (limit, len(example.chip.pictures)) for limit, (example, _) in zip(limits, asked, strict=True)
        ]
        answers = [""] * len(requests)
        for batch in _alike(kinds, self._batch_size):
            self._answerer.decoding = self._decoding._replace(max_new_tokens=limits[batch[0]])
            for index, answer in zip(batch, self._answerer([asked[i] for i in batch]), strict=True):
                answers[index] = _until(write_parts(answer.read.parts), requests[index].args[1].get("until"))
        return answers

    def loglikelihood(self, requests: list[Instance]) -> NoReturn:
        """Not offered: our answers are generated."""
        raise ModelError("agrilape answers by generation", "choose tasks with output_type generate_until")

    def generate_until_multi_round(self, requests: list[Instance]) -> NoReturn:
        """Not offered: our models are trained on single questions."""
        raise ModelError("agrilape answers single questions", "choose tasks with output_type generate_until")

    def _example(self, request: Instance) -> tuple[Example, Sample]:
        context, _, to_visual, number, task, split = request.args
        document = self.task_dict[task][split][number]
        if {"row", "images", "dates"} <= set(document):
            return _own(document)
        pictures = tuple(Picture(_png(image)) for image in to_visual(document) or ())
        chip = Chip(f"{task}/{number}", task, task, pictures)
        sample = Sample(chip.id, chip.id, task, (context.replace("<image>", "").strip(),), ())
        return Example(chip, (sample,)), sample


def _own(document: dict[str, Any]) -> tuple[Example, Sample]:
    """A question of ours, exactly as `agrilape evaluate` asks it."""
    row = row_of(document)
    dates = [date.fromisoformat(day) if day else None for day in document["dates"]]
    pictures = tuple(map(Picture, document["images"], dates))
    chip = Chip(row.chip, row.scene, row.source, pictures, row.georeference, row.window, row.meta)
    sample = Sample(row.id, row.chip, row.task, row.question, row.answer, row.truth)
    return Example(chip, (sample,)), sample


def _alike(kinds: Sequence[Any], size: int) -> list[list[int]]:
    """Places of questions in batches that hold one kind only."""
    batches: list[list[int]] = []
    for place in sorted(range(len(kinds)), key=lambda place: kinds[place]):
        if not batches or kinds[batches[-1][0]] != kinds[place] or len(batches[-1]) == size:
            batches.append([])
        batches[-1].append(place)
    return batches


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def _until(text: str, stops: Sequence[str] | str | None) -> str:
    """A text up to the first of the stop words."""
    for stop in [stops] if isinstance(stops, str) else stops or ():
        text = text.split(stop)[0] if stop else text
    return text
