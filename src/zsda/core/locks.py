"""One process writes to a folder at a time."""

import errno
import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from zsda.core.errors import StoreError
from zsda.core.files import describe_os_error

_log = logging.getLogger(__name__)

_own: set[Path] = set()
_HELD = (errno.EACCES, errno.EAGAIN)  # what a held lock is answered with, by the system


@contextmanager
def owned(*folders: Path) -> Iterator[None]:
    """Keeps other processes from owning the same folders while the block runs.

    Each folder, which need not exist, has a lock file beside it, ``.<name>.lock``, that tells host, process and time. The system
    takes back the lock of a process that ended, however it ended, so a file that a killed process left keeps nobody out. Where
    the file system knows no locks the file itself counts, as long as its process may be running.

    Raises:
        StoreError: another process owns one of the folders, or the file system refuses.
    """
    with ExitStack() as stack:
        for folder in dict.fromkeys(folder.resolve() for folder in folders):
            stack.enter_context(_owned(folder))
        yield


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    path = folder.parent / f".{folder.name}.lock"
    if path in _own:  # the system lets a process lock again what it has locked, and gives it back at the first end
        raise StoreError(f"{folder}: this command is writing to it already")
    made = [parent for parent in (folder.parent, *folder.parent.parents) if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = _take(path, folder)
    except OSError as error:
        raise StoreError(describe_os_error(error, path)) from error
    _own.add(path)
    try:
        yield
    finally:
        _own.remove(path)
        if _is_at(file, path):
            path.unlink(missing_ok=True)
        file.close()
        for parent in made:
            with suppress(OSError):  # it holds something by now
                parent.rmdir()


def _take(path: Path, folder: Path) -> BinaryIO:
    while True:
        try:
            file, new = _open(path, os.O_CREAT | os.O_EXCL), True
        except FileExistsError:
            try:
                file, new = _open(path, os.O_NOFOLLOW), False
            except FileNotFoundError:
                continue  # given back between the two
        owner = _read(file)
        try:
            # A record lock is not inherited by the workers of a data loader, which outlive a killed run for some seconds.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                file.close()
                raise StoreError(f"{folder}: {_describe(owner)} is writing to it; wait until it has ended") from error
            _log.debug("%s cannot be locked: %s", path, error)
            if not new:
                file.close()
                if not _has_ended(owner):
                    way_out = f"wait until it has ended; if it has, delete {path}"
                    raise StoreError(f"{folder}: {_describe(owner)} is writing to it; {way_out}") from error
                path.unlink(missing_ok=True)
                continue
        if not _is_at(file, path):  # its owner removed it after it was opened here
            file.close()
            continue
        if owner:
            _log.info("%s: taken over from %s which ended without giving it back", folder, _describe(owner))
            if owner["host"] != platform.node():
                _log.warning(
                    "%s: make sure that it has, where locks of the file system do not reach other hosts", folder
                )
        _write(file)
        return file


def _open(path: Path, how: int) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | how, 0o644), "r+b", buffering=0)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read(file: BinaryIO) -> dict[str, Any]:
    try:
        found = json.loads(file.read(1000))
        return {"host": str(found["host"]), "pid": int(found["pid"]), "since": str(found["since"])}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {}  # new, or its owner has yet to write it


def _write(file: BinaryIO) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    file.seek(0)
    file.truncate()
    file.write(json.dumps({"host": platform.node(), "pid": os.getpid(), "since": since}).encode())


def _describe(owner: dict[str, Any]) -> str:
    if not owner:
        return "another process"
    host, since = (ascii(owner[key])[1:-1] for key in ("host", "since"))
    return f"process {owner['pid']} on {host}, since {since},"


def _has_ended(owner: dict[str, Any]) -> bool:
    """Tells whether a process is certainly gone; one of another host may be running."""
    if owner.get("host") != platform.node():
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
