"""Memory that is no longer used goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress

KERNELS = 64  # a step of the nano model needs about half as many


def bound_kernel_caches() -> None:
    """Let oneDNN, and PyTorch's cache above it, keep few kernels; call it before the first matrix product.

    Both keep 1,024, with their working memory, and compile a bfloat16 kernel for each new length of a batch:
    three short stages of the quickstart ended with 722 MB in use of which no tensor was part, 196 MB with
    this, in the same time. What is computed does not change. Settings from outside stay.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(KERNELS))


def release_memory(collect: bool = False) -> None:
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
