"""What goes wrong while batches are made, told where they are used.

A `DataLoader` raises an exception of one of its processes as another of the same class made of the text
alone, or as a `RuntimeError`. Here it is the batch instead, and raised as it was by whoever takes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.queues import Queue
from typing import Any

from torch.utils.data import Dataset, get_worker_info

from agrilape.errors import portable, text_of

FAILED = "failed"
"""Key of a batch that could not be made."""


class ErrorForwardingDataset(Dataset[Any]):
    """Items of a data set; in the place of one that fails its exception."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        """As many as there are."""
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        """The item, or why it could not be made."""
        if get_worker_info() is not None:
            Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]
        try:
            return self.items[index]
        except Exception as error:
            return portable(error)


class ErrorForwardingCollator:
    """Makes batches; one that fails holds its exception."""

    def __init__(self, collate: Callable[[Any], dict[str, Any]]) -> None:
        self.collate = collate

    def __call__(self, items: Sequence[Any]) -> dict[str, Any]:
        """The batch, or why it could not be made."""
        failed = next((item for item in items if isinstance(item, Exception)), None)
        if failed is None:
            try:
                return self.collate(items)
            except Exception as error:
                failed = portable(error)
        return {"parts": [], FAILED: failed}


def raise_failed(batch: Mapping[str, Any]) -> None:
    """Raise the exception of a batch that could not be made."""
    if FAILED in batch:
        raise batch[FAILED]


def _end(error: Exception, batch: object) -> None:
    """End a process that cannot send a batch, for want of shared memory: it would be waited for for ever."""
    print(f"a batch cannot be sent: {text_of(error)}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)
