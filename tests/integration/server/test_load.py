"""The benchmark of the service counts what clients get, and says when something else than an answer came."""

import asyncio

import pytest
from tests.benchmarks import load


@pytest.fixture
def benchmark():
    return load("serve")


def result(alone, many):
    once = {"clock": 1.5, "processor": 1.0}
    facts = {"hardware": "a machine", "load": 0.0, "clients": 8, "seconds": 1.0}
    return {
        "setting": facts, "start": {"help": once, "first answer": once}, "alone": alone, "many": many,
        "memory_growth": 0.01, "memory": 2**29, "ended": 0,
    }  # fmt: skip


def test_many_clients_get_answers_and_the_page_says_how_many(benchmark, serve):
    base, _ = serve(most_waiting=4)
    alone = asyncio.run(benchmark.ask(base, 1, 0.5))
    many = asyncio.run(benchmark.ask(base, 8, 1.5))
    assert set(alone["statuses"]) == {"200"}
    assert set(many["statuses"]) == {"200", "429"}
    assert many["median_s"] <= many["p95_s"]
    text = benchmark.render(result(alone, many))
    total = sum(many["statuses"].values())
    assert f"0 of {total}: PASS" in text
    assert "under 1 s: MISS" in text
    many["statuses"]["500"] = 3
    assert f"3 of {total + 3}: MISS" in benchmark.render(result(alone, many))
