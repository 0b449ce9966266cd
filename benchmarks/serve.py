"""How a service answers many clients at once, and how long the first answer of a command takes.

    python benchmarks/serve.py --write docs/benchmarks.md

Clients on loopback send pictures with a question to `agrilape serve` (the model that ships), each the next
one as soon as it has an answer; told to come again, it waits as long as it was told. One client alone is the
comparison. The start of commands is measured in processor seconds of new processes, which other work on the
machine changes less than it does the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import rasterio
from affine import Affine
from page import add_options, publish, verdict
from PIL import Image

TARGETS = {"gain": 3.0, "help_s": 1.0, "first_s": 6.0}  # times one by one; seconds
SIDE = 128
QUESTION = "Which field is at [0.5, 0.5]?"


def main() -> None:
    """Measure, print, and write what was asked for."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "setting": {
                "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
                "load": round(os.getloadavg()[0], 1),
                "clients": options.clients,
                "seconds": options.seconds,
            },
            "start": start_times(Path(folder)),
            **under_load(options, Path(folder)),
        }
    publish(options, "serve", result, render(result))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="How a service answers many clients at once.")
    parser.add_argument("--clients", type=int, default=64, help="clients at once")
    parser.add_argument("--seconds", type=float, default=60, help="how long they ask")
    parser.add_argument("--alone", type=float, default=15, help="how long one client asks alone")
    add_options(parser)
    return parser.parse_args()


# -- starting -----------------------------------------------------------------------------------------------


def start_times(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds on the clock and on the processor of new processes."""
    image = write_image(folder / "image.tif")
    predict = [
        "predict",
        str(image),
        "where are the fields?",
        "-o",
        str(folder / "out.geojson"),
        "--overwrite",
    ]
    return {"help": timed(["--help"]), "first answer": timed(predict)}


def timed(arguments: list[str]) -> dict[str, float]:
    """The least of three runs."""
    runs = []
    for _ in range(3):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "agrilape", *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        runs.append({"clock": time.perf_counter() - began, "processor": spent})
    return {key: min(run[key] for run in runs) for key in runs[0]}


def write_image(path: Path) -> Path:
    """Ground of two colours."""
    values = np.kron(np.random.default_rng(0).integers(40, 220, (3, 2, 2)), np.ones((1, 64, 64)))
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", crs="EPSG:25832",
        transform=Affine(2.5, 0, 600_000, 0, -2.5, 6_200_000),
    ) as file:  # fmt: skip
        file.write(values.astype("uint8"))
    return path


# -- under load ---------------------------------------------------------------------------------------------


def under_load(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What one client and many get of a service, and what that takes of memory."""
    command = [sys.executable, "-m", "agrilape", "serve", "--port", "0", "--state", str(folder / "state")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as service:
        assert service.stdout is not None
        base = service.stdout.readline().split(" at ")[1].split("/ ")[0]
        memory = psutil.Process(service.pid).memory_info
        asyncio.run(ask(base, 4, 2.0))  # warm
        alone = asyncio.run(ask(base, 1, options.alone))
        asyncio.run(ask(base, options.clients, options.seconds / 6))
        early = memory().rss
        many = asyncio.run(ask(base, options.clients, options.seconds))
        growth = memory().rss / early - 1
        service.terminate()
        ended = service.wait(timeout=60)
    return {"alone": alone, "many": many, "memory_growth": growth, "memory": early, "ended": ended}


async def ask(base: str, clients: int, seconds: float) -> dict[str, Any]:
    """Rate, statuses and times of clients that ask for so long."""
    statuses: Counter[str] = Counter()
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def one(client: httpx.AsyncClient, number: int) -> None:
        body = {"messages": message(number)}
        while time.perf_counter() < end:
            began = time.perf_counter()
            answer = await client.post(f"{base}/v1/chat/completions", json=body)
            statuses[str(answer.status_code)] += 1
            if answer.status_code == 200:
                times.append(time.perf_counter() - began)
            elif answer.status_code == 429:
                await asyncio.sleep(float(answer.headers["retry-after"]))

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:
        began = time.perf_counter()
        await asyncio.gather(*(one(client, number) for number in range(clients)))
        spent = time.perf_counter() - began
    middle, high = np.quantile(times, [0.5, 0.95]).tolist()
    return {"rate": len(times) / spent, "statuses": dict(statuses), "median_s": middle, "p95_s": high}


def message(number: int) -> list[dict[str, Any]]:
    """A picture of noise and a question."""
    stream = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


# -- the page -----------------------------------------------------------------------------------------------


def render(result: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    facts, start, alone, many = (result[name] for name in ("setting", "start", "alone", "many"))
    gain, total = many["rate"] / alone["rate"], sum(many["statuses"].values())
    failed = sum(n for status, n in many["statuses"].items() if status not in ("200", "429"))
    first, asked = start["first answer"], start["help"]
    lines = [
        f"{facts['hardware']}, load {facts['load']} from other work as it began: the model that ships, "
        f"pictures of {SIDE} x {SIDE} pixels, {facts['clients']} clients for {facts['seconds']:.0f} s on "
        "loopback; clients and service share the cores.",
        "",
        "| service | answers per second | median | 95th percentile | other than 200 and 429 |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| one client | {_times(alone)} | |",
        f"| {facts['clients']} clients | {_times(many)} | {failed} of {total}: {verdict(failed == 0)} |",
        "",
        f"Batching: {gain:.1f} times one by one (target at least {TARGETS['gain']:.0f}: "
        f"{verdict(gain >= TARGETS['gain'])}). Memory {result['memory'] / 2**20:.0f} MiB, "
        f"{100 * result['memory_growth']:+.1f} % over the run. SIGTERM: status {result['ended']}.",
        "",
        "| new process | on the clock | on the processor | target |",
        "| --- | ---: | ---: | ---: |",
        f"| `agrilape --help` | {asked['clock']:.2f} s | {asked['processor']:.2f} s | under "
        f"{TARGETS['help_s']:.0f} s: {verdict(asked['clock'] < TARGETS['help_s'])} |",
        f"| `agrilape predict`, the model that ships, to its first answer | {first['clock']:.2f} s | "
        f"{first['processor']:.2f} s | under {TARGETS['first_s']:.0f} s: "
        f"{verdict(first['clock'] < TARGETS['first_s'])} |",
    ]
    return "\n".join(lines)


def _times(of: dict[str, Any]) -> str:
    return f"{of['rate']:.1f} | {of['median_s']:.2f} s | {of['p95_s']:.2f} s"


if __name__ == "__main__":
    main()
