"""A model as a service, for programs, people with a map, and agents."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from platformdirs import user_state_path

from agrilape.errors import RecipeError

if TYPE_CHECKING:
    from agrilape.serve import Predictor

commands = typer.Typer()
Checkpoint = Annotated[
    str | None,
    typer.Argument(
        help="Checkpoint, run folder or hub id; default: the small model that comes with agrilape."
    ),
]
Images = Annotated[
    Path | None, typer.Option(help="Folder whose GeoTIFFs may be asked about; nothing else is read.")
]


@commands.command(rich_help_panel="On the map")
def serve(
    checkpoint: Checkpoint = None,
    images: Images = None,
    host: Annotated[
        str, typer.Option(help="Address; other than this machine's own it needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with a key that clients must send (Authorization: Bearer KEY).")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for jobs and uploaded images; default: one of your user's.")
    ] = None,
) -> None:
    """Serve a model: a page with a map, OpenAI's chat completions, GeoTIFF in and GeoJSON out, jobs."""
    require("serve", "fastapi", "uvicorn", "rio_tiler", "prometheus_client", "multipart", "maplibre")
    from agrilape.server.run import run_server
    from agrilape.server.settings import ServerSettings, read_api_key

    key = None if api_key_file is None else read_api_key(api_key_file)
    folder = state or user_state_path("agrilape") / "serve"
    run_server(checkpoint, ServerSettings(folder, images, host, port, key))


def require(extra: str, *packages: str) -> None:
    """Say which extra is missing.

    Raises:
        RecipeError: One of its packages is not installed.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise RecipeError(f"{', '.join(missing)} is not installed", f"pip install 'agrilape[{extra}]'")


@commands.command(rich_help_panel="On the map")
def mcp(checkpoint: Checkpoint = None, images: Images = None) -> None:
    """Offer a model to agents, over the Model Context Protocol on standard input and output.

    Images are those below --images; default: below the folder in which it is started.
    """
    require("mcp", "mcp")
    from agrilape.server.agent import make_agent_server

    def load() -> Predictor:
        from agrilape.serve import Predictor

        return Predictor(checkpoint)

    make_agent_server(load, images or Path.cwd()).run("stdio")
