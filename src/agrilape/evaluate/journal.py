"""Rows on disk as they are made: a killed evaluation goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agrilape.errors import DataError
from agrilape.evaluate.predictions import Prediction
from agrilape.files import write_text
from agrilape.io.json_text import Line, json_lines, read_json_if_sound, to_json

STATE = ".state.json"


class Journal:
    """A `predictions.jsonl` under construction, with its key and speed in a file beside it.

    Rows made under another key (another checkpoint, other data) are discarded; so are lines that a kill or a
    crash damaged.

    Args:
        path: The rows.
        key: What the rows depend on.

    Attributes:
        rows: All rows so far, by id.
        seconds: Time that predicting them took.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self.rows: dict[str, Prediction] = {}
        self.seconds = 0.0
        self._state = path.with_suffix(STATE)
        path.parent.mkdir(parents=True, exist_ok=True)
        state = read_json_if_sound(self._state)
        if state.get("key") == key and path.is_file():
            self.seconds = float(state.get("seconds", 0.0))
            self._load()
        else:
            path.unlink(missing_ok=True)
            self._save_state()

    @property
    def samples_per_second(self) -> float | None:
        """Rows per second of prediction; None before any."""
        return len(self.rows) / self.seconds if self.seconds else None

    def append(self, rows: Iterable[Prediction], seconds: float) -> None:
        """Add rows, and the time they took."""
        new = {row.id: row for row in rows}
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(_line(row) for row in new.values()))
        self.rows |= new
        self.seconds += seconds
        self._save_state()

    def part(self, number: int) -> Journal:
        """The journal of one process of several, in a file beside this one."""
        return Journal(self.path.with_suffix(f".part-{number}.jsonl"), self.key)

    def absorb_parts(self) -> None:
        """Take over what the parts hold, also those of a killed evaluation, and remove them.

        Parts were made side by side, so that the longest of their times counts.
        """
        states = sorted(self.path.parent.glob(f"{self.path.stem}.part-*{STATE}"))
        parts = [Journal(path.with_name(path.name.replace(STATE, ".jsonl")), self.key) for path in states]
        new = [row for part in parts for row in part.rows.values() if row.id not in self.rows]
        if new:
            self.append(new, max(part.seconds for part in parts))
        for part in parts:
            part.remove()

    def remove(self) -> None:
        """Delete the files."""
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def sort(self, order: Iterable[str]) -> None:
        """Bring the file into the order of the ids, which are all there; others are dropped."""
        self.rows = {name: self.rows[name] for name in order}
        write_text(self.path, "".join(_line(row) for row in self.rows.values()))

    def _load(self) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        for line in json_lines(whole.decode("utf-8", errors="replace")):
            if isinstance(line, Line):  # a crash may leave anything in the others
                with suppress(DataError):
                    row = Prediction.from_json(line.value)
                    self.rows[row.id] = row

    def _save_state(self) -> None:
        write_text(self._state, to_json({"key": self.key, "seconds": self.seconds}))


def _line(row: Prediction) -> str:
    return to_json(row.to_json()) + "\n"  # ensure_ascii: nobody cuts a row at a U+2028 in an answer
