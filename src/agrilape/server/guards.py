"""What stands before every endpoint: who may ask, how much may be sent, and what goes wrong in words."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agrilape import logfile
from agrilape.server.metrics import Metrics
from agrilape.server.problems import RequestError
from agrilape.server.settings import ServerSettings

LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]", "::1", "testserver"]
OPEN_TO_ALL = ("/healthz", "/", "/static")
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def problem(status: int, what: str, remedy: str = "") -> JSONResponse:
    """An error as clients of OpenAI read it, and people."""
    body = {"error": {"message": what, "remedy": remedy, "type": _kind(status), "code": status}}
    return JSONResponse(body, status, headers={"Retry-After": "1"} if status == 429 else {})


def _kind(status: int) -> str:
    return {401: "authentication_error", 429: "rate_limit_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error"
    )


def install(app: FastAPI, settings: ServerSettings, metrics: Metrics) -> None:
    """Put all guards before an app's endpoints."""

    @app.exception_handler(RequestError)
    def refused(_: Request, error: RequestError) -> Response:
        return problem(error.status, error.problem, error.remedy)

    @app.exception_handler(HTTPException)
    def known(_: Request, error: HTTPException) -> Response:
        found = problem(error.status_code, str(error.detail))
        found.headers.update(error.headers or {})
        return found

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(422, f"{where}: {first['msg']}", "GET /docs says what is expected")

    @app.exception_handler(Exception)
    def unplanned(_: Request, error: Exception) -> Response:
        logfile.record(error)
        return problem(500, "something went wrong", "the service's log has it")

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.monotonic()
        response = _refusal(request, settings) or await go_on(request)
        route = request.scope.get("route")
        path = getattr(route, "path", "other")
        metrics.requests.labels(path, str(response.status_code)).inc()
        metrics.seconds.labels(path).observe(time.monotonic() - began)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if not request.url.path.startswith("/docs"):
            response.headers["Content-Security-Policy"] = _POLICY
        return response

    app.add_middleware(BodyLimit, most=settings.largest_upload)
    if settings.is_local:  # a page elsewhere whose name leads here must not speak for its visitor
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_NAMES)


def _refusal(request: Request, settings: ServerSettings) -> Response | None:
    """Why a request goes no further: it comes from a page of another site, or without the key."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        return problem(403, "pages of other sites may not use this service", "ask from its own page")
    path = request.url.path
    is_open = path in OPEN_TO_ALL or path.startswith("/static/")
    if settings.api_key is None or is_open:
        return None
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    if hmac.compare_digest(given, settings.api_key.encode()):
        return None
    response = problem(401, "the key is missing or wrong", "send it as `Authorization: Bearer KEY`")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


class BodyLimit:
    """Answers 413 as soon as more was sent than may be.

    Args:
        app: What comes after.
        most: Bytes of a request.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = problem(
            413,
            f"a request may have {self.most:,} bytes",
            "cut the image, or put it into the folder of the service",
        )
        if said.isdigit() and int(said) > self.most:
            await too_large(scope, receive, send)
            return
        taken, refused = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.most:
                raise HTTPException(413, "too large")
            return message

        async def answered(message: Message) -> None:
            nonlocal refused
            if taken <= self.most:
                await send(message)
            elif not refused:  # whatever the endpoint made of a body that ended early
                refused = True
                await too_large(scope, receive, send)

        await self.app(scope, counted, answered)
