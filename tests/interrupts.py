"""Processes that a test interrupts."""

import signal


def listen() -> None:
    """Let a process hear SIGINT, which what runs in the background of a shell script ignores and hands down.

    For `preexec_fn` of `subprocess.Popen`.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
