"""The command line: every command is a few lines over the package. Heavy imports wait until needed."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from agrilape import __version__
from agrilape.config import AXES, LapeConfig, Recipe, load_recipe
from agrilape.config.recipe import SimulateSource
from agrilape.console import err, out, progress, say, set_quiet
from agrilape.errors import AgrilapeError, RecipeError

app = typer.Typer(
    name="agrilape",
    help="Where and when for vision-language models of farmland.\n\n"
    "Start with [bold]agrilape quickstart[/]: it simulates farmland, prepares samples, trains three stages, "
    "evaluates, and writes a report.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeArgument = Annotated[
    str,
    typer.Argument(help="A recipe file, or the name of one that ships: quickstart, kits.", metavar="RECIPE"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. --set stages.align.steps=50."),
]
Output = Annotated[Path | None, typer.Option("--output", help="Run folder, instead of the recipe's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def main() -> None:
    """Run the command line; problems that the user can solve end without a traceback, with status 1."""
    try:
        app()
    except AgrilapeError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(
                f"the disk is full ({error.filename or 'while writing'})\n  -> free some space and run again"
            )
        if os.environ.get("AGRILAPE_DEBUG"):
            raise
        _fail(f"{error}\n  -> set AGRILAPE_DEBUG=1 for the traceback")
    except KeyboardInterrupt:
        _fail("interrupted\n  -> the same command continues where it stopped", status=130)


def _fail(message: str, status: int = 1) -> None:
    err.print(f"[bold red]error[/] {message}")
    sys.exit(status)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"agrilape {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Plain lines instead of progress bars.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    set_quiet(quiet)


@app.command(rich_help_panel="The road")
def quickstart(overrides: Overrides = None, output: Output = None) -> None:
    """Simulate, prepare, train, evaluate and report, in minutes on two cores."""
    from agrilape.road import run_recipe

    page = run_recipe(_recipe("quickstart", overrides, output))
    say(f"\nOpen [bold]{page}[/] in a browser.")


@app.command(rich_help_panel="The road")
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the scenes are written.")],
    scenes: Annotated[int, typer.Option(min=1, help="Number of landscapes.")] = 1,
    size: Annotated[int, typer.Option(min=128, help="Side of a scene in pixels.")] = 512,
    gsd: Annotated[float, typer.Option(help="Ground sampling distance in metres.")] = 10.0,
    dates: Annotated[int, typer.Option(min=1, help="Acquisitions over the season.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
) -> None:
    """Make farm landscapes with known truth, as ordinary GeoTIFF and GeoPackage files."""
    from agrilape.simulate import simulate_scene

    source = SimulateSource(scenes=scenes, size=size, gsd=gsd, dates=dates, seed=seed)
    with progress("simulate", scenes, "scenes") as track:
        for index in range(scenes):
            simulate_scene(folder, source, index)
            track()
    say(f"{scenes} scene(s) in {folder}: one GeoTIFF per date, parcels.gpkg with the truth")


@app.command(rich_help_panel="The road")
def prepare(recipe: RecipeArgument, overrides: Overrides = None, output: Output = None) -> None:
    """Turn imagery and parcels into questions and answers, stored as Parquet."""
    from agrilape.road import prepare_run

    loaded = _recipe(recipe, overrides, output)
    prepare_run(loaded)
    say(f"samples in {loaded.output / 'data'}")


@app.command(rich_help_panel="The road")
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
) -> None:
    """Train the stages; a killed run continues where it stopped."""
    from agrilape.road import train_run

    loaded = _recipe(recipe, overrides, output)
    if dry_run:
        _print_estimates(loaded)
        return
    stages = train_run(loaded, stage or ())
    say(f"checkpoint in {stages[-1]}")


def _print_estimates(recipe: Recipe) -> None:
    from agrilape.train.estimate import estimate_recipe

    stages = estimate_recipe(recipe, recipe.output / "data")
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
    minutes = [None if stage.seconds is None else stage.seconds / 60 for stage in stages]
    table.add_row("time here, about", *(_or_unknown(one, "{:,.1f} min") for one in minutes))
    out.print(table)
    if any(stage.tokens is None for stage in stages):
        say("Prepare the data to know tokens and time as well: agrilape prepare")


def _or_unknown(value: float | None, form: str) -> str:
    return "?" if value is None else form.format(value)


@app.command(rich_help_panel="The road")
def evaluate(
    recipe: Annotated[
        str, typer.Argument(help="A run folder, a checkpoint folder in it, or a recipe.", metavar="RUN")
    ],
    overrides: Overrides = None,
    output: Output = None,
    suite: Annotated[
        str | None, typer.Option(help="What is measured: agri, quick, or your own YAML file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict on the places kept out of training, and score beside blind baselines."""
    from agrilape.road import evaluate_run

    chosen = [f"evaluation.suite={suite}"] if suite else []
    loaded = _recipe(recipe, [*(overrides or []), *chosen], output)
    metrics = evaluate_run(loaded)
    if as_json:
        out.print_json(json.dumps(metrics))
    else:
        say(f"scores in {loaded.output / 'evaluation' / 'metrics.json'}")


@app.command(rich_help_panel="The road")
def report(
    run: Annotated[Path, typer.Argument(help="Run folder, e.g. runs/quickstart.")],
    style: Annotated[str, typer.Option("--format", help="html or markdown.")] = "html",
    compare: Annotated[
        list[Path] | None, typer.Option(help="Another run to set beside it; may be repeated.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File, instead of one in the run folder.")] = None,
) -> None:
    """Write the page that people read from a run folder."""
    if style not in ("html", "markdown"):
        raise RecipeError(f"there is no report format '{style}'", "use html or markdown")
    from agrilape.report import write_markdown, write_report

    write = write_report if style == "html" else write_markdown
    say(f"wrote {write(run, compare or (), output)}")


