"""The signals that end a training: those of a terminal, of ``kill``, and of Slurm ahead of its time limit."""

import signal

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def outlive_signals(_worker: int = 0) -> None:
    """Lets this process ignore them: they often reach a loader too, which the training needs to end its step."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
