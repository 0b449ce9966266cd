"""From facts to a file: the templates' surroundings, and how numbers are printed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from agrilape.report.scores import describe, show, words


def environment() -> Environment:
    """Templates of this package; what is missing is an error, and HTML is escaped."""
    found = Environment(
        loader=PackageLoader("agrilape.report"),
        autoescape=select_autoescape(["html.j2"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"words": words, "show": show, "describe": describe, "number": number}
    return found


def number(value: Any) -> str:
    """A number at a glance: three significant digits, thousands set off by thin spaces."""
    if value is None:
        return "–"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}".replace("e-0", "e-")


def write_page(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, suffix=path.suffix, delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path
