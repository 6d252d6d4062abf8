"""How mutants were taken, counted by their kind."""

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READ, REFUSED, FAULT = "read", "refused in one line", "traceback"


class Outcomes:
    """Counts how mutants of each kind were taken, and keeps what was said of the faults."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self.faults: list[str] = []

    def add(self, kind: str, outcome: str, said: str = "") -> None:
        """Counts one."""
        self._counts.setdefault(kind, Counter())[outcome] += 1
        if outcome == FAULT:
            self.faults.append(f"{kind}: {said}")

    def total(self, outcome: str) -> int:
        """Returns how many were taken so."""
        return sum(counts[outcome] for counts in self._counts.values())

    def kinds(self) -> set[str]:
        """Returns the kinds that there were."""
        return {*self._counts}

    def table(self) -> str:
        """Returns a row for each kind."""
        columns = (READ, REFUSED, FAULT)
        rows = [[kind, sum(of.values()), *(of[name] for name in columns)] for kind, of in sorted(self._counts.items())]
        rows.append(["all", *(sum(row[place] for row in rows) for place in range(1, len(columns) + 2))])
        lines = [f"{'kind of mutation':40} {'count':>6}" + "".join(f" {name:>20}" for name in columns)]
        lines += [f"{kind:40} {count:6}" + "".join(f" {n:20}" for n in taken) for kind, count, *taken in rows]
        return "\n".join(lines)


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Lets this process take so many bytes more than it has, where the system tells and heeds it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
