"""The signals that end a command: those of a terminal, of ``kill``, and of Slurm ahead of its time limit."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def ended_by_signals(command: str) -> Iterator[None]:
    """Lets SIGTERM and SIGUSR1 end what runs within, with a line and 128 + the number as exit code; Lightning alone goes on predicting.

    Not in a thread of its own. A training has its own way to end meanwhile (`zsda.training.checkpoints`).

    Args:
        command: how the line begins.
    """
    owner = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:  # a loader inherits this, and Slurm tells it as well
            told = signal.Signals(number).name
            sys.stderr.write(f"{command}: {told}; started again with the same words it makes what is missing\n")
        # No error of ours: what reads files takes those, and others, for damage.
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in ENDING if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outlive_signals(_worker: int = 0) -> None:
    """Lets this process ignore them: they often reach a loader too, which the training needs to end its step."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
