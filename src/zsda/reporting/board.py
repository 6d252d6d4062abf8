"""How far a study is, on the screen."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zsda.core.jobs import INCOMPLETE, Ended, Job


class Board:
    """Shows a bar, what runs, and a line for each job that ended, as long as a ``with`` lasts.

    Args:
        console: where.
        jobs: how many there are.

    Attributes:
        failed: the jobs that failed or were left out.
        incomplete: those that had to leave inputs out.
    """

    def __init__(self, console: Console, jobs: int) -> None:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("", total=jobs)
        self._running: list[str] = []
        self.failed: list[Ended] = []
        self.incomplete: list[Ended] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def begun(self, job: Job) -> None:
        """Names a job among those that run."""
        self._running.append(job.name)
        self._progress.update(self._task, description=", ".join(self._running))

    def ended(self, one: Ended) -> None:
        """Tells how a job ended."""
        if one.job.name in self._running:
            self._running.remove(one.job.name)
        self._progress.update(self._task, description=", ".join(self._running), advance=1)
        if one.code == INCOMPLETE:
            self.incomplete.append(one)
        elif one.code != 0:
            self.failed.append(one)
        self._progress.console.print(f"{one.job.name}: {_how(one)}", markup=False, highlight=False, soft_wrap=True)


def _how(one: Ended) -> str:
    if one.code is None:
        return "left out, since what it needs failed"
    if one.code == INCOMPLETE:
        return f"{one.seconds:.0f} s, but inputs were left out, see {one.log}"
    return f"failed with exit code {one.code}, see {one.log}" if one.code else f"{one.seconds:.0f} s"
