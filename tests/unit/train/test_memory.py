"""What is freed goes back, and what is kept is bounded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agrilape.train.memory import release_memory

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Linux says what a process holds"
)


def resident() -> int:
    return 1024 * int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0])


def test_freed_heap_goes_back_though_something_above_it_is_still_in_use() -> None:
    blocks = [bytearray(b"x" * 60_000) for _ in range(3000)]  # small enough for the heap
    kept = blocks[::100]
    full = resident()
    del blocks
    release_memory()
    assert resident() < full - 120_000_000
    assert all(block == b"x" * 60_000 for block in kept)


def test_unreachable_models_are_freed_first_if_asked() -> None:
    ring = [bytearray(b"x" * 60_000) for _ in range(2000)]
    ring.append(ring)
    full = resident()
    del ring
    release_memory(collect=True)
    assert resident() < full - 80_000_000


def test_without_glibc_nothing_happens(monkeypatch) -> None:
    monkeypatch.setattr("agrilape.train.memory.ctypes.CDLL", lambda name: object())
    release_memory()


PRODUCTS = """
import ctypes, sys, torch
from agrilape.train.memory import bound_kernel_caches
if sys.argv[1] == "bounded":
    bound_kernel_caches()
class Heap(ctypes.Structure):
    _fields_ = [(f"f{i}", ctypes.c_size_t) for i in range(10)]
heap = ctypes.CDLL(None).mallinfo2
heap.restype = Heap
torch.set_num_threads(1)
layer = torch.nn.Linear(64, 64).bfloat16()
before = heap().f7
with torch.no_grad():
    for length in range(1, 1000):
        layer(torch.ones(length, 64, dtype=torch.bfloat16))
print((heap().f7 - before) // 1000)
"""


def test_kernels_for_ever_new_lengths_do_not_pile_up() -> None:
    """Kilobytes in use after a thousand lengths; a processor without bfloat16 compiles none."""
    kept = {}
    for how in ("bounded", "free"):
        done = subprocess.run(
            [sys.executable, "-c", PRODUCTS, how], capture_output=True, text=True, check=False
        )
        if "mallinfo2" in done.stderr:
            pytest.skip("the C library does not say what is in use")
        kept[how] = int(done.stdout)
    if kept["free"] < 3000:
        pytest.skip("this processor compiles no kernel per length")
    assert kept["bounded"] < kept["free"] / 3
