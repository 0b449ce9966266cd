"""GeoChat_Instruct: LLaVA's JSON with turned boxes and task tags.

Source: huggingface.co/datasets/MBZUAI/GeoChat_Instruct. `GeoChat_Instruct.json` has rows of `id`, `image`
and `conversations`. A question may begin with `[refer]`, `[identify]` or `[grounding]`; phrases stand in
`<p>...</p>`; boxes are `{<left><top><right><bottom>|<degrees>}`, integers 0-100.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agrilape.dataset.types import Example
from agrilape.prepare.formats.box_text import GEOCHAT
from agrilape.prepare.formats.conversations import turns
from agrilape.prepare.formats.coordinate_conventions import Size
from agrilape.prepare.formats.example_rows import RowQuestion, picture_examples
from agrilape.prepare.formats.llava import shown
from agrilape.prepare.formats.llava_json import place_tag, write_conversations
from agrilape.sources.formats.release_files import PictureFolder, SkippedRows, published, read_rows

FILE, PICTURES = "GeoChat_Instruct.json", "images"


def read(folder: Path, omissions: SkippedRows, images: Path | None = None) -> Iterator[Example]:
    """Examples of `GeoChat_Instruct.json`, its pictures anywhere below the folder."""
    rows = (row for path in published(folder, "GeoChat_Instruct*.json") for row in read_rows(path, omissions))
    yield from picture_examples("geochat", rows, PictureFolder(images or folder), omissions, shown, _ask)


def _ask(row: Mapping[str, Any], size: Size) -> Iterator[RowQuestion]:
    return turns(row["conversations"], GEOCHAT, size, origin={"id": row.get("id")})


def write(examples: Iterable[Example], folder: Path, omissions: SkippedRows, nearest: bool = False) -> int:
    """Write `GeoChat_Instruct.json` and its pictures; the number of rows."""
    return write_conversations(
        examples, folder / FILE, PICTURES, replace(GEOCHAT, nearest=nearest), omissions, place_tag
    )
