"""The command line: every command is a few lines over the package. Heavy imports wait until needed.

One module per group of commands, each with `commands` of its own, which `app` takes up.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from agrilape import __version__
from agrilape.cli import data, look, maps, road, study
from agrilape.console import err, out, set_quiet
from agrilape.errors import AgrilapeError

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
for group in (road, study, data, maps, look):
    app.add_typer(group.commands)


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
