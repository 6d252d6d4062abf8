"""The JSON files of run folders and generated sets, read as data: plain values under known names, and nothing that acts."""

import json
import math
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from zsda.core.errors import RecordError, StoreError

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
"""Pattern of what can name a folder of its own, and stand in a table as it is."""

PlainName = Annotated[str, Field(pattern=f"^{NAME}$")]

_MOST_BYTES = 4 * 2**20
_LONGEST_KEY = 200
_MOST_LEVELS = 32
_INTEGERS = 2**63
_TURNING = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_ACTING_KEY = re.compile(r"_.*_")  # _target_, _args_, _partial_ and their like


class Record(BaseModel):
    """A file's content, or a part of it; what it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


R = TypeVar("R", bound=Record)
V = TypeVar("V")

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def read_record(kind: type[R], path: Path, way_out: str, told: Collection[str] = ()) -> R:
    """Reads a JSON file of zsda.

    Args:
        kind: what it must hold.
        path: the file.
        way_out: what a message advises.
        told: its keys that are only ever told to a reader, so that their texts may be any.

    Raises:
        RecordError: the file is missing, no JSON object, not plain (`check_plain`), or holds other names or types.
    """
    found = read_plain(path, way_out, told)
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise RecordError(f"{path}: {first_fault(error)}; {way_out}") from error


def first_fault(error: ValidationError, above: str = "") -> str:
    """Says in a few words what did not fit into a `Record` first, and where, below ``above``."""
    first = error.errors()[0]
    place = ".".join([*([above] if above else []), *map(str, first["loc"])])
    if first["type"] == "missing":
        return f"it names no {printable(place)}"
    if first["type"] == "extra_forbidden":
        return f"{printable(place)} is no name that zsda writes"
    reason = first["msg"].removeprefix("Value error, ")
    told = f"{reason[:1].lower()}{reason[1:]}"
    return f"{printable(place)}: {told}, found {_shown(first['input'])}" if place else told


def read_plain(path: Path, way_out: str, told: Collection[str] = ()) -> dict[str, Any]:
    """Reads a JSON file as an object of plain values; for the arguments and errors see `read_record`."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise RecordError(f"{path}: no such file; {way_out}")
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise RecordError(f"{path}: {size} bytes; expected at most {_MOST_BYTES}; {way_out}")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read ({printable(str(error))}); {way_out}") from error
    if not isinstance(found, dict):
        raise RecordError(f"{path}: holds no JSON object; {way_out}")
    try:
        for key, value in found.items():
            if key not in told:
                check_plain({key: value})
    except StoreError as error:
        raise RecordError(f"{path}: {error}; {way_out}") from error
    return found


def check_plain(value: Any, place: str = "", levels: int = 0) -> None:  # noqa: ANN401 - a JSON value
    """Refuses what is more than numbers, texts, lists and names.

    Raises:
        StoreError: a key that would make Hydra build something, an interpolation ``${...}``, a text with control characters, a
            number beyond 64 bits, infinity, or an endless nesting. The message names the key.
    """
    if levels > _MOST_LEVELS:
        raise StoreError(f"{place[:80]}... is nested more than {_MOST_LEVELS} levels deep; expected plain values")
    if isinstance(value, dict):
        for key, inner in value.items():
            name = f"{place}.{printable(str(key)[:_LONGEST_KEY])}".lstrip(".")
            if (
                not isinstance(key, str)
                or len(key) > _LONGEST_KEY
                or _ACTING_KEY.fullmatch(key)
                or "${" in key
                or printable(key) != key
            ):
                raise StoreError(f"{name} is no name that zsda writes; expected names of plain values only")
            check_plain(inner, name, levels + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            check_plain(inner, f"{place}.{number}", levels + 1)
    elif flaw := _flaw(value):
        raise StoreError(f"{place} is {_shown(value)}, {flaw}; expected plain values only")


def _flaw(value: Any) -> str | None:  # noqa: ANN401 - a scalar of JSON
    if isinstance(value, str):
        if "${" in value:
            return "which would be looked up"
        return "with control characters" if printable(value, also="\n\t") != value else None
    if isinstance(value, int):
        return "a number beyond 64 bits" if abs(value) >= _INTEGERS else None
    if isinstance(value, float):
        return "an infinite number" if math.isinf(value) else None
    return None if value is None else f"a {type(value).__name__}"


def validate_json(kind: TypeAdapter[V], content: bytes) -> V:
    """Reads JSON as a type, names of files that are no UTF-8 included, which Python writes as halves of characters.

    Raises:
        ValidationError: it is no such thing.
    """
    try:
        return kind.validate_json(content)
    except ValidationError:
        if not _HALF.search(content):
            raise
        try:
            return kind.validate_python(json.loads(content))
        except (RecursionError, UnicodeDecodeError, json.JSONDecodeError):
            pass
        raise


def printable(text: str, also: str = "") -> str:
    """Returns a text with its control characters, and halves of characters, written out; those of ``also`` stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in also or not _is_control(c) else ascii(c)[1:-1] for c in text)


def _is_control(character: str) -> bool:
    # Spaces of other scripts and what joins their letters are text; what turns the direction of a line round is not.
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING


def _shown(value: Any) -> str:  # noqa: ANN401 - a JSON value
    text = printable(json.dumps(value, default=str))
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_below(path: str) -> bool:
    """Tells whether a path that a file names stays below the folder that it belongs to; links are not followed."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts
