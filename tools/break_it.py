"""Break it: kill, crowd, starve and feed it rubbish, and see whether what it promises holds.

    python tools/break_it.py                        # prints the table of docs/reliability.md
    python tools/break_it.py --only kills --seed 3  # one part of it, with other luck

A tiny run (simulated fields, the `nano` preset with random weights) is made once undisturbed, then

- with 50 kills (`kill -9`) at random writes, renames and steps of prepare, train, evaluate, report and merge:
  each goes on from what the one before left, and at the end the results are those of the undisturbed run;
- with a second process that does the same in the same folder, which must be told who holds it;
- with a disk that takes no more (a limit on the size of files), which must be said, and cost nothing;
- and readers get 100,000 broken answers and 10,000 broken files: no exception but `AgrilapeError`, no crash,
  no hang.

Every act runs in a forked copy of this process, which has imported everything already.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rasterio.errors import NotGeoreferencedWarning

from agrilape import pipeline
from agrilape.cli.inspect import merge
from agrilape.config import load_recipe, parse_recipe
from agrilape.dataset.integrity import check_data_set
from agrilape.errors import AgrilapeError
from agrilape.evaluate.external import FORMATS, score_file
from agrilape.evaluate.predictions import read_rows
from agrilape.files import is_out_of_room
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span
from agrilape.report.run_folder import read_run
from agrilape.sources import open_folder
from agrilape.sources.scene import PixelWindow
from agrilape.tokens import PositionCodec
from agrilape.tokens.grammar import parse, render

Act = Callable[[], object]
RATES = {"projector": 1e-3, "lape": 2e-3}
COMMON = {"steps": 4, "batch_size": 2, "questions_per_chip": 2, "warmup_steps": 1, "checkpoint_every": 2}
RECIPE = {
    "name": "broken",
    "datasets": {
        "farmland": {
            "source": {"kind": "simulate", "scenes": 4, "size": 128, "dates": 2},
            "tasks": ["crop_at_point", "field_at_point", "crop_at_place"], "chip": 64, "questions": 3,
            "split": [0.5, 0.25, 0.25],
        }
    },
    "model": {"preset": "nano"},
    "lape": {"num_spatial_tokens": 20, "num_temporal_tokens": 10},
    "stages": [
        {
            "name": "align", "enable_lape": False, "learning_rates": {"projector": 1e-3}, **COMMON,
            "mixture": {"words": {"weight": 1, "datasets": ["farmland"], "tasks": ["crop_at_place"]}},
        },
        {
            "name": "domain", "enable_lape": True, "learning_rates": RATES, **COMMON,
            "lape_schedule": {"lape_warmup_steps": 2},
            "mixture": {"all": {"weight": 1, "datasets": ["farmland"]}},
        },
    ],
    "evaluation": {"datasets": ["farmland"], "limit": 6},
}  # fmt: skip
KILLS = {"prepare": 12, "train": 18, "evaluate": 10, "report": 5, "merge": 5}
MADE = {
    "prepare": "data",
    "train": "stages",
    "evaluate": "evaluation",
    "report": "report.html",
    "merge": "merged",
}
ROOM = {"prepare": 20_000, "train": 2_000_000, "evaluate": 500, "report": 20_000, "merge": 1_000_000}
"""Bytes that a file may have where the disk is full; more than a batch, which workers pass on as a file."""
OTHERS_NOTES = {"config.json", "tokenizer_config.json", "predictions.state.json"}
"""Transformers notes in them how a model was loaded, we how long answers took and of which file."""
TIMED = ("seconds", "_per_second", "time")
PATIENCE_S = 20  # for one broken file


def acts(run: Path) -> dict[str, Act]:
    """What is done to a run folder, by name, in order."""
    recipe = parse_recipe({**RECIPE, "output": str(run)})
    return {
        "prepare": lambda: pipeline.prepare_run(recipe, workers=1),
        "train": lambda: pipeline.train_run(recipe),
        "evaluate": lambda: pipeline.evaluate_run(recipe),
        "report": lambda: pipeline.report_run(run),
        "merge": lambda: merge(run, run / "merged"),
    }


# --- Acts in processes of their own ---------------------------------------------------------------------


class End(NamedTuple):
    """How a process ended: `done`, `refused` (an `AgrilapeError`), `failed`, `killed`; and what it said."""

    how: str
    said: str


@dataclass
class Doomed:
    """Counts what happens below a folder, and does something to its own process at one of these events."""

    folder: Path
    at: int
    do: Callable[[], None]
    count: int = 0

    def watch(self) -> None:
        """Begin; there is no end but that of the process."""
        step = torch.optim.AdamW.step

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.happen()
            return step(*args, **kwargs)

        torch.optim.AdamW.step = counted  # type: ignore[method-assign]
        sys.addaudithook(self._hear)

    def happen(self) -> None:
        """One more event."""
        self.count += 1
        if self.count == self.at:
            self.do()

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(given[2], int) and given[2] & os.O_CREAT
        changes = event in {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}
        if (writes or changes) and str(given[0]).startswith(str(self.folder)):
            self.happen()


def start(act: Act, prelude: Act | None = None) -> tuple[int, int]:
    """Fork, and let the child act; returns its number and where it says how it ended."""
    told, tell = os.pipe()
    if child := os.fork():
        os.close(tell)
        return child, told
    os.close(told)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(silent, stream)
    try:
        if prelude:
            prelude()
        act()
        os.write(tell, b"done ")
    except AgrilapeError as error:
        os.write(tell, f"refused {error}".encode()[:60_000])
    except BaseException as error:
        if is_out_of_room(error):  # which the command line says in one line
            os.write(tell, b"refused no room on the disk")
            os._exit(0)
        os.write(tell, f"failed {traceback.format_exc()}".encode()[-60_000:])
    finally:
        os._exit(0)


def finish(child: int, told: int) -> End:
    """Wait for a child."""
    pieces = []
    while piece := os.read(told, 1 << 16):
        pieces.append(piece)
    os.close(told)
    os.waitpid(child, 0)
    how, _, said = b"".join(pieces).decode(errors="replace").partition(" ")
    return End(how or "killed", said)


def perform(act: Act, prelude: Act | None = None) -> End:
    """Act in a process of its own."""
    return finish(*start(act, prelude))


def kill_self() -> None:
    """End as by the out-of-memory killer."""
    os.kill(os.getpid(), signal.SIGKILL)


# --- What a run holds -------------------------------------------------------------------------------------


def results(run: Path, name: str) -> dict[str, str]:
    """Digest of each file that an act made, without what clocks say; hidden files are no results."""
    place = run / MADE[name]
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(run).parts)]
    return {
        str(path.relative_to(run)): hashlib.sha256(_content(path)).hexdigest()
        for path in shown
        if "tensorboard" not in path.parts and path.name not in OTHERS_NOTES
    }


def _content(path: Path) -> bytes:
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return json.dumps([_without_time(row) for row in rows]).encode()
    if path.suffix == ".json" and path.name != "manifest.json":
        return json.dumps(_without_time(json.loads(path.read_text())), sort_keys=True).encode()
    return path.read_bytes()


def _without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_time(one) for key, one in value.items() if not any(part in key for part in TIMED)
        }
    return [_without_time(one) for one in value] if isinstance(value, list) else value


def left_behind(run: Path) -> list[str]:
    """Drafts and locks that are there although nothing runs."""
    found = [
        path
        for path in run.rglob(".*")
        if path.name.endswith((".draft", ".old", ".next", ".lock", ".labels"))
    ]
    return [str(path.relative_to(run)) for path in found]


# --- The parts ----------------------------------------------------------------------------------------------


@dataclass
class Row:
    """A line of the table, with what fell."""

    what: str
    tried: str
    held: str
    faults: list[str] = field(default_factory=list)


def undisturbed(run: Path) -> dict[str, int]:
    """Make the run; how many events each act takes."""
    events = {}
    for name, act in acts(run).items():
        counter = Doomed(run, 0, kill_self)

        def counted(act: Act = act, counter: Doomed = counter, name: str = name) -> None:
            act()
            Path(f"{run}.{name}").write_text(str(counter.count))

        end = perform(counted, counter.watch)
        if end.how != "done":
            raise SystemExit(f"{name} fails undisturbed: {end.said}")
        events[name] = int(Path(f"{run}.{name}").read_text())
    return events


def try_kills(
    calm: Path, run: Path, events: Mapping[str, int], dice: random.Random, share: float
) -> Iterator[Row]:
    """Kill each act again and again where chance has it, let it go on, and compare."""
    for name, act in acts(run).items():
        wanted, kills, faults, place = max(1, round(KILLS[name] * share)), 0, [], run / MADE[name]
        ends: Counter[str] = Counter()
        for _ in range(5 * wanted):
            doom = Doomed(run, dice.randint(1, max(1, events[name] // 2)), kill_self)
            ends[(end := perform(act, doom.watch)).how] += 1
            if end.how in {"refused", "failed"}:
                faults.append(f"after a kill: {end.said.strip().splitlines()[-1]}")
                break
            kills += end.how == "killed"
            if kills == wanted:
                break
            if end.how == "done" or dice.random() < 0.2:  # begin anew
                shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)
        faults += _compare(name, act, calm, run)
        yield Row(
            f"`kill -9` of {name}", f"{kills} kills", "the same results" if not faults else "fell", faults
        )


def _compare(name: str, act: Act, calm: Path, run: Path) -> list[str]:
    """Do an act to the end, and say what differs from the undisturbed run."""
    end = perform(act)
    if end.how != "done":
        return [f"{name} does not end: {end.said.strip()[-300:]}"]
    if name == "report":  # names its folder, and the times that all took
        page = (run / MADE[name]).read_bytes()
        perform(act)
        differ = [] if (run / MADE[name]).read_bytes() == page else ["the page differs"]
    else:
        wanted, found = results(calm, name), results(run, name)
        differ = [path for path in sorted({*wanted, *found}) if wanted.get(path) != found.get(path)]
    faults = [f"{name}: differs: {', '.join(differ[:5])}"] if differ else []
    return faults + [f"{name}: left behind: {path}" for path in left_behind(run)]


def try_two_writers(calm: Path, run: Path) -> Iterator[Row]:
    """While one process acts, another that does the same is told who does."""
    faults = []
    for name, act in acts(run).items():
        shutil.copytree(calm, run, dirs_exist_ok=True)
        place = run / MADE[name]
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        waits, goes = os.pipe()

        def pause(goes: int = goes) -> None:
            os.write(goes, b".")
            time.sleep(600)

        first, told = start(act, Doomed(run, 5, pause).watch)
        if not select.select([waits], [], [], 120)[0]:
            faults.append(f"{name}: the first did not begin")
        second = perform(act)
        os.kill(first, signal.SIGKILL)
        finish(first, told)
        if second.how != "refused" or f"process {first} on" not in second.said:
            faults.append(f"{name}: the second {second.how}: {second.said.strip()[-200:]}")
        faults += _compare(name, act, calm, run)
    held = "the second is told who holds the folder" if not faults else "fell"
    yield Row("two writers at once", f"{len(MADE)} commands", held, faults)


def try_full_disk(calm: Path, run: Path) -> Iterator[Row]:
    """A limit on the size of files, as a quota or a full disk is one."""
    faults = []
    for name, act in acts(run).items():
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (ROOM[name], ROOM[name]))
        end = perform(act, limit)
        if end.how != "refused" or "room" not in end.said:
            faults.append(f"{name}: {end.how}: {end.said.strip()[-300:]}")
        faults += _compare(name, act, calm, run)
    held = "said so, and went on to the same results" if not faults else "fell"
    yield Row("full disk", f"{len(MADE)} commands", held, faults)


def try_answers(count: int, seed: int) -> Iterator[Row]:
    """Broken answers of a model, in both spellings of places."""
    codec = PositionCodec(load_lape())
    parts = [
        ("The maize is at ", Box(0.1, 0.2, 0.5, 0.7), ", the rye at ", Point(0.3, 0.4), "."),
        ("Green in ", Span(0.2, 0.6), ", greenest ", Instant(0.4)),
        (Polygon(((0.1, 0.1), (0.9, 0.2), (0.5, 0.8))), " is wheat; 3.5 ha, 12 fields, yes"),
    ]
    kinds = ("position_tokens", "text")
    whole = [render(one, codec, kind).encode() for one in parts for kind in kinds]  # type: ignore[arg-type]

    def read(broken: bytes, number: int) -> None:
        parse(broken.decode(errors="replace"), codec, kinds[number % 2])  # type: ignore[arg-type]

    faults = in_batches(
        count, lambda number, dice: read(mutate(dice.choice(whole), dice), number), seed, 5_000
    )
    yield Row("broken answers", f"{count:,}", "read or refused" if not faults else "fell", faults)


def load_lape() -> Any:
    """Settings of LAPE of the tiny run."""
    return parse_recipe({**RECIPE, "output": "."}).lape


def try_files(count: int, seed: int, calm: Path, room: Path) -> Iterator[Row]:
    """Broken files of every kind that is read."""
    kinds = list(specimens(calm, room))
    for number, (name, file, read) in enumerate(kinds):
        whole, share = file.read_bytes(), count // len(kinds)

        def attempt(
            _: int, dice: random.Random, file: Path = file, whole: bytes = whole, read: Act = read
        ) -> None:
            file.write_bytes(mutate(whole, dice))
            read()

        faults = in_batches(share, attempt, seed + number, 250)
        file.write_bytes(whole)
        yield Row(f"broken files: {name}", f"{share:,}", "read or refused" if not faults else "fell", faults)


def specimens(calm: Path, room: Path) -> Iterator[tuple[str, Path, Act]]:
    """A whole file of each kind, and what reads it."""
    scene = next((calm / "scenes").glob("*/scene_0000"))
    fields = Path(shutil.copytree(scene, room / "fields"))
    for extra in sorted(fields.glob("*.tif"))[1:]:
        extra.unlink()
    image = next(fields.glob("*.tif"))
    (fields / "crops.csv").write_text("code,name\n1,maize\n2,winter wheat\n")
    (fields / "observations.csv").write_text("longitude,latitude,date,bbch\n9.1,49.2,2021-05-03,31\n")
    (fields / "mosaic.vrt").write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64">'
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{image.name}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    everything = partial(open_folder, fields)
    yield "GeoTIFF", image, everything
    yield "VRT", fields / "mosaic.vrt", partial(open_folder, fields, images="*.vrt")
    yield "GeoPackage", fields / "parcels.gpkg", everything
    yield "scene.json", fields / "scene.json", everything
    yield "crops.csv", fields / "crops.csv", everything
    yield "observations.csv", fields / "observations.csv", everything
    yield from _more_specimens(calm, room, fields / "parcels.gpkg")


def _more_specimens(calm: Path, room: Path, parcels: Path) -> Iterator[tuple[str, Path, Act]]:
    import geopandas
    from PIL import Image

    others = room / "others"
    others.mkdir()
    table = geopandas.read_file(parcels, layer="parcels").to_crs(4326)
    for name in ("fields.geojson", "fields.fgb", "fields.parquet"):
        folder = Path(shutil.copytree(parcels.parent, others / name, ignore=shutil.ignore_patterns("*.gpkg")))
        table.to_parquet(folder / name) if name.endswith("parquet") else table.to_file(folder / name)
        yield name.partition(".")[2], folder / name, partial(open_folder, folder, parcels=f"*.{name[7:]}")
    for kind in ("png", "jpg"):
        (others / kind).mkdir()
        picture = others / kind / f"a.{kind}"
        Image.effect_noise((64, 64), 50).convert("RGB").save(picture)
        yield kind.upper(), picture, partial(_look, picture)
    run = Path(
        shutil.copytree(
            calm, room / "run", ignore=shutil.ignore_patterns("scenes", "merged", "*.safetensors")
        )
    )
    data = run / "data" / "farmland"
    yield "recipe.yaml", run / "recipe.yaml", partial(load_recipe, run / "recipe.yaml")
    yield "manifest.json", data / "manifest.json", partial(check_data_set, data)
    yield "Parquet shard", next(data.glob("train-*.parquet")), partial(check_data_set, data)
    predictions = run / "evaluation" / "predictions.jsonl"
    yield "predictions.jsonl", predictions, partial(read_rows, predictions)
    yield "metrics.json", run / "evaluation" / "metrics.json", partial(read_run, run)
    yield "log.jsonl", run / "stages" / "2-domain" / "log.jsonl", partial(read_run, run)
    peers = room / "peers.json"
    rows = [
        {"id": n, "question": "Where?", "answer": "{<10><20><30><40>|<5>}", "ground_truth": "[1, 2, 3, 4]"}
        for n in range(3)
    ]
    peers.write_text(json.dumps(rows))
    yield "predictions of others", peers, partial(_score_all, peers)


def _look(picture: Path) -> None:
    """See a picture as a scene without a place, with its pixels."""
    for scene in open_folder(picture.parent, images=f"*{picture.suffix}").scenes:
        scene.frames[0].read(PixelWindow(0, 0, 32, 32), scene.frames[0].bands)


def _score_all(file: Path) -> None:
    for style in FORMATS:
        try:
            score_file(style, file)
        except AgrilapeError:
            continue


# --- Breaking ---------------------------------------------------------------------------------------------

SPLINTERS = (
    b"NaN", b"-Infinity", b"1e999", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xed\xa0\x80",
    b'"', b"{", b"[" * 3000, b"../../../etc/passwd", b"9" * 400, b"&a [*a, *a]", b"!!python/object:x", b"]]]",
    b"<WIDTH-999>", b"\r", b"2020-99-99", b"null", b"true", b"-1", b"%s", b"\x1b[31m", b"[/x]",
    "ä".encode("utf-16"),
)  # fmt: skip


def mutate(whole: bytes, dice: random.Random) -> bytes:
    """Bytes with one to four faults."""
    broken = bytearray(whole)
    for _ in range(dice.randint(1, 4)):
        if not broken:
            break
        at = dice.randrange(len(broken))
        end = min(len(broken), at + dice.choice((1, 1, 4, 64, 1024)))
        match dice.randrange(7):
            case 0:
                broken[at] ^= 1 << dice.randrange(8)
            case 1:
                del broken[at:]
            case 2:
                del broken[at:end]
            case 3:
                broken[at:at] = dice.choice(SPLINTERS)
            case 4:
                broken[at:end] = dice.randbytes(end - at)
            case 5:
                broken[at:at] = broken[at:end]
            case 6:
                broken[at:end] = dice.choice(SPLINTERS)
    return bytes(broken)


def in_batches(count: int, attempt: Callable[[int, random.Random], None], seed: int, size: int) -> list[str]:
    """Attempt again and again in children, so that a crash or a hang costs one attempt; the faults."""
    faults: Counter[str] = Counter()
    done = 0
    while done < count:
        last = min(count, done + size)
        end, reached, found = _batch(range(done, last), attempt, seed)
        faults.update(found)
        if end.how != "done" and reached < last:
            faults[f"the process ended at attempt {reached}: {end.how} {end.said.strip()[-200:]}"] += 1
            reached += 1
        done = reached
    return [f"{fault} ({times} times)" for fault, times in faults.most_common()]


def _batch(
    numbers: range, attempt: Callable[[int, random.Random], None], seed: int
) -> tuple[End, int, Sequence[str]]:
    """How a child ended, which attempt it had reached, and what it found."""
    with tempfile.TemporaryFile("w+") as notes:

        def work() -> None:
            import warnings

            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            for number in numbers:
                signal.alarm(PATIENCE_S)
                try:
                    attempt(number, random.Random(f"{seed}/{number}"))
                except AgrilapeError:
                    pass
                except Exception as error:
                    where = traceback.extract_tb(error.__traceback__)
                    ours = [
                        one for one in where if "agrilape" in one.filename and "break_it" not in one.filename
                    ]
                    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "here"
                    print(json.dumps(f"{type(error).__name__} from {place}"), file=notes)
                print(number, file=notes, flush=True)

        end = perform(work)
        notes.seek(0)
        said = [json.loads(line) for line in notes]
    reached = max((one + 1 for one in said if isinstance(one, int)), default=numbers.start)
    return end, reached, [one for one in said if isinstance(one, str)]


# --- Reporting --------------------------------------------------------------------------------------------


def main() -> None:
    """Do all that is asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=["kills", "writers", "disk", "answers", "files"], help="one part of it"
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="break-it-") as folder:
        room = Path(folder).resolve()
        calm = room / "calm"
        events = undisturbed(calm) if options.only != "answers" else {}
        dice, share = random.Random(options.seed), options.kills / sum(KILLS.values())
        parts = {
            "kills": lambda: try_kills(calm, room / "kills", events, dice, share),
            "writers": lambda: try_two_writers(calm, room / "writers"),
            "disk": lambda: try_full_disk(calm, room / "disk"),
            "answers": lambda: try_answers(options.answers, options.seed),
            "files": lambda: try_files(options.files, options.seed, calm, room),
        }
        rows = []
        for name, part in parts.items():
            if options.only in {None, name}:
                for row in part():
                    print(
                        f"{time.monotonic() - began:5.0f} s  {row.what}: {row.held}",
                        file=sys.stderr,
                        flush=True,
                    )
                    rows.append(row)
    print("| what | tried | held |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {row.what} | {row.tried} | {row.held} |")
    for row in rows:
        for fault in row.faults[:10]:
            print(f"\n- {row.what}: {fault}")
    sys.exit(any(row.faults for row in rows))


if __name__ == "__main__":
    main()
