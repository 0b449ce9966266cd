"""The command line: every command is a few lines over the package. Heavy imports wait until needed.

Here is only what starts it, on the standard library alone: a dependency that is missing or broken is found
when the commands are imported, and is a failure like any other.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Run the command line, and exit with its status.

    No failure shows a traceback, unless `AGRILAPE_DEBUG=1` asks for it. Status 1: a problem that the user can
    solve; 2: the command line itself; 70: what nobody planned; 130 and 143: interrupted, ended.
    """
    from agrilape.cli.failures import report
    from agrilape.cli.interrupt import mend_streams, quiet_threads, require_folder, signals

    mend_streams()
    with signals(), quiet_threads():
        try:
            require_folder()
            import_module("agrilape.cli.app").app()
            status: int | str | None = 0
        except SystemExit as ended:
            status = ended.code
        except BaseException as error:  # torch's checkpoints raise what is no Exception
            status = report(error)
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError) as error:
            status = report(error)
    sys.exit(status)
