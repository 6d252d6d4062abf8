"""The signals that end a command: those of a terminal, of ``kill``, and of Slurm ahead of its time limit."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PARENT = "ZSDA_PARENT"  # of the environment: the process that may start others, as those of ddp
_PR_SET_PDEATHSIG = 1  # of Linux
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def ended_by_signals(command: str) -> Iterator[None]:
    """Lets them end what runs within, with a line and 128 + the number as exit code.

    Left alone, Lightning goes on predicting after SIGTERM and answers SIGINT with the exit code 1, and Python with a traceback.

    Not in a thread of its own. A training has its own way to end meanwhile (`zsda.training.checkpoints`).

    Args:
        command: how the line begins.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, unraisable_before = os.getpid(), sys.unraisablehook
    received: list[int] = []
    timers: list[threading.Timer] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner and not received:  # a loader inherits this, and Slurm tells it as well
            received.append(number)
            _kill_loaders()
            told = signal.Signals(number).name
            sys.stderr.write(f"{command}: {told}; started again with the same words it makes what is missing\n")
        # No error of ours: what reads files takes those, and others, for damage.
        raise SystemExit(128 + number)

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if not received:
            unraisable_before(lost)
        elif isinstance(lost.exc_value, SystemExit):
            # Python drops what is raised in a finaliser or around a fork, so the main thread is told once more.
            timers.append(threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, received[0])))
            timers[-1].start()

    before = {number: signal.signal(number, end) for number in ENDING}
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            # A clean-up that was cut short may have put an error of its own in the place of this one. Finalisers of what it leaves
            # half made are still to come, so the hook stays.
            raise SystemExit(128 + received[0])
        sys.unraisablehook = unraisable_before


def end_with_parent() -> None:
    """Lets this process end with the command that started it, even where that is killed and can tell nobody.

    One that was started by torchrun, Slurm, MPI or a shell is left to those.
    """
    parent, os.environ[_PARENT] = os.environ.get(_PARENT), str(os.getpid())
    if parent == str(os.getppid()) and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent != str(os.getppid()):  # it was faster
            raise SystemExit(128 + signal.SIGKILL)


def _kill_loaders() -> None:
    """Ends the processes that load for this one, which would complain at length of how it leaves them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch raises an error of its own when one of them ends
    for child in multiprocessing.active_children():
        child.kill()


def outlive_signals(_worker: int = 0) -> None:
    """Lets this process ignore them: they often reach a loader too, which the training needs to end its step."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
