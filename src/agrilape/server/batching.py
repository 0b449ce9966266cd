"""Tiles of all requests, answered in common batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from agrilape.dataset.types import Example
from agrilape.evaluate.inference import Answer, Answerer, Decoding
from agrilape.evaluate.predictions import Prediction
from agrilape.serve.asking import AskedImage, decoding_of
from agrilape.serve.predictor import Predictor


@dataclass
class _Item:
    example: Example
    decoding: Decoding
    answer: Future[Answer] = field(default_factory=Future)

    @property
    def key(self) -> tuple[int, str, Decoding]:
        """What can share a batch: as many images, and answers of one length."""
        return len(self.example.chip.pictures), self.example.samples[0].task, self.decoding


class BatchQueue:
    """One thread that answers what has gathered since the last batch, as much alike as fits.

    Args:
        predictor: The model.
        size: Tiles per batch.
        seen: Is told the number of tiles of each batch.
    """

    def __init__(self, predictor: Predictor, size: int, seen: Callable[[int], Any] = lambda _: None) -> None:
        self.predictor, self.size, self.seen = predictor, size, seen
        self._answerers: dict[Decoding, Answerer] = {}
        self._waiting: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Number of tiles that wait."""
        return len(self._waiting)

    def close(self) -> None:
        """Answer what waits, then stop."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._thread.join()

    def submit(self, examples: Sequence[Example], decoding: Decoding) -> list[Future[Answer]]:
        """The answers to come of examples with one question each."""
        items = [_Item(example, decoding) for example in examples]
        with self._changed:
            if not self._open:
                raise RuntimeError("the service is stopping")
            self._waiting.extend(items)
            self._changed.notify()
        return [item.answer for item in items]

    def answer(self, asked: AskedImage, stop: threading.Event | None = None) -> Iterator[list[Prediction]]:
        """The answers of an image's tiles; a batch of them waits at a time, so that others get their turn.

        Args:
            asked: The question.
            stop: Once it is set, no further tile is asked about.
        """
        decoding = decoding_of(asked.tiles.question)
        for start in range(0, len(asked.tiles), self.size):
            if stop is not None and stop.is_set():
                return
            tiles = [asked.tiles[at] for at in range(start, min(start + self.size, len(asked.tiles)))]
            waiting = self.submit(tiles, decoding)
            yield [_prediction(tile, one.result()) for tile, one in zip(tiles, waiting, strict=True)]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._open)
                if not self._waiting:
                    return
                batch = self._take()
            self._answer(batch)

    def _take(self) -> list[_Item]:
        """The one that has waited longest, and others like it, in order."""
        key = self._waiting[0].key
        batch = [item for item in self._waiting if item.key == key][: self.size]
        taken = {id(item) for item in batch}
        self._waiting = deque(item for item in self._waiting if id(item) not in taken)
        return batch

    def _answer(self, batch: list[_Item]) -> None:
        """Answer a batch; where that fails, one by one, so that one bad question harms no other."""
        try:
            answers = self._ask(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for item in batch:
                self._answer([item])
            return
        for item, answer in zip(batch, answers, strict=True):
            item.answer.set_result(answer)

    def _ask(self, batch: list[_Item]) -> list[Answer]:
        decoding = batch[0].decoding
        if decoding not in self._answerers:
            self._answerers[decoding] = Answerer(self.predictor.checkpoint, decoding, self.predictor.device)
            self._answerers[decoding].settle([batch[0].example])
        self.seen(len(batch))
        return self._answerers[decoding]([(item.example, item.example.samples[0]) for item in batch])


def _prediction(tile: Example, one: Answer) -> Prediction:
    return Prediction.of(
        tile.chip, tile.samples[0], one.read.parts, one.text, one.read.problems, one.intervals, one.confidence
    )
