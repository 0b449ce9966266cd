"""What a service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one service.

    Args:
        waiting: Says how many tiles wait.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "agrilape_requests", "Requests by route and status.", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "agrilape_request_seconds", "Seconds that a request took.", ["route"], buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self.batches = Histogram(
            "agrilape_batch_tiles", "Tiles that were answered at once.", buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )  # fmt: skip
        self.jobs = Counter("agrilape_jobs", "Jobs by how they ended.", ["status"], registry=self._registry)
        Gauge("agrilape_waiting_tiles", "Tiles that wait.", registry=self._registry).set_function(waiting)

    def text(self) -> bytes:
        """The counters as Prometheus reads them."""
        return bytes(generate_latest(self._registry))
