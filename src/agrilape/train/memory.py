"""Memory that is no longer used goes back to the system."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def give_back(collect: bool = False) -> None:
    """Hand freed heap pages back; does nothing where the C library is not glibc.

    Batches of ever new lengths leave glibc's heap in pieces that it keeps: the quickstart grew to twice the
    memory that it used, and every loader process inherited it.

    Args:
        collect: Free unreachable objects first, such as the model of a finished stage.
    """
    if collect:
        gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
