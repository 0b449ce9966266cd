"""Commands about prepared data sets: show, stats, check, export, publish."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from agrilape.cli.options import AsJson, Overwrite
from agrilape.config.former_names import present_task
from agrilape.console import err, out, printable, say
from agrilape.files import require_writable

if TYPE_CHECKING:
    from agrilape.dataset.statistics import CountTokens, Stats

LISTED = 20  # findings of one data set that are printed

commands = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="Inspect prepared data sets: show, count, check, export.")
commands.add_typer(group, name="data", rich_help_panel="Look inside")

Folder = Annotated[
    Path,
    typer.Argument(help="A prepared data set, a folder of several, or a run folder.", metavar="FOLDER"),
]


@group.command()
def show(
    folder: Folder,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="An .html or .png file; else samples.html in the data set."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this one: train, val or test.")] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="NAME", help="Only this task; may be repeated.")
    ] = None,
    per_task: Annotated[int, typer.Option(min=1, help="Samples of each task.")] = 3,
    overwrite: Overwrite = False,
) -> None:
    """Draw samples of every task with their places and times, as one page or one picture."""
    from agrilape.dataset.integrity import find_prepared
    from agrilape.report.sheet import write_sheet

    found = find_prepared(folder)
    for one in found:
        place = output
        if output is not None and len(found) > 1:
            place = output.with_name(f"{output.stem}-{one.name}{output.suffix}")
        require_writable(place or one / "samples.html", overwrite)
        say(f"wrote {write_sheet(one, place, split, [present_task(name) for name in task or ()], per_task)}")


@group.command()
def stats(
    folder: Folder,
    model: Annotated[
        str | None,
        typer.Option(help="Count tokens as this model reads them: nano, smollm2, a Hub id or a folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count samples, chips, tokens, crops and sizes."""
    from agrilape.dataset.integrity import find_prepared
    from agrilape.dataset.statistics import data_stats

    folders = find_prepared(folder)  # before a model is loaded
    count = _token_counter(model) if model else None
    found = [data_stats(one, count) for one in folders]
    if as_json:
        out.print_json(json.dumps([one.model_dump(mode="json") for one in found]))
    else:
        for one in found:
            _print_stats(one)


@group.command()
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Check that data sets are complete, valid and free of leaks; status 1 if anything is wrong."""
    from agrilape.dataset.integrity import check_data_set, find_prepared

    found = {str(one): check_data_set(one) for one in find_prepared(folder)}
    if as_json:
        out.print_json(json.dumps({name: [asdict(one) for one in wrong] for name, wrong in found.items()}))
    else:
        for name, wrong in found.items():
            for one in wrong[:LISTED]:
                err.print(Text.assemble(("wrong", "bold red"), printable(f" {one.where}: {one.problem}")))
            if len(wrong) > LISTED:
                err.print(f"... and {len(wrong) - LISTED} more")
            say(f"{name}: {f'{len(wrong)} problem(s)' if wrong else 'sound'}")
    if any(found.values()):
        raise typer.Exit(1)


@group.command()
def export(
    folder: Folder,
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="geochat, geochat_bench, llava or vrsbench.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for it, new or empty.")],
    split: Annotated[str, typer.Option(help="Which one: train, val or test.")] = "train",
    nearest: Annotated[
        bool,
        typer.Option(
            "--nearest",
            help="Write points and outlines that the format has no sign for as boxes around them.",
        ),
    ] = False,
) -> None:
    """Write a split for other systems, in a published format; what that cannot say is counted."""
    from agrilape.dataset.integrity import find_prepared
    from agrilape.prepare.export import NEAREST, export_split

    found = find_prepared(folder)
    for one in found:
        place = output / one.name if len(found) > 1 else output
        rows, omissions = export_split(one, split, to, place, nearest)
        say(f"{place}: {rows:,} rows")
        for reason, count in omissions.counts.most_common():
            say(f"skipped {count:,} x {reason}")
        if not nearest and to in NEAREST and any("no sign for" in reason for reason in omissions.counts):
            say("--nearest writes points and outlines as boxes around them")


@group.command()
def publish(
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for it; written whole.")],
) -> None:
    """Write a data set for a hub: card, Croissant metadata, conversations that trainers read."""
    from agrilape.dataset.integrity import find_prepared
    from agrilape.prepare.publish import publish_data_set

    found = find_prepared(folder)
    for one in found:
        place = output / one.name if len(found) > 1 else output
        rows = publish_data_set(one, place)
        say(f"{place}: {', '.join(f'{count:,} rows of {split}' for split, count in rows.items())}")


def _token_counter(model: str) -> CountTokens:
    from agrilape.config import LapeConfig
    from agrilape.model.checkpoint_files import load_processor
    from agrilape.model.presets import PRESETS
    from agrilape.tokens import PositionCodec, add_position_tokens
    from agrilape.tokens.chat import Chat

    processor = load_processor(f"preset:{model}" if model in PRESETS else model)
    chat = Chat(processor, PositionCodec(add_position_tokens(processor, LapeConfig())))
    return lambda sample: (len(chat.question(sample).ids), len(chat.answer(sample).ids))


def _print_stats(stats: Stats) -> None:
    splits = list(stats.splits)
    counted = any(task.tokens is not None for task in stats.tasks.values())
    lengths = ("per question", "per answer", "tokens") if counted else ()
    table = Table(stats.name, *splits, "share", *lengths, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    total = sum(counts.samples for counts in stats.splits.values())
    table.add_row("chips", *(f"{stats.splits[split].chips:,}" for split in splits))
    table.add_row("pictures", *(f"{stats.splits[split].pictures:,}" for split in splits))
    table.add_row("places", *(f"{len(stats.splits[split].groups):,}" for split in splits))
    table.add_row("samples", *(f"{stats.splits[split].samples:,}" for split in splits), end_section=True)
    for name, task in stats.tasks.items():
        cells = [f"{task.samples.get(split, 0):,}" for split in splits]
        cells.append(f"{sum(task.samples.values()) / total:.1%}")
        if counted:
            cells += [f"{task.question_tokens:.1f}", f"{task.answer_tokens:.1f}", f"{task.tokens:,}"]
        table.add_row(name, *cells)
    out.print(table)
    _print_shares("crops", list(stats.crops.items()))
    _print_shares("sizes", list(stats.sizes.items()))
    left_out = [f"{count:,} x {reason}" for reason, count in stats.skipped_chips.items()]
    if stats.skipped_scenes:
        left_out.append(f"{stats.skipped_scenes:,} scenes")
    if left_out:
        say(f"skipped: {', '.join(left_out)}")
    for origin in stats.origins:
        terms = ", ".join(filter(None, (origin.licence, origin.citation)))
        say(f"from {origin.source}, {origin.scenes:,} scene(s){f': {terms}' if terms else ''}")


def _print_shares(title: str, shares: Sequence[tuple[str, float]], most: int = 12) -> None:
    if shares:
        rest = sum(share for _, share in shares[most:])
        listed = [f"{name} {share:.0%}" for name, share in shares[:most]]
        say(f"{title}: {', '.join(listed)}{f', others {rest:.0%}' if rest else ''}")
