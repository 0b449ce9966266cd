"""How fast and in how much memory a large scene becomes samples, beside a bare loop over the same windows.

    python benchmarks/prepare.py --write docs/benchmarks.md    # about 12 minutes and 30 GB of disk
    python benchmarks/prepare.py --size 2048                   # a small scene, as dense in parcels

The scene is made on the fly: one tiled, compressed GeoTIFF of four bands per date, and a GeoPackage of
parcels on a grid. All of it is opened, labels and all, and planned; of the plan, whole units of work spread
over the scene are done. Every case runs in a process of its own, in turns, and reads from the disk what it
needs: agrilape with one worker; `bare`, which opens the files with rasterio, reads of every date only the
bands that the samples need, of the same windows in the same order, and encodes the same pictures, with a
cache so large that it decodes no tile twice; agrilape with two workers. Memory is the sum over all processes
of a case (proportional set size).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import geopandas
import numpy as np
import psutil
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from page import add_options, publish, verdict
from rasterio.windows import Window

from agrilape.config.recipe import DatasetConfig
from agrilape.console import progress
from agrilape.dataset import read_manifest, read_store
from agrilape.prepare import from_scenes
from agrilape.prepare.label_index import LabelledScene
from agrilape.prepare.windows import ShardJob, plan
from agrilape.sources import open_folder
from agrilape.sources.composite import render
from agrilape.sources.tiling import encode_png

CASES = ("1 worker", "bare", "2 workers")  # the first one says which windows are read
BANDS = ("B02", "B03", "B04", "B08")  # blue, green, red, near infrared
CROPS = ("winter wheat", "maize", "sugar beet", "rapeseed", "spring barley", "grassland", "potato", "soybean")
SCENE = (20_000, 100_000)  # pixels a side, and parcels in a scene of that size
TILE, FIRST_DAY, EVERY = 512, date(2022, 2, 10), timedelta(days=23)
EVERY_S = 1.0  # seconds between two looks at the memory, which take milliseconds of a process each
TARGETS = {"memory": 2048, "bare": 0.7, "workers": 1.7}  # MiB; share of the bare loop; times one worker
BARE_CACHE_BYTES = 1 << 30  # of decoded tiles: more than agrilape takes, so that none is decoded twice
ROOM = 1.5  # times the stored scene: the samples, and what does not compress
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_500_000)


def main() -> None:
    """Make the scene, measure, print, and write what was asked for."""
    options = parse_options()
    if options.case:
        print(json.dumps(run_case(options.case, options)))
        return
    with ExitStack() as stack:
        if options.folder is None:
            options.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agrilape-")))
        began = time.monotonic()
        make_scene(options.folder / "scene", options.size, options.dates)
        made = time.monotonic() - began
        result = {"setting": setting(options, made), "cases": measure(options)}
    publish(options, "prepare", result, page_of(result))


def parse_options() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=SCENE[0], help="side of the scene in pixels")
    parser.add_argument("--dates", type=int, default=12, help="acquisitions")
    parser.add_argument("--chip", type=int, default=256, help="side of a chip in pixels")
    parser.add_argument(
        "--chips", type=int, default=4000, help="about how many to cut, in whole units; 0: all"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often every case is run in turn")
    parser.add_argument("--folder", type=Path, help="keep scene and samples here; else a temporary folder")
    add_options(parser)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dates < 2:
        parser.error("--dates: a series has at least two")
    return options


# -- the scene ----------------------------------------------------------------------------------------------


def make_scene(folder: Path, size: int, dates: int) -> None:
    """Write the scene, unless it is there."""
    if (folder / "parcels.gpkg").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    needed = ROOM * dates * size**2 * len(BANDS)  # bytes: two a pixel, of which about half remain
    if shutil.disk_usage(folder).free < needed:
        raise SystemExit(f"{folder} needs {needed / 1e9:.0f} GB of disk: name a roomier --folder")
    count = fields_a_side(size)
    side = size // count
    rng = np.random.default_rng(0)
    crops = rng.integers(0, len(CROPS), (count, count))
    soils = rng.uniform(0.8, 1.2, (count, count))  # brightness of each field: no two chips are alike
    with progress("make the scene", dates, "dates") as track:
        for number in range(dates):
            day = FIRST_DAY + number * EVERY
            write_date(
                folder / f"{day:%Y%m%d}.tif",
                size,
                side,
                season(number / max(dates - 1, 1))[crops] * soils[..., None],
            )
            track()
    rows, columns = np.divmod(np.arange(count * count), count)
    corners = np.array([columns, rows, columns + 1, rows + 1]) * side + np.array([[2], [2], [-2], [-2]])
    left, bottom = TRANSFORM @ (corners[0], corners[3])
    right, top = TRANSFORM @ (corners[2], corners[1])
    table = geopandas.GeoDataFrame(
        {"parcel_id": np.arange(len(rows)), "crop": np.array(CROPS)[crops.ravel()]},
        geometry=shapely.box(left, bottom, right, top), crs="EPSG:32632",
    )  # fmt: skip
    table.to_file(folder / ".parcels.gpkg", layer="parcels")
    (folder / ".parcels.gpkg").rename(folder / "parcels.gpkg")


def fields_a_side(size: int) -> int:
    """Fields along a side of the scene, as many to the ground as in the largest."""
    return max(int(SCENE[1] ** 0.5 * size / SCENE[0] + 0.9), 1)


def season(time_of_year: float) -> NDArray[np.float64]:
    """Reflectance x 10,000 of every crop in every band, `[crops, bands]`; each is green at another time."""
    peaks = np.linspace(0.3, 0.7, len(CROPS))
    ndvi = 0.15 + 0.7 * np.exp(-(((time_of_year - peaks) / 0.15) ** 2))
    red, nir = 2000 * (1 - ndvi), 2000 * (1 + ndvi)
    return np.stack([red * 0.6, red * 0.9, red, nir], -1)


def write_date(path: Path, size: int, side: int, fields: NDArray[np.float64]) -> None:
    """Write one date, a row of tiles at a time: fields of so many pixels a side, `[rows, columns, bands]`."""
    soil = np.array([900, 1100, 1500, 2000], np.uint16)
    grain = np.random.default_rng(size).integers(0, 32, (4, 8, 64)).astype(np.uint16)
    grain = np.tile(grain, (1, TILE // 8, -(-size // 64)))[:, :, :size]
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "width": size, "height": size,
               "crs": "EPSG:32632", "transform": TRANSFORM, "nodata": 0, "tiled": True, "blockxsize": TILE,
               "blockysize": TILE, "compress": "deflate", "zlevel": 1, "num_threads": "all_cpus",
               "bigtiff": "if_safer"}  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.descriptions = BANDS
        for top in range(0, size, TILE):
            rows = np.minimum(np.arange(top, min(top + TILE, size)) // side, len(fields))
            block = np.empty((4, len(rows), size), np.uint16)
            for band in range(4):
                lines = np.full((len(fields) + 1, size), soil[band])
                used = np.unique(rows[rows < len(fields)])
                lines[used, : side * len(fields)] = np.repeat(fields[used, :, band], side, 1)
                np.add(lines[rows], grain[band, : len(rows)], out=block[band])
            raster.write(block, window=Window(0, top, size, len(rows)))


# -- the cases ----------------------------------------------------------------------------------------------


def config(options: argparse.Namespace) -> DatasetConfig:
    """What is made of the scene: questions about places and times, on four dates of each chip."""
    return DatasetConfig.model_validate({
        "source": {"kind": "folder", "path": options.folder / "scene", "exhaustively_labelled": True},
        "tasks": ["field_at_point", "crop_in_box", "crop_box", "count", "peak_of_season", "growing_season"],
        "chip": options.chip, "series": 4, "split_by": "block", "split": (0.8, 0.05, 0.15),
    })  # fmt: skip


def run_case(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one case in this process, and say how long it took."""
    scene = options.folder / "scene"
    forget(scene)
    used, began = os.times(), time.monotonic()
    if case == "bare":
        windows = list(shown_windows(samples_folder(options, CASES[0])))
        with rasterio.Env(GDAL_CACHEMAX=BARE_CACHE_BYTES):
            tones = tones_of(scene)
            used, began = os.times(), time.monotonic()
            read_and_encode(scene, windows, tones)
        found = {"chips": len(windows), "opening": 0.0}
    else:
        found = prepare_part(options, samples_folder(options, case), int(case[0]))
    seconds, now = time.monotonic() - began, os.times()
    processor = sum(now[:4]) - sum(used[:4])  # of this process and of the workers it waited for
    return {**found, "seconds": seconds, "processor": processor}


