"""The commands of the pipeline: simulate, prepare, train, evaluate, report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agrilape.cli.options import (
    AllowRemote,
    AsJson,
    Output,
    Overrides,
    Overwrite,
    RecipeArgument,
    open_recipe,
)
from agrilape.cli.tables import print_scores
from agrilape.config import Recipe
from agrilape.config.recipe import SimulateSource
from agrilape.console import out, progress, say, warn
from agrilape.errors import RecipeError
from agrilape.files import require_writable
from agrilape.io.json_text import read_json_object
from agrilape.locks import REPORT, run_locked

LEFT_OUT = 3  # status of a command that did all but what could not be read

commands = typer.Typer()


@commands.command(rich_help_panel="Pipeline")
def quickstart(overrides: Overrides = None, output: Output = None, allow_remote: AllowRemote = False) -> None:
    """Simulate, prepare, train, evaluate and report, in minutes on two cores."""
    from agrilape.pipeline import run_recipe

    recipe = open_recipe("quickstart", overrides, output)
    page = run_recipe(recipe)
    print_scores(read_json_object(recipe.output / "evaluation" / "metrics.json"))
    say(f"\nOpen {page} in a browser.", "bold")


@commands.command(rich_help_panel="Pipeline")
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the scenes are written.")],
    scenes: Annotated[int, typer.Option(min=1, help="Number of landscapes.")] = 1,
    size: Annotated[int, typer.Option(min=128, help="Side of a scene in pixels.")] = 512,
    gsd: Annotated[float, typer.Option(min=0.05, help="Ground sampling distance in metres.")] = 10.0,
    dates: Annotated[int, typer.Option(min=1, help="Acquisitions over the season.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
) -> None:
    """Make farm landscapes with known truth, as ordinary GeoTIFF and GeoPackage files."""
    from agrilape.simulate import simulate_scene

    source = SimulateSource(scenes=scenes, size=size, gsd=gsd, dates=dates, seed=seed)
    with run_locked(folder), progress("simulate", scenes, "scenes") as track:
        for index in range(scenes):
            simulate_scene(folder, source, index)
            track()
    say(f"{scenes} scene(s) in {folder}: one GeoTIFF per date, parcels.gpkg with the truth")


@commands.command(rich_help_panel="Pipeline")
def prepare(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    output: Output = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes; default: as many as are worth it. The result is the same."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Let this Dask scheduler's workers do it, e.g. tcp://host:8786; they see the same files.",
        ),
    ] = None,
    allow_remote: AllowRemote = False,
) -> None:
    """Turn imagery and parcels into questions and answers, stored as Parquet.

    After an interruption the same command continues; what is finished is left alone.

    The status is 3 if some scenes or files had to be skipped. They are listed.

    Look at the result with agrilape data show, data stats and data check.
    """
    from agrilape.pipeline import prepare_run

    loaded = open_recipe(recipe, overrides, output)
    manifests = prepare_run(loaded, workers, scheduler)
    say(f"samples in {loaded.output / 'data'}")
    if left_out := sum(len(manifest.skipped_scenes) for manifest in manifests):
        say(f"{left_out} scene(s) or file(s) skipped, see above; manifest.json lists them too")
        raise typer.Exit(LEFT_OUT)


@commands.command(rich_help_panel="Pipeline")
def train(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    output: Output = None,
    stage: Annotated[
        list[str] | None, typer.Option("--stage", metavar="NAME", help="Only this stage; may be repeated.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it would take: parameters, tokens, memory, time, disk."),
    ] = False,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="MEMORY", help="With --dry-run: whether it fits on such a GPU, such as 24GB."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Train finished and interrupted stages from their start.")
    ] = False,
) -> None:
    """Train the stages; a killed run continues where it stopped."""
    from agrilape.pipeline import train_run

    if gpu is not None and not dry_run:
        raise RecipeError("--gpu is for --dry-run: training takes the GPU that there is", "add --dry-run")
    memory = None if gpu is None else _memory(gpu)
    loaded = open_recipe(recipe, overrides, output)
    if dry_run:
        _print_estimates(loaded, memory)
        return
    stages = train_run(loaded, stage or (), resume=not again)
    say(f"checkpoint in {stages[-1]}")


def _memory(words: str) -> int:
    """Bytes of a size such as 24GB, 24 or 80 GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(g|gb|gib)?", words.strip().lower())
    if not found or float(found[1]) == 0:
        raise RecipeError(f"--gpu {words} is no size of memory", "write it as 24GB")
    return int(float(found[1]) * (2**30 if found[2] == "gib" else 1e9))


