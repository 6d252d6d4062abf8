"""Commands side by side, each in a process of its own that is forked from one which has imported everything."""

import fcntl
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import TYPE_CHECKING

from zsda.core.errors import IncompleteError
from zsda.core.signals import ENDING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

INCOMPLETE = IncompleteError.exit_code
_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
_PATIENCE = 120.0  # seconds that a training has to write its checkpoint
# What a command imports for seconds; zsda.data comes first, which keeps libraries from asking the network.
_SLOW = (
    *("zsda.data", "zsda.train", "zsda.eval", "zsda.adaptation.training", "zsda.adaptation.labelling"),
    *("zsda.evaluation.scorer", "segmentation_models_pytorch", "torch.utils.tensorboard"),
)


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: tells it apart from the others, and names its log.
        words: from the name of the command on: ``("train", "experiment=snow")``.
        after: names of the jobs that must have ended well before.
    """

    name: str
    words: tuple[str, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        job: which.
        code: its exit code, as a shell tells it; None where it was left out, for one that it needs had failed.
        seconds: how long it took.
        log: what it wrote.
    """

    job: Job
    code: int | None
    seconds: float
    log: Path


def run_jobs(
    jobs: Sequence[Job],
    number: int,
    logs: Path,
    environment: Mapping[str, str],
    begun: Callable[[Job], object],
    ended: Callable[[Ended], object],
) -> None:
    """Runs commands, so many at a time, each as soon as there is room and those it needs are done; of these the first in the list.

    A command that had to leave inputs out, exit code 1, is done. A signal that ends this process ends the others first, trainings with a
    checkpoint; a second one waits for nothing. They end as well where this process is killed, and when it is started again at once, each
    waits for its predecessor.

    Args:
        jobs: in the order in which they are to begin.
        number: how many run at a time.
        logs: folder of what each writes, ``NAME.log``, to which a later start adds.
        environment: variables that the processes have beside those of this one. What libraries read when they are loaded is that of
            the first call in this process.
        begun: is told of each that begins.
        ended: is told of each that ends or is left out.

    Raises:
        ValueError: jobs wait for one another, or for one that is not there.
    """
    pending, running = list(jobs), dict[ForkServerProcess, tuple[Job, float]]()
    done, lost = set[str](), set[str]()
    logs.mkdir(parents=True, exist_ok=True)
    context = _server(environment)
    with _ended_together(running):
        while pending or running:
            if left_out := [job for job in pending if lost & {*job.after}]:
                for job in left_out:
                    pending.remove(job)
                    lost.add(job.name)
                    ended(Ended(job, None, 0.0, logs / f"{job.name}.log"))
                continue
            ready = [job for job in pending if {*job.after} <= done]
            for job in ready[: number - len(running)]:
                pending.remove(job)
                process = context.Process(target=_work, args=(job.words, logs / f"{job.name}.log", environment))
                running[process] = (job, time.monotonic())
                process.start()
                begun(job)
            if not running:
                raise ValueError(f"{', '.join(job.name for job in pending)}: wait for jobs that are not there")
            wait([process.sentinel for process in running])
            for process in [process for process in running if not process.is_alive()]:
                job, started = running.pop(process)
                code = _shell_code(process)
                (done if code in (0, INCOMPLETE) else lost).add(job.name)
                ended(Ended(job, code, time.monotonic() - started, logs / f"{job.name}.log"))


def _shell_code(process: ForkServerProcess) -> int:
    code = process.exitcode or 0
    return code if code >= 0 else 128 - code


def _server(environment: Mapping[str, str]) -> ForkServerContext:
    """Starts the process that the others are forked from, unless there is one.

    It outlives signals that are sent to all at once, as Slurm does: without it nobody would know what becomes of its children.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_SLOW))
    before, handlers = dict(os.environ), {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    os.environ.update(environment)
    try:
        ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return context


@contextmanager
def _ended_together(running: Mapping[ForkServerProcess, tuple[Job, float]]) -> "Iterator[None]":
    """Ends what runs before a signal, or an error, ends this process."""
    received: list[int] = []

    def end(number: int, frame: "FrameType | None") -> None:
        received.append(number)
        if len(received) == 1:
            sys.stderr.write(f"ending {len(running)} commands, of which trainings write a checkpoint\n")
            _end(running)
        else:
            for process in filter(ForkServerProcess.is_alive, running):
                process.kill()
        handler = before[signal.Signals(received[0])]
        if callable(handler):
            handler(received[0], frame)
        raise SystemExit(128 + received[0])

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    except BaseException:
        _end(running)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(running: Mapping[ForkServerProcess, tuple[Job, float]]) -> None:
    started = [process for process in running if process.pid is not None]
    for process in started:
        process.terminate()
    until = time.monotonic() + _PATIENCE
    for process in started:
        process.join(max(0.0, until - time.monotonic()))


def _work(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    os.setsid()  # a terminal's Ctrl-C reaches the parent alone, which hands it on
    for number in ENDING:  # which what this was forked from ignores
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    # Of its loaders, which would else be this one's, and import all once more.
    multiprocessing.set_start_method(None, force=True)
    os.environ.update(environment)
    with log.open("a", encoding="utf-8") as file:
        with suppress(OSError):  # where the file system knows no locks
            # The same command of a parent that was killed may be writing its checkpoint; what it writes to it keeps locked.
            fcntl.flock(file, fcntl.LOCK_EX)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        command = importlib.import_module(f"zsda.{words[0]}")
        sys.argv = [str(command.__file__), *words[1:]]
        command.main()
    except Exception:
        traceback.print_exc()
        sys.exit(_UNEXPECTED)  # 1, as Python has it, is that of a command that left inputs out


def _end_with(parent: int) -> None:
    wait([parent])
    os.kill(os.getpid(), signal.SIGTERM)