def prepare_part(options: argparse.Namespace, samples: Path, workers: int) -> dict[str, Any]:
    """Open and plan the whole scene, and cut a part of it."""
    began = time.monotonic()
    found: dict[str, Any] = {}

    def planned(grounds: Sequence[LabelledScene], config: DatasetConfig) -> list[ShardJob]:
        units = plan(grounds, config)
        chosen = spread(units, options.chips)
        found.update(opening=time.monotonic() - began, units=len(chosen), of_units=len(units))
        found.update(windows=sum(unit.windows for unit in chosen), of_windows=sum(u.windows for u in units))
        return chosen

    shutil.rmtree(samples, ignore_errors=True)
    # Not the data set's `limit`: it thins out every neighbourhood, so that tiles would be read for few chips.
    with mock.patch.object(from_scenes, "plan", planned):
        manifest = from_scenes.prepare_dataset("scene", config(options), samples, options.folder, workers)
    return {**found, "chips": sum(counts.chips for counts in manifest.splits.values())}


def spread(units: Sequence[ShardJob], chips: int) -> list[ShardJob]:
    """Units spread evenly over a plan, up to about so many windows; 0 for all."""
    share = chips / sum(unit.windows for unit in units)
    if not 0 < share < 1:
        return list(units)
    count = max(round(share * len(units)), 1)
    return [units[(2 * number + 1) * len(units) // (2 * count)] for number in range(count)]


def forget(scene: Path) -> None:
    """Let go of what the system keeps of the files, so that every case reads them from the disk."""
    for file in scene.glob("*.tif"):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)  # only what is written can be let go of
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def samples_folder(options: argparse.Namespace, case: str) -> Path:
    """Where a case writes its samples."""
    return Path(options.folder, case.replace(" ", "-"))


def shown_windows(samples: Path) -> Iterator[tuple[Window, frozenset[str]]]:
    """Window and shown dates of every chip, in the order in which they were cut."""
    manifest = read_manifest(samples)
    for split in manifest.splits:
        for example in read_store(samples, split):
            days = frozenset(f"{picture.acquired:%Y%m%d}" for picture in example.chip.pictures)
            yield Window(*example.chip.meta["pixel_window"]), days


def tones_of(scene: Path) -> list[NDArray[np.uint8]]:
    """Brightness of every stored number in red, green and blue: the pictures are those of agrilape."""
    (opened,) = open_folder(scene).scenes
    reflectance = np.broadcast_to(np.arange(2**16, dtype=np.float32) / 10_000, (3, 1, 2**16))
    picture = render(reflectance, ("red", "green", "blue"), opened.frames[0].stretch)
    return [np.ascontiguousarray(tones) for tones in picture[0].T]


def read_and_encode(
    scene: Path, windows: Sequence[tuple[Window, frozenset[str]]], tones: Sequence[NDArray[np.uint8]]
) -> None:
    """Read of every date what the samples need, encode the dates that they show, and do nothing else."""
    with ExitStack() as stack:
        dates = {file.stem: stack.enter_context(rasterio.open(file)) for file in sorted(scene.glob("*.tif"))}
        for window, shown in windows:
            for day, raster in dates.items():
                values = raster.read([1, 2, 3, 4] if day in shown else [3, 4], window=window)
                if day in shown:
                    encode_png(np.stack([tones[n].take(values[2 - n]) for n in range(3)], -1))


# -- measuring ----------------------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """All rounds of all cases, each run in a process of its own."""
    found: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    for _ in range(options.rounds):
        for case in CASES:
            found[case].append(observe(case, options))
    return found


def observe(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run a case and watch its memory: the largest sum over its processes, in MiB."""
    command = [sys.executable, __file__, "--case", case, "--folder", str(options.folder)]
    command += ["--size", str(options.size), "--dates", str(options.dates)]
    command += ["--chip", str(options.chip), "--chips", str(options.chips)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        peak = 0.0
        while running.poll() is None:
            peak = max(peak, memory(running.pid))
            time.sleep(EVERY_S)
        assert running.stdout is not None
        said = running.stdout.read()
    if running.returncode:
        raise SystemExit(f"the case {case!r} failed")
    return {**json.loads(said.splitlines()[-1]), "mebibytes": peak}


def memory(pid: int) -> float:
    """Memory of a process and those below it, in MiB; what they share is counted once."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0
    for one in family:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 2**20


# -- the page -----------------------------------------------------------------------------------------------


def setting(options: argparse.Namespace, made: float) -> dict[str, Any]:
    """What was measured on what."""
    files = list((options.folder / "scene").iterdir())
    return {
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "gdal": rasterio.__gdal_version__,
        "parcels": fields_a_side(options.size) ** 2,
        "gigabytes": sum(file.stat().st_size for file in files) / 1e9,
        "made_in_seconds": made,
        **{name: getattr(options, name) for name in ("size", "dates", "chip", "rounds")},
    }


def page_of(result: dict[str, Any]) -> str:
    """The numbers as Markdown: of every case its fastest round, and the most memory of any."""
    facts, cases = result["setting"], result["cases"]
    best = {case: min(rounds, key=lambda one: one["seconds"]) for case, rounds in cases.items()}
    peak = {case: max(one["mebibytes"] for one in rounds) for case, rounds in cases.items()}
    part, rate = best["1 worker"], {case: whole_rate(one, best["1 worker"]) for case, one in best.items()}
    lines = [
        f"{facts['hardware']}, GDAL {facts['gdal']}: {facts['size']:,} x {facts['size']:,} px, 4 bands, "
        f"{facts['dates']} dates ({facts['gigabytes']:.1f} GB, made in {facts['made_in_seconds']:.0f} s), "
        f"{facts['parcels']:,} parcels. {part['units']} of {part['of_units']} units of work, "
        f"{part['windows']:,} of {part['of_windows']:,} chips of {facts['chip']} px. "
        f"Fastest of {facts['rounds']} round(s).",
        "",
        "| | seconds | of them opening | processor seconds | chips/s, whole scene | peak MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case, one in best.items():
        lines.append(
            f"| {case} | {one['seconds']:,.1f} | {one['opening']:,.1f} | {one['processor']:,.1f} | "
            f"{rate[case]:.1f} | {peak[case]:,.0f} |"
        )
    return "\n".join([*lines, "", *targets_of(rate, peak)])


def whole_rate(one: dict[str, Any], part: dict[str, Any]) -> float:
    """Chips per second of the whole scene: it is opened once, and cut at the pace of the part."""
    share = part["windows"] / part["of_windows"]
    return float(one["chips"] / share / (one["opening"] + (one["seconds"] - one["opening"]) / share))


def targets_of(rate: dict[str, float], peak: dict[str, float]) -> list[str]:
    """The targets, what was reached, and whether that is enough."""
    most = max(peak["1 worker"], peak["2 workers"])
    share, faster = rate["1 worker"] / rate["bare"], rate["2 workers"] / rate["1 worker"]
    return [
        "| target | reached | |",
        "| --- | ---: | --- |",
        f"| below {TARGETS['memory']:,} MiB, all processes | {most:,.0f} MiB | "
        f"{verdict(most < TARGETS['memory'])} |",
        f"| one worker at least {TARGETS['bare']:.0%} of the bare loop | {share:.0%} | "
        f"{verdict(share >= TARGETS['bare'])} |",
        f"| two workers at least {TARGETS['workers']} times one | {faster:.2f} | "
        f"{verdict(faster >= TARGETS['workers'])} |",
    ]


if __name__ == "__main__":
    main()
