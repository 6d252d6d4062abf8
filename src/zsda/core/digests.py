"""What tells the contents of many files apart: their SHA-256, remembered so that only new and changed files are read again."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from zsda.core.files import cache_folder, file_digest
from zsda.core.limits import cores

_log = logging.getLogger(__name__)

_TABLE = "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, state TEXT NOT NULL, digest TEXT NOT NULL)"
_AT_ONCE = 500  # values that a question to the data base may hold
_PATIENCE = 5.0  # seconds to wait for another process that writes to it
_SHOWN = 2**28  # bytes to read, from which on a bar tells how far it is
_TICK = 2 * 10**9  # nanoseconds within which a file system may give two contents of a file the same time


_File = tuple[bytes, str]
"""Absolute path, as the system has it, and state."""

_remembered: dict[_File, str] = {}


class _State(NamedTuple):
    """What the operating system knows of a file: a copying tool can set the time of its content, but not that of its own change."""

    size: int
    inode: int
    content: int
    change: int

    def __str__(self) -> str:
        return " ".join(map(str, self))


def content_digests(paths: Iterable[Path]) -> dict[Path, str | None]:
    """Returns path -> SHA-256 of the file; None for what cannot be read.

    They are remembered in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``, ``zsda/digests.sqlite``), and count as long as
    size, inode and times of a file are as they were. Where nothing can be kept every command reads everything.
    """
    states = {path: _state(path) for path in paths}
    files = {path: (os.fsencode(path.absolute()), str(state)) for path, state in states.items() if state is not None}
    _remembered.update(_recall([file[0] for file in files.values() if file not in _remembered]))
    unknown = [path for path, file in files.items() if file not in _remembered]
    started = time.time_ns()
    read = _read(unknown, sum(state.size for path in unknown if (state := states[path])))
    settled = {}
    for path, digest in read.items():
        state = _state(path)
        if digest and state and state == states[path] and started - max(state.content, state.change) > _TICK:
            settled[files[path]] = digest
    _remembered.update(settled)
    _keep(settled)
    return {
        path: read[path] if path in read else _remembered[files[path]] if path in files else None for path in states
    }


def content_digest(path: Path) -> str | None:
    """Returns the digest of one file; see `content_digests`."""
    return content_digests([path])[path]


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _State(found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def _read(paths: Sequence[Path], size: int) -> dict[Path, str | None]:
    if not paths:
        return {}
    with ThreadPoolExecutor(min(8, cores())) as threads:
        digests = threads.map(_digest, paths)
        bar = track(digests, f"reading {len(paths)} files", len(paths), transient=True, disable=size < _SHOWN)
        return dict(zip(paths, bar, strict=True))


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path) if path.is_file() else None  # a pipe would be waited for
    except OSError:
        return None


def _place() -> Path:
    return cache_folder() / "digests.sqlite"


def _recall(names: Sequence[bytes]) -> dict[_File, str]:
    """Returns the digests of those paths that were kept, each in the state in which it was last."""
    found: dict[_File, str] = {}
    try:
        place = _place()
        if not names or not place.is_file():
            return found
        with closing(sqlite3.connect(place, timeout=_PATIENCE)) as base:
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                question = f"SELECT path, state, digest FROM digests WHERE path IN ({','.join('?' * len(some))})"
                found.update({(path, state): digest for path, state, digest in base.execute(question, some)})
    except (OSError, RuntimeError, sqlite3.Error) as error:
        _log.debug("no digests are remembered: %s", error)
    return found


def _keep(digests: Mapping[_File, str]) -> None:
    if not digests:
        return
    try:
        place = _place()
        place.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=_PATIENCE)) as base, base:
            base.execute(_TABLE)
            rows = [(*file, digest) for file, digest in digests.items()]
            base.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", rows)
    except (OSError, RuntimeError, sqlite3.Error) as error:  # no home, no space, another version
        _log.info("digests of files cannot be remembered (%s), so they are read again at every start", error)
