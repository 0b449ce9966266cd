"""Commands that look inside: scores of predictions, exports, checkpoints, formulas."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from agrilape.cli.options import AsJson, Overwrite
from agrilape.cli.tables import print_facts, print_scores
from agrilape.config import AXES, LapeConfig, load_recipe
from agrilape.console import out, say, warn
from agrilape.errors import RecipeError
from agrilape.files import require_replaceable, require_writable
from agrilape.locks import output_locked

commands = typer.Typer()


@commands.command(rich_help_panel="Look inside")
def score(
    predictions: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON or JSON-lines file of predictions.")
    ],
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
    from agrilape.evaluate.external import score_file

    scores = score_file(style, predictions, truth)
    if as_json:
        out.print_json(json.dumps(scores))
    else:
        print_scores(scores)
        kept = ("tasks", "by", "confusion", "calibration", "baselines", "versus_baseline", "parse_failures")
        print_facts({name: value for name, value in scores.items() if name not in kept})


@commands.command(rich_help_panel="Look inside")
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or a predictions.jsonl.")],
    style: Annotated[
        str, typer.Option("--format", help="coco, geojson, geoparquet, csv or lmms.")
    ] = "geojson",
    output: Annotated[Path | None, typer.Option(help="File, instead of one beside the predictions.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the predictions of a run for other tools, or its questions as tasks of lmms-eval."""
    if output is not None and style != "lmms":
        require_writable(output, overwrite)
    if style == "lmms":
        paths = _export_tasks(run, output)
    else:
        from agrilape.evaluate.prediction_files import export_run

        paths = export_run(run, style, output)
    for path in paths:
        say(f"wrote {path}")


def _export_tasks(run: Path, output: Path | None) -> list[Path]:
    from agrilape.evaluate.evaluation import asked_of
    from agrilape.evaluate.harness.tasks import export_tasks

    recipe = load_recipe(run)
    subsets = asked_of(recipe.evaluation, recipe.output / "data")
    return export_tasks(recipe.name, subsets, output or recipe.output / "evaluation" / "lmms")


@commands.command(rich_help_panel="Look inside")
def inspect(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(metavar="CHECKPOINT", help="Checkpoint or run folder; leave out to count parameters."),
    ] = None,
    hidden_size: Annotated[
        int | None, typer.Option(min=1, help="Hidden size of a language model, e.g. 4096.")
    ] = None,
    num_spatial_tokens: Annotated[
        int, typer.Option(min=2, help="Tokens on the height axis, and on the width axis.")
    ] = 150,
    num_temporal_tokens: Annotated[int, typer.Option(min=2, help="Tokens on the time axis.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Count LAPE's parameters exactly, or say what is in a checkpoint."""
    if checkpoint is not None:
        from agrilape.model import find_checkpoint
        from agrilape.model.checkpoint_info import inspect_checkpoint

        facts: dict[str, Any] = inspect_checkpoint(find_checkpoint(checkpoint))
    elif hidden_size is not None:
        facts = count_parameters(hidden_size, num_spatial_tokens, num_temporal_tokens)
    else:
        raise RecipeError("nothing to inspect", "name a checkpoint folder, or give --hidden-size")
    if as_json:
        out.print_json(json.dumps(facts))
    else:
        print_facts(facts)


@commands.command(rich_help_panel="Look inside")
def merge(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint, adapter or run folder.")
    ],
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the merged model.")],
) -> None:
    """Write a checkpoint as an ordinary Hugging Face model; its injection into visual features is lost."""
    from agrilape.model import find_checkpoint, load_checkpoint, save_checkpoint
    from agrilape.model import merge as merge_model

    with output_locked(output):
        require_replaceable(output)
        loaded = load_checkpoint(find_checkpoint(checkpoint))
        model = merge_model(loaded.model)
        save_checkpoint(output, model, loaded.processor, loaded.meta)
    if model.config.agrilape["injection_lost"]:
        warn("without the injection it is another model: evaluate both, and report both scores")
    say(f"wrote {output}")


@commands.command(rich_help_panel="Look inside")
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
            verdict = Text("equal", "green") if check.passed else Text("differs", "bold red")
            table.add_row(check.name, check.formula, f"{check.difference:.1e}", verdict)
        out.print(table)
        say("where agrilape departs from the publication on purpose, and why: docs/model.md")
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
