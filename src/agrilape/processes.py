"""Processes that do not outlive the one they work for."""

from __future__ import annotations

import os
import threading
import time

POLL_S = 1.0


def end_with(parent: int) -> None:
    """Let this process end soon after its parent, however that ended: killed, it sends nobody home.

    Args:
        parent: Number of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
