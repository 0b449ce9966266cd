"""Pages of the documentation that follow from the code: the README as home, commands, Python names, changes.

mkdocs calls `on_files` (see `hooks` in mkdocs.yml). Links to files of the repository that are no pages become
plain text, since the site holds the documentation alone.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from agrilape.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "agrilape": "What `import agrilape` offers.",
    "agrilape.serve": "Questions about a GeoTIFF, answered on the map.",
    "agrilape.config": "Recipes and settings.",
    "agrilape.sources": "Imagery and parcels of any common kind, read into scenes.",
    "agrilape.dataset": "Chips and questions: types, store, manifest, mixture.",
    "agrilape.model": "LAPE, its attachment to models, checkpoints and adapters.",
    "agrilape.tokens": "Places and times as tokens: codec, batches, decoding.",
    "agrilape.evaluate": "Prediction and scores.",
    "agrilape.simulate": "Farm landscapes with known truth.",
}
"""Packages of the reference, with a line on each."""
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that follow from the code, and the pictures that the README shows."""
    pages = {
        "index.md": moved((ROOT / "README.md").read_text(encoding="utf-8")),
        "changelog.md": moved((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "reference/commands.md": commands(),
        "reference/api.md": api(),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links that leave the documentation become text."""
    return LINK.sub(lambda link: link[1] if link[2].startswith("../src/") else link[0], markdown)


def moved(text: str) -> str:
    """A page from the root of the repository, as if it stood in docs/."""

    def link(found: re.Match[str]) -> str:
        target = found[2]
        if target.startswith(("http", "mailto")):
            return found[0]
        inside = target.removeprefix("docs/")
        return f"[{found[1]}]({inside}{found[3] or ''})" if inside != target else found[1]

    return LINK.sub(link, text).replace("](docs/", "](")


def commands() -> str:
    """All commands with their arguments and options, as `--help` has them."""
    command = typer.main.get_command(app)
    return str(get_docs_for_click(obj=command, ctx=click.Context(command), name="agrilape", title="Commands"))


def api() -> str:
    """The public names of the package, then those of its parts that have a list of them."""
    text = "# Python\n"
    for name, said in PARTS.items():
        listed = "\n\n".join(f"::: {name}.{one}" for one in import_module(name).__all__)
        text += f"\n## `{name}`\n\n{said}\n\n{listed}\n"
    return text
