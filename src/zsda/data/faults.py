"""Bad files met in the middle of a run.

Data loader workers cannot raise a clean error into the main process, and one damaged image among thousands should not end a
run. So a dataset returns a `Fault` where it would raise, `collate` keeps faults beside the good samples, and a `FaultLog` in
the main process counts them, or raises where going on would be wrong.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import distributed
from torch.utils.data import default_collate

from zsda.core.errors import DataError, IncompleteError
from zsda.core.records import printable
from zsda.data.reader import DamagedImageError

_log = logging.getLogger(__name__)

_SHOWN = 8
_TRIES = 16  # samples in a row, after which a set is too damaged for another to stand in


class Fault(NamedTuple):
    """What was wrong with one sample.

    Attributes:
        message: names it.
        fatal: leaving it out would hide a mistake in the whole set.
        stand_in: a good sample that takes its place, in a training whose batches must not shrink.
    """

    message: str
    fatal: bool
    stand_in: dict[str, Any] | None = None


def load_or_fault(load: Callable[[], dict[str, Any] | Fault]) -> dict[str, Any] | Fault:
    """Calls ``load`` and returns its sample, or the fault that kept it from being read."""
    try:
        return load()
    except DataError as error:
        return Fault(str(error), fatal=not isinstance(error, DamagedImageError))


def load_or_stand_in(load: Callable[[int], dict[str, Any] | Fault], index: int, count: int) -> dict[str, Any] | Fault:
    """Calls ``load`` with an index below ``count`` and returns its sample, or the fault in it.

    In a fault that is not fatal one of the next samples stands in: in a training every process must have its share of a batch.
    """
    sample = load_or_fault(lambda: load(index))
    if not isinstance(sample, Fault) or sample.fatal or sample.stand_in is not None:
        return sample
    for step in range(1, min(_TRIES, count)):
        other = load_or_fault(partial(load, (index + step) % count))
        good = other.stand_in if isinstance(other, Fault) else other
        if good is not None:
            return sample._replace(stand_in=good)
    return sample


def collate(
    samples: Sequence[dict[str, Any] | Fault],
    stack: Callable[[list[dict[str, Any]]], dict[str, Any]] = default_collate,
) -> dict[str, Any]:
    """Makes a batch of the good samples and of those that stand in for others; it may be empty.

    Args:
        samples: what a dataset returned.
        stack: makes a batch of good samples.

    Returns:
        The batch, and in ``faults`` what was wrong.
    """
    usable = [sample.stand_in if isinstance(sample, Fault) else sample for sample in samples]
    good = [sample for sample in usable if sample is not None]
    batch = stack(good) if good else {}
    return {**batch, "faults": [s._replace(stand_in=None) for s in samples if isinstance(s, Fault)]}


class FaultLog:
    """Counts the images that a run could not use.

    Args:
        fate: what became of them, as it is told.
    """

    def __init__(self, fate: str = "left out") -> None:
        self.messages: list[str] = []
        self._fate = fate

    def take(self, batch: dict[str, Any]) -> bool:
        """Removes and records the faults of a batch; returns whether anything good is left in it.

        Raises:
            DataError: a fault that makes the whole set doubtful, e.g. an id outside the table.
        """
        for fault in batch.pop("faults", []):
            if fault.fatal:
                raise DataError(fault.message)
            if printable(fault.message) not in self.messages:
                _log.warning("%s: %s", self._fate, printable(fault.message))
            self.add([fault.message])
        return bool(batch)

    def add(self, messages: Sequence[str]) -> None:
        """Counts faults, each once however often it is met."""
        told = dict.fromkeys(map(printable, messages))  # file names may hold anything
        self.messages += [message for message in told if message not in self.messages]

    def gather(self) -> None:
        """Lets every process know the faults of all; to be called by all of them."""
        if distributed.is_available() and distributed.is_initialized():
            everyones: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(everyones, self.messages)
            self.messages = sorted({message for messages in everyones for message in messages})

    def conclude(self, done: str) -> None:
        """Says at the end of a run which images it could not use.

        Raises:
            IncompleteError: there are some.
        """
        if self.messages:
            counted = "1 image was" if len(self.messages) == 1 else f"{len(self.messages)} images were"
            raise IncompleteError(f"{done}, but {counted} {self._fate}: {self.first(_SHOWN)}")

    def first(self, count: int = 3) -> str:
        """Returns the first messages, and how many more there are."""
        more = len(self.messages) - count
        rest = f"; and {more} more, each named in the log" if more > 0 else ""
        return "; ".join(self.messages[:count]) + rest