@app.command(rich_help_panel="Look inside")
def score(
    predictions: Annotated[Path, typer.Argument(help="JSON or JSON-lines file of predictions.")],
    style: Annotated[
        str,
        typer.Option("--format", help="agrilape, earthdial, geochat, vrsbench, agromind, llava_st or coco."),
    ] = "agrilape",
    truth: Annotated[
        Path | None, typer.Option(help="File of the truths, where the predictions do not hold them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the predictions of this or another system, by stated rules."""
    from agrilape.evaluate.peers import score_file

    scores = score_file(style, predictions, truth)
    if as_json:
        out.print_json(json.dumps(scores))
    else:
        _print_facts(scores)


@app.command(rich_help_panel="Look inside")
def export(
    run: Annotated[Path, typer.Argument(help="Run folder, or a predictions.jsonl.")],
    style: Annotated[str, typer.Option("--format", help="coco, geojson, geoparquet or csv.")] = "geojson",
    output: Annotated[Path | None, typer.Option(help="File, instead of one beside the predictions.")] = None,
) -> None:
    """Write the predictions of a run for other tools."""
    from agrilape.evaluate.export import export_run

    for path in export_run(run, style, output):
        say(f"wrote {path}")


@app.command(rich_help_panel="On the map")
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, or a run folder.")],
    image: Annotated[Path, typer.Argument(help="GeoTIFF of any size and CRS.")],
    question: Annotated[str, typer.Argument(help='e.g. "where are the maize fields?"')],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="GeoJSON (.geojson) or GeoPackage (.gpkg).")
    ] = Path("fields.geojson"),
    crs: Annotated[
        str, typer.Option(help="wgs84 (GeoJSON), or source: a GeoPackage in the image's CRS.")
    ] = "wgs84",
    composite: Annotated[str, typer.Option(help="true_colour, false_colour or ndvi.")] = "true_colour",
) -> None:
    """Ask a question about a GeoTIFF and get the answer on the map."""
    from agrilape.serve import predict_raster

    say(predict_raster(checkpoint, image, question, output, crs=crs, composite=composite).summary)


@app.command(rich_help_panel="Look inside")
def inspect(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Checkpoint folder; leave out to count parameters.")
    ] = None,
    hidden_size: Annotated[
        int | None, typer.Option(help="Hidden size of a language model, e.g. 4096.")
    ] = None,
    num_spatial_tokens: Annotated[int, typer.Option(help="Tokens on the height and width axes.")] = 150,
    num_temporal_tokens: Annotated[int, typer.Option(help="Tokens on the time axis.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Count LAPE's parameters exactly, or say what is in a checkpoint."""
    if checkpoint is not None:
        from agrilape.model.inspect import inspect_checkpoint

        facts: dict[str, Any] = inspect_checkpoint(checkpoint)
    elif hidden_size is not None:
        facts = count_parameters(hidden_size, num_spatial_tokens, num_temporal_tokens)
    else:
        raise RecipeError("nothing to inspect", "name a checkpoint folder, or give --hidden-size")
    if as_json:
        out.print_json(json.dumps(facts))
    else:
        _print_facts(facts)


@app.command(rich_help_panel="Look inside")
def parity(
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random weights.")] = 0, as_json: AsJson = False
) -> None:
    """Check LAPE against the published formulas, in float64 on random weights."""
    from agrilape.train.parity import TOLERANCE, check_parity

    checks = check_parity(seed)
    if as_json:
        rows = [{**asdict(check), "passed": check.passed} for check in checks]
        out.print_json(json.dumps({"tolerance": TOLERANCE, "checks": rows}))
    else:
        table = Table("LAPE", "as published", "largest difference", "", box=None)
        for check in checks:
            verdict = "[green]equal[/]" if check.passed else "[bold red]differs[/]"
            table.add_row(check.name, escape(check.formula), f"{check.difference:.1e}", verdict)
        out.print(table)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def count_parameters(hidden_size: int, num_spatial_tokens: int, num_temporal_tokens: int) -> dict[str, Any]:
    """Parameters of LAPE's six untied tables, `[N, D]` each.

    Args:
        hidden_size: D, the language model's width.
        num_spatial_tokens: N of height and width.
        num_temporal_tokens: N of time.

    Returns:
        `tables` (name -> count) and their `total`.
    """
    config = LapeConfig(num_spatial_tokens=num_spatial_tokens, num_temporal_tokens=num_temporal_tokens)
    names = {"height": "spatial_height", "width": "spatial_width", "temporal": "temporal"}
    tables = {
        f"{names[axis]}_{side}": config.bins(axis) * hidden_size for axis in AXES for side in ("in", "out")
    }
    return {"hidden_size": hidden_size, "tables": tables, "total": sum(tables.values())}


def _print_facts(facts: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    for key, value in facts.items():
        for name, item in value.items() if isinstance(value, dict) else [(key, value)]:
            table.add_row(str(name), f"{item:,}" if isinstance(item, int) else str(item))
    out.print(table)


def _recipe(name: str, overrides: list[str] | None, output: Path | None) -> Recipe:
    given = list(overrides or []) + ([f"output={output}"] if output else [])
    return load_recipe(name, given)
