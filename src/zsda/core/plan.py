"""What a command would do, told before anything starts: its parts, and what they take of disk and time."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """One step of what is planned: a phase of a training, or a generated set.

    Attributes:
        name: of the phase or the set.
        reads: what it works on, with the number of images, or why that is not known.
        length: how much of it there is to do.
        batch: images or patches that are worked on together; None where that is not known.
        disk: bytes that it leaves; None where that cannot be told.
        seconds: estimated; None where nothing could be measured.
        note: why there is no time, or what the time was taken from.
        done: whether it was finished by an earlier start.
    """

    name: str
    reads: str
    length: str = ""
    batch: int | None = None
    disk: int | None = None
    seconds: float | None = None
    note: str = ""
    done: bool = False


@dataclass(frozen=True)
class Plan:
    """What a command would do.

    Attributes:
        what: what is planned, with its name.
        kind: what its parts are: ``phase`` or ``set``.
        place: the folder that it writes to, which need not exist.
        parts: in their order.
        measured: what times were taken from.
        remarks: what else is to be known.
        faults: why it cannot start, each in one line.
        passing: bytes that it needs beside what it leaves while it runs.
    """

    what: str
    kind: str
    place: Path
    parts: Sequence[Part]
    measured: str = ""
    remarks: Sequence[str] = ()
    faults: Sequence[str] = field(default_factory=list)
    passing: int = 0

    @property
    def left(self) -> list[Part]:
        """The parts that are still to be done."""
        return [part for part in self.parts if not part.done]

    @property
    def disk(self) -> int | None:
        """Bytes that are needed; None where that cannot be told of a part."""
        known = [part.disk for part in self.left if part.disk is not None]
        return sum(known) + self.passing if len(known) == len(self.left) else None

    @property
    def seconds(self) -> float | None:
        """Seconds, estimated; None where that cannot be told of a part."""
        known = [part.seconds for part in self.left if part.seconds is not None]
        return sum(known) if len(known) == len(self.left) else None

    @property
    def free(self) -> int:
        """Bytes that are free where it writes."""
        place = self.place.absolute()
        return shutil.disk_usage(next(path for path in (place, *place.parents) if path.exists())).free

    def lacking(self) -> str | None:
        """Says that the disk has too little room; None where it has enough, or where that cannot be told."""
        needed, free = self.disk, self.free
        if needed is None or needed <= free:
            return None
        return (
            f"{self.place}: {in_bytes(needed)} are needed and {in_bytes(free)} are free; free some, or give another place with "
            "generated_root= or runs_root="
        )


def in_bytes(number: int) -> str:
    """Writes a number of bytes as a human reads it, e.g. ``1.5 GB``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def in_time(seconds: float) -> str:
    """Writes a number of seconds as a human reads it, e.g. ``2 h 05 min``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
