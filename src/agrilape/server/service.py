"""What the endpoints do, apart from HTTP: questions, jobs and images on one model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agrilape import logfile
from agrilape.errors import AgrilapeError
from agrilape.evaluate.inference import Answer
from agrilape.evaluate.predictions import Prediction
from agrilape.io.json_text import parse_json
from agrilape.serve.asking import AskedImage, AskSettings, decoding_of
from agrilape.serve.geofile import geojson
from agrilape.serve.predictor import Predictor, with_place
from agrilape.serve.question import verbatim
from agrilape.server.answers import answer_json
from agrilape.server.batching import BatchQueue
from agrilape.server.chat import ChatRequest, chat_example
from agrilape.server.images import Images
from agrilape.server.jobs import Jobs
from agrilape.server.metrics import Metrics
from agrilape.server.problems import RequestError, busy
from agrilape.server.settings import ServerSettings


class AskOptions(BaseModel):
    """How an image is asked about; as the options of `agrilape predict`."""

    model_config = ConfigDict(extra="forbid")

    at: tuple[float, float] | None = Field(None, description="Longitude and latitude in degrees.")
    min_confidence: float | None = Field(None, ge=0, le=1, description="Leave out what is less sure.")
    composite: str | None = Field(None, max_length=100, description="How bands become colours.")
    acquired: date | None = Field(None, description="Of several dates, the one to look at.")
    overlap: float = Field(0.25, ge=0, le=0.9, description="Share of a tile that its neighbours repeat.")
    tile: int | None = Field(None, ge=32, le=4096, description="Side of a tile in pixels.")

    def settings(self) -> AskSettings:
        """The same for `Predictor`."""
        return AskSettings(self.composite, self.overlap, self.tile, self.acquired, self.min_confidence)


class Service:
    """One model, its queue of tiles, its jobs and its images.

    Args:
        predictor: The model.
        settings: Limits and folders.
    """

    def __init__(self, predictor: Predictor, settings: ServerSettings) -> None:
        self.predictor, self.settings = predictor, settings
        self.metrics = Metrics(lambda: len(self.queue))
        self.queue = BatchQueue(predictor, settings.batch_size, self.metrics.batches.observe)
        self.images = Images(
            settings.images, settings.state / "uploads", settings.most_pixels, settings.keep_uploads_s
        )
        self.jobs = Jobs(settings.state / "jobs.sqlite")
        self.stopping = threading.Event()
        self._wake = threading.Event()
        self._partial: dict[str, list[dict[str, Any]]] = {}
        self._places = threading.Semaphore(settings.most_waiting)
        self._worker = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Finish what is being answered; a job that is not done is begun again at the next start."""
        self.stopping.set()
        self._wake.set()
        self._worker.join()
        self.queue.close()

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places of requests that wait for an answer.

        Raises:
            RequestError: All are taken (429).
        """
        if not self._places.acquire(blocking=False):
            raise busy()
        try:
            yield
        finally:
            self._places.release()

    def chat(self, request: ChatRequest) -> Answer:
        """The answer to a conversation."""
        example = chat_example(request, self.predictor.training, self.settings.most_pixels)
        (waiting,) = self.queue.submit([example], decoding_of(verbatim("")))
        return waiting.result(timeout=self.settings.timeout_s)

    def ask(self, path: Path, question: str, options: AskOptions, stop: threading.Event) -> dict[str, Any]:
        """The answer to a question about an image, as GeoJSON with `question`, `summary` and `notes`."""
        with self._asked(path, question, options) as asked:
            if len(asked.tiles) > self.settings.most_tiles:
                raise RequestError(
                    413,
                    f"{len(asked.tiles)} tiles are too many to wait for: at most {self.settings.most_tiles}",
                    "POST /v1/jobs asks about large images",
                )
            return answer_json(asked, [row for rows in self.queue.answer(asked, stop) for row in rows])

    @contextmanager
    def _asked(self, path: Path, question: str, options: AskOptions) -> Iterator[AskedImage]:
        with self.images.open(path) as scene:
            try:
                yield self.predictor.asked(scene, with_place(question, options.at), options.settings())
            except RequestError:
                raise
            except AgrilapeError as error:
                raise RequestError(422, error.problem, error.remedy) from error

    def add_job(self, image: str, question: str, options: AskOptions) -> str:
        """Queue a question about an image of a name; returns the job's id.

        Raises:
            RequestError: There is no such image, or too many jobs wait.
        """
        self.images.path(image)
        if self.jobs.open_jobs() >= self.settings.most_jobs:
            raise busy()
        name = self.jobs.add(image, question, options.model_dump(mode="json"))
        self._wake.set()
        return name

    def job(self, name: str) -> dict[str, Any]:
        """What is known of a job.

        Raises:
            RequestError: There is none.
        """
        found = self.jobs.get(name)
        if found is None:
            raise RequestError(404, f"there is no job {name[:40]!r}", "POST /v1/jobs makes one")
        return found

    def partial(self, name: str, start: int) -> list[dict[str, Any]]:
        """What tiles of a running job answered, from a place in their order on."""
        return self._partial.get(name, [])[start:]

    def _work(self) -> None:
        while not self.stopping.is_set():
            row = self.jobs.take()
            if row is None:
                self._wake.wait(timeout=1.0)
                self._wake.clear()
                continue
            self._run(row["id"], row["image"], row["question"], AskOptions(**parse_json(row["settings"])))

    def _run(self, name: str, image: str, question: str, options: AskOptions) -> None:
        """Answer a job; whatever goes wrong is noted on it."""
        self._partial = {name: []}
        try:
            with self._asked(self.images.path(image), question, options) as asked:
                found = self._answer(name, asked)
        except AgrilapeError as error:
            self._end(name, "failed", error=str(error))
        except Exception as error:
            logfile.record(error)
            self._end(name, "failed", error="something went wrong; the service's log has it")
        else:
            if found is not None:
                notes = json.dumps(found.pop("notes") + found.pop("doubts"))
                self._end(name, "done", summary=found["summary"], notes=notes, result=json.dumps(found))

    def _answer(self, name: str, asked: AskedImage) -> dict[str, Any] | None:
        """The answer as GeoJSON; None if the service stops before."""
        rows: list[Prediction] = []
        self.jobs.update(name, total=len(asked.tiles), done=0)
        for batch in self.queue.answer(asked, self.stopping):
            rows += batch
            grid = asked.tiles.georeference
            self._partial[name] += [geojson(asked.found([row]).features, grid) for row in batch]
            self.jobs.update(name, done=len(rows))
        return answer_json(asked, rows) if len(rows) == len(asked.tiles) else None

    def _end(self, name: str, status: str, **facts: Any) -> None:
        self.jobs.update(name, status=status, **facts)
        self.metrics.jobs.labels(status).inc()
