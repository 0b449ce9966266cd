"""Questions about whole scenes that take a while: kept in SQLite, so that a restart loses none."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agrilape.io.json_text import parse_json

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, created REAL NOT NULL, image TEXT NOT NULL, question TEXT NOT NULL,
    settings TEXT NOT NULL, status TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
    summary TEXT, notes TEXT, result TEXT, error TEXT
)"""
OPEN = ("queued", "running")


class Jobs:
    """The jobs of a service.

    Args:
        path: The database; jobs that were running when it was last closed are queued again.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._lock = path, threading.Lock()
        with self._connected() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(_TABLE)
            database.execute("UPDATE jobs SET status = 'queued', done = 0 WHERE status = 'running'")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            database = sqlite3.connect(self._path, timeout=30)
            database.row_factory = sqlite3.Row
            try:
                with database:
                    yield database
            finally:
                database.close()

    def add(self, image: str, question: str, settings: dict[str, Any]) -> str:
        """Queue a question; returns its id."""
        name = secrets.token_hex(8)
        with self._connected() as database:
            database.execute(
                "INSERT INTO jobs (id, created, image, question, settings, status, done, total) "
                "VALUES (?, ?, ?, ?, ?, 'queued', 0, 0)",
                (name, time.time(), image, question, json.dumps(settings)),
            )
        return name

    def open_jobs(self) -> int:
        """Number of those that are not finished."""
        with self._connected() as database:
            found = database.execute("SELECT count(*) FROM jobs WHERE status IN (?, ?)", OPEN).fetchone()
        return int(found[0])

    def take(self) -> sqlite3.Row | None:
        """The oldest queued job, now running."""
        with self._connected() as database:
            row: sqlite3.Row | None = database.execute(
                "SELECT * FROM jobs WHERE status = 'queued' ORDER BY created, rowid LIMIT 1"
            ).fetchone()
            if row is not None:
                database.execute("UPDATE jobs SET status = 'running' WHERE id = ?", (row["id"],))
        return row

    def update(self, name: str, **facts: Any) -> None:
        """Note something of a job."""
        names = ", ".join(f"{key} = ?" for key in facts)
        with self._connected() as database:
            database.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*facts.values(), name))  # noqa: S608 - our own keys

    def get(self, name: str) -> dict[str, Any] | None:
        """What is known of a job, its result too; None if there is no such job."""
        with self._connected() as database:
            row = database.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone()
        if row is None:
            return None
        return {
            "id": row["id"],
            "image": row["image"],
            "question": row["question"],
            "status": row["status"],
            "progress": {"done": row["done"], "total": row["total"]},
            "summary": row["summary"],
            "notes": parse_json(row["notes"] or "[]"),
            "result": parse_json(row["result"]) if row["result"] else None,
            "error": row["error"],
        }
