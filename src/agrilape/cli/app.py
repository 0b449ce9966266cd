"""All commands under one name: a module per group, each with `commands` of its own, which `app` takes up."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agrilape import __version__
from agrilape.cli import data, imports, inspect, pipeline, predict, probe, push, serve, study
from agrilape.cli.interrupt import ErrorPastTyper
from agrilape.console import out, set_quiet
from agrilape.io.remote import keep_to_listed_drivers


class _Commands(TyperGroup):
    """Lets `main` see what typer would end silently: an interruption, a broken pipe to a worker."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise ErrorPastTyper(error, str(ctx.invoked_subcommand or "")) from error


app = typer.Typer(
    name="agrilape",
    cls=_Commands,
    help="Where and when for vision-language models of farmland.\n\n"
    "Start with [bold]agrilape quickstart[/]: it simulates farmland, prepares samples, trains three stages, "
    "evaluates, and writes a report.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (pipeline, study, data, predict, serve, inspect, probe, imports, push):
    app.add_typer(group.commands)


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
    keep_to_listed_drivers()
    if quiet or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when transformers is imported
