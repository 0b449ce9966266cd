"""The endpoints of a service."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile as AnyUpload

from agrilape import __version__
from agrilape.errors import AgrilapeError
from agrilape.serve.question import known_questions
from agrilape.server import guards
from agrilape.server.chat import ChatRequest, chunks, completion
from agrilape.server.downloads import geopackage_bytes
from agrilape.server.images import SUFFIXES, describe, scene_of
from agrilape.server.map_tiles import render_tile
from agrilape.server.page_files import PAGE, page_file
from agrilape.server.problems import RequestError
from agrilape.server.service import AskOptions, Service

ResultT = TypeVar("ResultT")
ImageName = Annotated[str, Query(description="Name of an image, as GET /v1/images lists it.", max_length=500)]
_PIECE = 1 << 20
_REASONS = {
    400: "Not readable as a request.",
    401: "The key is missing or wrong.",
    403: "From another site's page.",
    404: "There is no such thing.",
    413: "Too large.",
    422: "Not what is expected; `error.message` says why.",
    429: "Busy: come again.",
    504: "It took too long.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/json": {"schema": {"type": "object"}}}}
    for status, words in _REASONS.items()
}


class JobRequest(BaseModel):
    """A question about a whole image."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(description="Name of an image, as GET /v1/images lists it.", max_length=500)
    question: str = Field(description="In one's own words.", min_length=1, max_length=2000)
    options: AskOptions = Field(default_factory=AskOptions)


def make_app(service: Service) -> FastAPI:
    """The endpoints over a service.

    Args:
        service: Is closed with the app.
    """
    pool = ThreadPoolExecutor(service.settings.most_waiting + 8, thread_name_prefix="requests")

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.get_running_loop().run_in_executor(None, service.close)
        pool.shutdown(wait=False)

    app = FastAPI(
        title="agrilape", version=__version__, lifespan=life, responses=ERRORS, redoc_url=None,
        description="Questions about images of farmland, answered on the map.",
    )  # fmt: skip
    guards.install(app, service.settings, service.metrics)
    _add_chat(app, service, pool)
    _add_questions(app, service, pool)
    _add_images(app, service, pool)
    _add_page(app, service)
    return app


async def _waited(
    service: Service, pool: ThreadPoolExecutor, work: Callable[[threading.Event], ResultT]
) -> ResultT:
    """What a thread answers, within the time and the places that there are.

    Raises:
        RequestError: All places are taken (429), or it took too long (504).
    """
    stop = threading.Event()

    def run() -> ResultT:
        return work(stop)

    with service.place():
        try:
            loop = asyncio.get_running_loop()
            return await asyncio.wait_for(loop.run_in_executor(pool, run), service.settings.timeout_s)
        except TimeoutError as error:
            raise RequestError(504, "the answer took too long", "ask as a job: POST /v1/jobs") from error
        finally:
            stop.set()


def _add_chat(app: FastAPI, service: Service, pool: ThreadPoolExecutor) -> None:
    name = service.predictor.name

    @app.get("/v1/models", tags=["openai"])
    def models() -> dict[str, Any]:
        """The one model that answers."""
        return {
            "object": "list",
            "data": [{"id": name, "object": "model", "created": 0, "owned_by": "agrilape"}],
        }

    @app.post("/v1/chat/completions", tags=["openai"])
    async def chat_completions(request: ChatRequest) -> Any:
        """Answer a question about images without a map; places are fractions of the image."""
        answer = await _waited(service, pool, lambda _: service.chat(request))
        if not request.stream:
            return completion(answer, name)
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks(answer, name)] + ["data: [DONE]\n\n"]
        return StreamingResponse(iter(events), media_type="text/event-stream")


def _add_questions(app: FastAPI, service: Service, pool: ThreadPoolExecutor) -> None:
    @app.get("/v1/questions", tags=["map"])
    def questions() -> list[str]:
        """Questions that the model knows, with placeholders in braces."""
        return known_questions()

    @app.post("/v1/ask", tags=["map"])
    async def ask(
        question: Annotated[str, Form(min_length=1, max_length=2000)],
        image: Annotated[
            str | None, Form(description="Name of an image, as GET /v1/images lists it.", max_length=500)
        ] = None,
        file: Annotated[UploadFile | None, File(description="Or a GeoTIFF.")] = None,
        options: Annotated[str, Form(description="JSON, see AskOptions.", max_length=2000)] = "{}",
    ) -> dict[str, Any]:
        """Answer a question about a GeoTIFF as GeoJSON."""
        chosen = _options(options)
        if (image is None) == (file is None):
            raise RequestError(422, "give an image: its name, or a file", "send either `image` or `file`")
        if file is None:
            path = service.images.path(image or "")
            return await _waited(service, pool, lambda stop: service.ask(path, question, chosen, stop))
        path = await _saved(service, file)
        try:
            return await _waited(service, pool, lambda stop: service.ask(path, question, chosen, stop))
        finally:
            path.unlink(missing_ok=True)

    @app.post("/v1/jobs", tags=["map"], status_code=202)
    def new_job(request: JobRequest) -> dict[str, Any]:
        """Ask about a whole scene; the answer comes tile by tile, and is kept."""
        return service.job(service.add_job(request.image, request.question, request.options))

    @app.get("/v1/jobs/{job}", tags=["map"])
    def job(job: Annotated[str, InPath(max_length=40)]) -> dict[str, Any]:
        """How far a job is, and its answer once it is done."""
        return service.job(job)

    @app.get("/v1/jobs/{job}/events", tags=["map"], response_class=StreamingResponse)
    async def events(job: Annotated[str, InPath(max_length=40)], request: Request) -> StreamingResponse:
        """Server-sent events: `tile` with its features, `progress`, and last `done` or `failed`."""
        service.job(job)
        return StreamingResponse(_events(service, job, request), media_type="text/event-stream")

    @app.get("/v1/jobs/{job}/answer.gpkg", tags=["map"], response_class=Response)
    def geopackage(
        job: Annotated[str, InPath(max_length=40)], min_confidence: Annotated[float, Query(ge=0, le=1)] = 0.0
    ) -> Response:
        """The answer of a finished job as a GeoPackage, with a style for QGIS."""
        found = service.job(job)
        if found["result"] is None:
            raise RequestError(404, "the job has no answer", "wait until it is done")
        headers = {"Content-Disposition": 'attachment; filename="answer.gpkg"'}
        return Response(
            geopackage_bytes(found["result"], min_confidence),
            media_type="application/geopackage+sqlite3",
            headers=headers,
        )