def _print_estimates(recipe: Recipe, gpu: int | None) -> None:
    from agrilape.train.estimate import available_gpu, estimate_recipe, missing_extras, what_to_set
    from agrilape.train.starting_model import describe, find_starting_model

    start = find_starting_model(recipe.model, fetch=True)
    for sentence in list(describe(recipe, start)) if start else ():  # all of it, or what is refused
        say(sentence)
    gpu = gpu or available_gpu()
    for missing in missing_extras(recipe):
        warn(missing)
    stages = estimate_recipe(recipe, recipe.output / "data", gpu)
    table = Table("", *(stage.stage for stage in stages), box=None)
    for group in dict.fromkeys(group for stage in stages for group in stage.parameters):
        marks = [" trains" if group in stage.trained else "" for stage in stages]
        counts = [f"{stage.parameters.get(group, 0):,}" for stage in stages]
        table.add_row(f"{group} parameters", *(n + m for n, m in zip(counts, marks, strict=True)))
    table.add_row("steps", *(f"{stage.steps:,}" for stage in stages))
    table.add_row("chips drawn", *(f"{stage.chips:,}" for stage in stages))
    table.add_row("tokens per chip", *(_or_unknown(stage.tokens, "{:.0f}") for stage in stages))
    table.add_row("questions per chip", *(_or_unknown(stage.questions, "{:.1f}") for stage in stages))
    table.add_row("checkpoint", *(f"{stage.checkpoint_bytes / 1e6:,.1f} MB" for stage in stages))
    table.add_row("memory, about", *(f"{stage.memory_bytes / 1e9:,.1f} GB" for stage in stages))
    for part in dict.fromkeys(part for stage in stages for part in stage.memory):
        known = [stage.memory[part] / 1e9 if part in stage.memory else None for stage in stages]
        table.add_row(f"  of it {part}", *(_or_unknown(one, "{:,.2f} GB") for one in known))
    minutes = [None if stage.seconds is None else stage.seconds / 60 for stage in stages]
    table.add_row("time here, about", *(_or_unknown(one, "{:,.1f} min") for one in minutes))
    out.print(table)
    say("Time is that of the steps; loading, checkpoints, evaluation and the report come on top.")
    for stage in stages if gpu else ():
        if remedy := what_to_set(recipe, stage, gpu or 0):
            warn(f"stage {stage.stage} will not fit on a GPU of {(gpu or 0) / 1e9:.0f} GB: {remedy}")
    if any(stage.tokens is None for stage in stages):
        say("Prepare the data to know tokens and time as well: agrilape prepare")


def _or_unknown(value: float | None, form: str) -> str:
    return "?" if value is None else form.format(value)


@commands.command(rich_help_panel="Pipeline")
def evaluate(
    recipe: Annotated[
        str, typer.Argument(help="A run folder, a checkpoint folder in it, or a recipe.", metavar="RUN")
    ],
    overrides: Overrides = None,
    output: Output = None,
    suite: Annotated[
        str | None,
        typer.Option(metavar="SUITE", help="What is measured: agri, quick, or your own YAML file."),
    ] = None,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps", help="Ask whole scenes too, as predict does, and score them against all parcels."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict on the test split, and score beside image-free baselines."""
    from agrilape.pipeline import evaluate_run

    chosen = [f"evaluation.suite={suite}"] if suite else []
    chosen += ["evaluation.maps=true"] if maps else []
    loaded = open_recipe(recipe, [*(overrides or []), *chosen], output)
    metrics = evaluate_run(loaded)
    if as_json:
        out.print_json(json.dumps(metrics))
    else:
        print_scores(metrics)
        say(f"all scores in {loaded.output / 'evaluation' / 'metrics.json'}: agrilape report {loaded.output}")


@commands.command(rich_help_panel="Pipeline")
def calibrate(
    recipe: Annotated[str, typer.Argument(help="A run folder, or a recipe.", metavar="RUN")],
    overrides: Overrides = None,
    output: Output = None,
) -> None:
    """Fit how sure the model says to be to how often it is right, on the val split.

    Kept as calibration.json beside the last checkpoint: agrilape predict then states calibrated confidences,
    and leaves out answers less sure than what was best there.
    """
    from agrilape.pipeline import calibrate_run

    loaded = open_recipe(recipe, overrides, output)
    calibrator = calibrate_run(loaded)
    table = Table("task", "answers", "right", "keep from", box=None, pad_edge=False)
    for task, curve in calibrator.tasks.items():
        table.add_row(task, f"{curve.answers:,}", f"{curve.right:.0%}", f"{curve.threshold:.2f}")
    out.print(table)


@commands.command(rich_help_panel="Pipeline")
def report(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="Run folder, e.g. runs/quickstart.")
    ] = None,
    style: Annotated[str, typer.Option("--format", help="html or markdown.")] = "html",
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="Another run, or a file of rows with id and prediction; may be repeated."),
    ] = None,
    study: Annotated[
        list[Path] | None, typer.Option(help="A study's folder instead of a run; may be repeated.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="Compare a study's variants with this one.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File, instead of one in the folder.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the page that people read from a run folder, or from studies.

    It goes beside what it is about, as report.html or report.md.
    """
    if style not in ("html", "markdown"):
        raise RecipeError(f"there is no report format '{style}'", "use html or markdown")
    if (run is None) == (not study):
        raise RecipeError("a report is about one run, or about studies", "name a run folder, or use --study")
    beside = run or (study or [Path()])[0]
    require_writable(output or beside / f"report.{'html' if style == 'html' else 'md'}", overwrite)
    if run is not None:
        from agrilape.report import write_markdown, write_report

        write = write_report if style == "html" else write_markdown
        with run_locked(run, REPORT):
            say(f"wrote {write(run, compare or (), output)}")
    else:
        from agrilape.report.study import write_study_markdown, write_study_report

        write_study = write_study_report if style == "html" else write_study_markdown
        say(f"wrote {write_study(study or (), output, baseline)}")
