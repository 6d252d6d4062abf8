"""Where the time of a training, a prediction or an evaluation goes."""

import logging
import re
import time

import torch
from lightning.pytorch.profilers import Profiler

_log = logging.getLogger(__name__)

WAITING, WRITING, WORKING = "waiting for data", "writing", "device"
_KINDS = {WAITING: re.compile(r".*_next$"), WRITING: re.compile(r"save_checkpoint|\[Callback\].*")}
"""Kind -> the actions of Lightning that it counts; what callbacks do is writing: images, checkpoints, logs, progress."""
_TOLERATED = 0.05  # share of the time that a device may wait for data


class TimeSpent(Profiler):
    """Counts the seconds that the device waits for data, that results are written, and the rest, in which the device works.

    Before each wait the device is waited for, so that what it still has to do is not taken for a wait; this costs a little of the time
    that is measured. Said at the end of each run, with a warning where the device waits for more than a twentieth of the time.

    Attributes:
        seconds: kind -> seconds of the last run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._running: list[tuple[str, str, float]] = []
        self._spent = {WAITING: 0.0, WRITING: 0.0}
        self._begun: float | None = None

    def start(self, action_name: str) -> None:
        """Begins an action; within one of a kind that counts, another one does not count again."""
        kind = next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(action_name)), None)
        if self._begun is None and kind == WAITING:
            self._begun = time.perf_counter()
        if kind is None or self._running:
            return
        if kind == WAITING and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self._running.append((kind, action_name, time.perf_counter()))

    def stop(self, action_name: str) -> None:
        """Ends an action."""
        if self._running and self._running[-1][1] == action_name:
            kind, _, started = self._running.pop()
            if self._begun is not None:
                self._spent[kind] += time.perf_counter() - started

    def describe(self) -> None:
        """Says where the time went, since the first batch was asked for."""
        if self._begun is None:
            return
        whole = time.perf_counter() - self._begun
        self.seconds = {**self._spent, WORKING: max(0.0, whole - sum(self._spent.values()))}
        if self._local_rank in (None, 0):
            shares = ", ".join(f"{kind} {100 * spent / whole:.1f} %" for kind, spent in self.seconds.items())
            _log.info("time: %.1f s, of which %s", whole, shares)
            if self.seconds[WAITING] > _TOLERATED * whole:
                _log.warning(
                    "the device waited for data for %.0f %% of the time; more machine.num_workers= or data.cache=true may help",
                    100 * self.seconds[WAITING] / whole,
                )
        self._running, self._begun = [], None
        self._spent = {WAITING: 0.0, WRITING: 0.0}