async def _events(service: Service, job: str, request: Request) -> AsyncIterator[str]:
    sent, before = 0, None
    while not await request.is_disconnected():
        found = await asyncio.to_thread(service.job, job)
        for tile in service.partial(job, sent):
            sent += 1
            yield _event("tile", tile)
        if found["progress"] != before:
            before = found["progress"]
            yield _event("progress", before)
        if found["status"] in ("done", "failed"):
            yield _event(found["status"], found)
            return
        if service.stopping.is_set():
            return
        await asyncio.sleep(0.1)


def _event(kind: str, data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _options(text: str) -> AskOptions:
    try:
        return AskOptions.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("options", *first["loc"])))
        raise RequestError(422, f"{where}: {first['msg']}", "GET /docs says what is expected") from error


async def _saved(service: Service, file: AnyUpload) -> Path:
    """An uploaded image among the service's own."""
    suffix = Path(file.filename or "").suffix.lower()
    if suffix not in SUFFIXES:
        raise RequestError(422, "the file is no GeoTIFF by its name", f"send one of {', '.join(SUFFIXES)}")
    path = service.images.new_upload(suffix)
    with path.open("wb") as target:
        while piece := await file.read(_PIECE):
            await asyncio.to_thread(target.write, piece)
    return path


def _add_images(app: FastAPI, service: Service, pool: ThreadPoolExecutor) -> None:
    def described(name: str) -> dict[str, Any]:
        path = service.images.path(name)
        with service.images.open(path) as scene:
            return describe(name, scene)

    @app.get("/v1/images", tags=["map"])
    def images() -> list[str]:
        """Names of the images that may be asked about."""
        return service.images.names()

    @app.get("/v1/images/info", tags=["map"])
    async def image_info(name: ImageName) -> dict[str, Any]:
        """Where an image lies, its dates and composites."""
        return await _waited(service, pool, lambda _: described(name))

    @app.post("/v1/images", tags=["map"], status_code=201)
    async def upload(file: UploadFile) -> dict[str, Any]:
        """Upload a GeoTIFF to be asked about; it is kept for a day."""
        path = await _saved(service, file)
        try:
            return await _waited(service, pool, lambda _: described(path.name))
        except RequestError:
            path.unlink(missing_ok=True)
            raise

    @app.get("/v1/images/tiles/{zoom}/{x}/{y}.png", tags=["map"], response_class=Response)
    def image_tile(
        zoom: Annotated[int, InPath(ge=0, le=24)],
        x: Annotated[int, InPath(ge=0, lt=1 << 24)],
        y: Annotated[int, InPath(ge=0, lt=1 << 24)],
        name: ImageName,
        composite: Annotated[str, Query(max_length=100)] = "true_colour",
        frame: Annotated[int, Query(ge=0, le=10_000)] = 0,
    ) -> Response:
        """A tile of an image in Web Mercator; 204 where the image has no ground."""
        path = service.images.path(name)
        if max(x, y) >= 1 << zoom:
            raise RequestError(
                404, f"there is no tile {x}, {y} at zoom {zoom}", "tiles count from 0 to 2^zoom - 1"
            )
        try:
            scene = scene_of(path, path.stat().st_mtime_ns)
            if frame >= len(scene.frames):
                raise RequestError(404, f"there is no date {frame}", f"the image has {len(scene.frames)}")
            picture = render_tile(scene, x, y, zoom, composite, frame)
        except RequestError:
            raise
        except AgrilapeError as error:
            raise RequestError(422, error.problem, error.remedy) from error
        if picture is None:
            return Response(status_code=204)
        return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})


def _add_page(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["service"])
    def healthz() -> dict[str, str]:
        """Is it up, and which model answers?"""
        return {"status": "stopping" if service.stopping.is_set() else "ok", "model": service.predictor.name}

    @app.get("/metrics", tags=["service"], response_class=Response)
    def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        path = page_file(name)
        return FileResponse(path) if path else JSONResponse({"error": "there is no such file"}, 404)
