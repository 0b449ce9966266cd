"""The command line: every command is a few lines over the package. Heavy imports wait until needed.

One module per group of commands, each with `commands` of its own, which `app` takes up.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from agrilape import __version__
from agrilape.cli import data, look, maps, road, study
from agrilape.console import err, out, set_quiet
from agrilape.errors import AgrilapeError
from agrilape.files import is_out_of_room
from agrilape.io.remote import keep_to_listed_drivers

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


_REMEDIES: dict[type[OSError], str] = {
    FileNotFoundError: "check the path",
    PermissionError: "get the right to it, or name another place",
    FileExistsError: "name another place",
    IsADirectoryError: "name a file",
    NotADirectoryError: "name a folder",
}


def main() -> None:
    """Run the command line; problems that the user can solve end without a traceback, with status 1."""
    try:
        app()
    except AgrilapeError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted\n  -> the same command continues where it stopped", status=130)
    except Exception as error:
        if os.environ.get("AGRILAPE_DEBUG"):
            raise
        if is_out_of_room(error):
            _fail("there is no room on the disk\n  -> free some space and run again")
        if not isinstance(error, OSError):
            raise
        _fail(f"{_what(error)}\n  -> {_REMEDIES.get(type(error), 'set AGRILAPE_DEBUG=1 for the traceback')}")


def _what(error: OSError) -> str:
    """An error of the operating system, or of a library that passes for one, in words."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


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
    keep_to_listed_drivers()
    if quiet or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when transformers is imported
