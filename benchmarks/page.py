"""The page of benchmarks, of which every benchmark writes its own section."""

from __future__ import annotations

from pathlib import Path


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
