"""Writing to disk so that a reader never meets half a file, and what tells files apart."""

import errno
import hashlib
import json
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from zsda.core.errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PART = ".part"
_ABANDONED = 60.0  # seconds
_NO_PATH = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
DISK_ERRORS = (*_FULL, *_NO_PATH, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE)
"""Numbers of the operating system's errors that a user mends by changing the disk or its rights."""


def check_writable(option: str, *folders: Path) -> None:
    """Refuses places where nothing can be written, before the work whose results belong there; leaves nothing there.

    Args:
        option: the key of the command line that says where they are.
        folders: need not exist; then it is asked whether they can be made.

    Raises:
        StoreError: the message names the first of them, the reason and the option.
    """
    for folder in folders:
        place = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
        try:
            # Modes alone do not tell: root passes them by, and a file system may be read-only for all.
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be written ({error.strerror or error}: {place.absolute()}); give {option}=FOLDER, a place where this "
                "user may write"
            ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that it exists either as before or complete; whatever ends the writing, no part of it is left.

    Raises:
        StoreError: the file system refuses, for want of space or of permission.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_PART)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise StoreError(describe_os_error(error, path)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def remove_parts(folder: Path, below: bool = False, owned: bool = False) -> None:
    """Removes what a killed `write_atomic` left in a folder.

    Args:
        folder: need not exist.
        below: look into the folders in it, too, at any depth.
        owned: whether nobody else writes there (`zsda.core.locks.owned`); otherwise what was touched within the last minute stays.
    """
    pattern = f".*{_PART}"
    for part in folder.rglob(pattern) if below else folder.glob(pattern):
        with suppress(OSError):  # what cannot be removed harms nobody
            if not part.is_dir() and (owned or time.time() - part.stat().st_mtime > _ABANDONED):
                part.unlink()


def describe_os_error(error: OSError, path: Path) -> str:
    """Says in one line why the operating system refused to write ``path`` and what to do about it."""
    if error.errno in _FULL:
        remedy = (
            "free some, or point generated_root / runs_root to another disk, and start again: what is finished is kept"
        )
        return f"no space left to write {path}; {remedy}"
    return f"cannot write or read {path}: {error.strerror or error}; expected a place that this user may use"


def cache_folder() -> Path:
    """Returns where zsda keeps what can be made again: ``zsda`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zsda"


def is_file(path: Path) -> bool:
    """Tells whether a file is there, of a path that others may have written: what cannot be looked up is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # no permission, longer than a name can be, no name at all
        return False


def read_regular(path: Path) -> bytes:
    """Reads a file.

    Raises:
        OSError: it is missing, or no regular file: a pipe would be waited for, a device has no end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        return file.read()


def to_json(value: Any) -> bytes:  # noqa: ANN401 - anything that JSON knows
    """Serialises plain values readably and always in the same order."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")  # halves of characters, as in names of files, in JSON's own writing


def digest(content: bytes) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
