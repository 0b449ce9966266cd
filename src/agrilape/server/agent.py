"""A model as tools of agents, over the Model Context Protocol.

Clients wait only seconds for a server to begin, so torch and the model are loaded by the first tool used.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from agrilape import __version__
from agrilape.errors import AgrilapeError

if TYPE_CHECKING:
    from agrilape.serve.predictor import Predictor
    from agrilape.server.images import Images

ImageName = Annotated[str, Field(description="Name of an image, as describe_image lists them.")]
_ABOUT = (
    "Questions about georeferenced images of farmland, answered on the map. Ask describe_image without a "
    "name for the images that there are, known_questions for what the model knows."
)


def make_agent_server(
    load: Callable[[], Predictor], images: Path, most_pixels: int = 400_000_000
) -> MCPServer:
    """The tools `ask_map`, `known_questions` and `describe_image`.

    Args:
        load: Loads the model; is called once.
        images: Folder whose images may be asked about; nothing else is read.
        most_pixels: Columns times rows of one.
    """
    server = MCPServer("agrilape", instructions=_ABOUT, version=__version__)
    loaded = cache(load)
    folder = cache(lambda: _images(images, most_pixels))
    turn = threading.Lock()  # tools may be called at once, and the model answers one after the other

    @server.tool()
    def ask_map(
        image: ImageName,
        question: Annotated[str, Field(description="In one's own words: where are the maize fields?")],
        at: Annotated[tuple[float, float] | None, Field(description="Longitude and latitude.")] = None,
        min_confidence: Annotated[float | None, Field(ge=0, le=1, description="Least confidence.")] = None,
    ) -> dict[str, Any]:
        """Answer a question about an image: a summary, and GeoJSON features with confidence and area."""
        from agrilape.serve.asking import AskSettings
        from agrilape.serve.predictor import with_place
        from agrilape.server.answers import answer_json

        with _said(), turn, folder().open(folder().path(image)) as scene:
            predictor = loaded()
            settings = AskSettings(min_confidence=min_confidence)
            asked = predictor.asked(scene, with_place(question, at), settings)
            return answer_json(asked, [row for batch in predictor.answer(asked) for row in batch])

    @server.tool()
    def known_questions() -> list[str]:
        """Questions that the model knows, with placeholders in braces; others are put into these words."""
        from agrilape.serve.question import known_questions as wordings

        return wordings()

    @server.tool()
    def describe_image(image: Annotated[str | None, ImageName] = None) -> dict[str, Any]:
        """Where an image lies, its size, dates and bands; without a name, the names of all images."""
        from agrilape.server.images import describe

        with _said():
            if image is None:
                return {"images": folder().names()}
            with folder().open(folder().path(image)) as scene:
                return describe(image, scene)

    return server


def _images(folder: Path, most_pixels: int) -> Images:
    """The images below a folder; nothing is uploaded to an agent."""
    from agrilape.server.images import Images

    return Images(folder, Path(tempfile.mkdtemp(prefix="agrilape-")), most_pixels, 0.0)


@contextmanager
def _said() -> Iterator[None]:
    """Tell the agent what is wrong and what to do about it."""
    try:
        yield
    except AgrilapeError as error:
        raise ToolError(f"{error.problem} -> {error.remedy}") from error
