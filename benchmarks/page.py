"""What every benchmark does with its result: print it, keep its numbers, write its section of the page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where a result goes besides the terminal."""
    parser.add_argument("--json", type=Path, help="write all numbers here")
    parser.add_argument("--write", type=Path, help="replace the section of this Markdown page")


def publish(options: argparse.Namespace, name: str, result: dict[str, Any], text: str) -> None:
    """Print the text of a result, and write what the options ask for."""
    print(text)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    if options.write:
        write_section(options.write, name, text)


def verdict(reached: bool) -> str:
    """Whether a target was reached, in a word to look for."""
    return "PASS" if reached else "MISS"


def write_section(path: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of a section, or add the section at the end."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page = path.read_text() if path.exists() else "# Benchmarks\n"
    section = f"{first}\n{text}\n{last}"
    if first in page:
        before, rest = page.split(first)
        page = before + section + rest.split(last)[1]
    else:
        page += f"\n{section}\n"
    path.write_text(page)
