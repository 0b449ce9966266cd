"""The log of a stage: JSON lines always, TensorBoard beside it where it is installed, a line for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agrilape.console import ProgressCallback
from agrilape.files import write_text
from agrilape.io.json_text import InvalidLine, json_lines

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Rows of a `log.jsonl`; a torn last line, left by a killed process, is skipped."""
    if not path.exists():
        return []
    rows = []
    for line in json_lines(path.read_bytes().decode("utf-8", errors="replace"), infinite=True):
        if isinstance(line, InvalidLine) or not isinstance(line.value, dict):
            break
        rows.append(line.value)
    return rows


class StageLog:
    """Writes what happened in each step.

    Args:
        path: The `log.jsonl`.
        resumed: Steps finished before; later rows of an earlier attempt are taken back.
        track: Progress to advance.
        active: False in all processes but the main one, which write nothing.
        board: Write for TensorBoard, too.
    """

    def __init__(
        self, path: Path, resumed: int, track: ProgressCallback, active: bool = True, board: bool = True
    ) -> None:
        self.path, self._track, self._active = path, track, active
        self._board: Any = None
        if active:
            keep_rows(path, resumed)
        if active and board:
            self._board = _open_board(path.parent / "tensorboard", resumed + 1)

    def __enter__(self) -> Self:
        """Keep the TensorBoard file open until the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._board is not None:
            self._board.close()

    def write(self, rows: Sequence[Row]) -> None:
        """Append the rows of finished steps."""
        if not self._active:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        last = rows[-1]
        if self._board is not None:
            for name, value in scalars(last):
                self._board.add_scalar(name, value, last["step"])
        note = f"loss {last['loss']:.3f}"
        if "position_accuracy" in last:
            note += f", positions {last['position_accuracy']:.0%} (off {last['coordinate_error']:.1f} bins)"
        self._track(len(rows), note)


def _open_board(folder: Path, first_step: int) -> Any:
    """A TensorBoard file; None where TensorBoard is not installed, as on a bare machine for studies."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=first_step)


def scalars(row: Row) -> list[tuple[str, float]]:
    """A row's numbers, one level deep, named as in the row."""
    flat: list[tuple[str, float]] = []
    for name, value in row.items():
        if isinstance(value, dict):
            flat += [(f"{name}/{inner}", float(number)) for inner, number in value.items()]
        elif name != "step":
            flat.append((name, float(value)))
    return flat


def keep_rows(path: Path, steps: int) -> None:
    """Take back the rows of steps after so many."""
    rows = [row for row in read_rows(path) if row["step"] <= steps]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
