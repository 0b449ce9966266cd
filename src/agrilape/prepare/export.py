"""Prepared samples in the published formats that other systems read."""

from __future__ import annotations

from pathlib import Path

from agrilape.dataset.manifest import read_store
from agrilape.errors import DataError, did_you_mean
from agrilape.prepare.formats import WRITERS, SkippedRows

NEAREST = ("geochat", "vrsbench")
"""Formats without a sign for points, which have a nearest form for them."""


def export_split(
    folder: Path, split: str, name: str, output: Path, nearest: bool = False
) -> tuple[int, SkippedRows]:
    """Write one split of a prepared data set in a published format.

    Args:
        folder: The data set.
        split: `train`, `val` or `test`.
        name: The format, one of `WRITERS`.
        output: A folder that does not exist, or is empty.
        nearest: Write points as the smallest box around them, and outlines as bounding boxes, where the
            format has no sign for them.

    Returns:
        Number of rows, and what the format cannot say.

    Raises:
        DataError: The format does not exist or is not written, the split is empty, or the folder is not.
        DiskError: There is no room for it.
    """
    if name not in WRITERS:
        every = f"use one of: {', '.join(WRITERS)}"
        raise DataError(f"nothing is written as {name!r}", did_you_mean(name, WRITERS, every))
    store = read_store(folder, split)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} is there already", "name a new or an empty folder")
    output.mkdir(parents=True, exist_ok=True)
    omissions = SkippedRows()
    more = {"nearest": True} if nearest and name in NEAREST else {}
    return WRITERS[name](store, output, omissions, **more), omissions
