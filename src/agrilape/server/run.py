"""Start a service, and stop it with its requests finished."""

from __future__ import annotations

import socket
from types import FrameType

import uvicorn

from agrilape.console import say
from agrilape.errors import RecipeError
from agrilape.serve.predictor import Predictor
from agrilape.server.app import make_app
from agrilape.server.service import Service
from agrilape.server.settings import ServerSettings

PATIENCE_S = 30


class _Server(uvicorn.Server):
    """Tells the service at once that it is to stop, so that streams of events end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal does not wait for requests. None is raised anew: this is a clean end."""
        self.service.stopping.set()
        self.force_exit = self.should_exit
        self.should_exit = True


def run_server(checkpoint: str | None, settings: ServerSettings) -> None:
    """Load a model and serve it until SIGTERM or Ctrl-C.

    Args:
        checkpoint: As `Predictor` takes it.
        settings: Limits and folders.

    Raises:
        RecipeError: The port is taken.
    """
    listener = _listen(settings)
    service = Service(Predictor(checkpoint), settings)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        make_app(service), log_level="warning", access_log=False, timeout_graceful_shutdown=PATIENCE_S,
        server_header=False, limit_concurrency=1000,
    )  # fmt: skip
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    say(f"agrilape serves {service.predictor.name} at http://{host}:{port}/ (Ctrl-C ends it)")
    _Server(config, service).run(sockets=[listener])
    say("stopped")


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise RecipeError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            "choose another --port; 0 takes a free one",
        ) from error
    return listener
