"""Folders that ``zsda.export`` writes, and how it tells its own files there from others."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from zsda.core.errors import RecordError, StoreError
from zsda.core.files import file_digest, is_file
from zsda.core.records import read_plain

RECORD = "export.json"
"""The record; below ``files`` it names all others, each with its SHA-256."""

OTHER_PLACE = "give out=FOLDER, another place, or move it away"

_TOLD = ("files", "set", "source", "classes", "provenance", "versions")

Kind = Literal["network", "set"]


def check_place(out: Path, kind: Kind, names: Iterable[str]) -> list[Path]:
    """Refuses a folder in which files of others, or what somebody made of ours, would be lost.

    Args:
        out: need not exist.
        kind: what is to be written.
        names: the files that will be written or go, below it.

    Returns:
        What an earlier export left there, its record last.

    Raises:
        StoreError: one of ``names`` is there and is of no earlier export; a file of an earlier one was changed; or that one
            was of the other kind.
        RecordError: the record is damaged.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file; expected a folder, or nothing; {OTHER_PLACE}")
    files = _recorded(out, kind)
    for name, known in files.items():
        if is_file(out / name) and file_digest(out / name) != known:
            raise StoreError(f"{out / name} was changed since it was exported, and would be lost; {OTHER_PLACE}")
    own = {**files, RECORD: ""} if files else {}
    foreign = [name for name in names if name not in own and _there(out / name)]
    if foreign:
        raise StoreError(f"{out / foreign[0]} is there, and no export wrote it; {OTHER_PLACE}")
    return [out / name for name in own]


def _recorded(out: Path, kind: Kind) -> dict[str, str]:
    path = out / RECORD
    if not is_file(path):
        return {}
    found = read_plain(path, OTHER_PLACE, told=_TOLD)
    files = found.get("files")
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise RecordError(f"{path}: names no files; expected a record of python -m zsda.export; {OTHER_PLACE}")
    if ("set" in found) != (kind == "set"):
        other = "generated set" if "set" in found else "network"
        raise StoreError(f"{out} holds an exported {other}; {OTHER_PLACE}")
    # Others are no business of an export, whatever the record says.
    return {name: known for name, known in files.items() if ".." not in PurePosixPath(name).parts and name[:1] != "/"}


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()
