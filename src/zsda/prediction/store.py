"""What was predicted already, so that it is not made again.

<root>/predictions.json     the network, and how it was asked
<root>/predicted.jsonl      a line for each finished file: its path below the root, digest and path of what it is of
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zsda.core.errors import StoreError
from zsda.core.files import describe_os_error, is_file, remove_parts, to_json, write_atomic
from zsda.core.records import Record, read_record

_RECORD, _LINES = "predictions.json", "predicted.jsonl"
_WAY_OUT = "give out=FOLDER to keep both, again=true to make all of it anew, or delete it"


class PredictionsFile(Record):
    """What stands in ``predictions.json``: ``settings`` that predictions depend on, and ``provenance``."""

    settings: dict[str, Any]
    provenance: dict[str, Any]


class PredictionStore:
    """A folder of predictions, of one network that is asked in one way.

    Args:
        root: the folder; need not exist.
        settings: plain values that all predictions depend on.
        provenance: how this command was started.
        again: forget what was predicted before, with whatever settings.

    Raises:
        StoreError: the folder holds predictions with other settings, or the file system refuses.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any], provenance: Mapping[str, Any], again: bool) -> None:
        self.root = root
        if is_file(root / _RECORD) and not again:
            self._check(settings)
        lines = {} if again else dict(self._read())
        remove_parts(root, below=True, owned=True)
        write_atomic(root / _RECORD, to_json({"settings": settings, "provenance": provenance}))
        # Whole again, where a line was cut short.
        write_atomic(root / _LINES, b"".join(_line(*line) for line in lines.items()))
        self._lines = lines

    def has(self, source: Path, digest: str | None, outputs: Iterable[str]) -> bool:
        """Tells whether all outputs of a file are there, made of its present content.

        Args:
            source: the file.
            digest: of its content; None is what cannot be read.
            outputs: paths of files or folders below the root.

        Raises:
            StoreError: one was made of another file.
        """
        whole, place = digest is not None, str(source.resolve())
        for output in outputs:
            found, of = self._lines.get(output, (None, place))
            if found != digest and of != place and (self.root / output).exists():
                raise StoreError(f"{self.root / output} is the prediction of {of}; {_WAY_OUT}")
            whole = whole and found == digest and (self.root / output).exists()
        return whole

    def note(self, source: Path, digest: str | None, outputs: Iterable[str]) -> None:
        """Writes down that outputs of a file are finished; for the arguments see `has`.

        Raises:
            StoreError: the file system refuses.
        """
        made = dict.fromkeys(outputs, (digest, str(source.resolve())))
        self._lines.update(made)
        try:
            with (self.root / _LINES).open("ab") as file:
                file.write(b"".join(_line(*line) for line in made.items()))
        except OSError as error:
            raise StoreError(describe_os_error(error, self.root / _LINES)) from error

    def _check(self, settings: Mapping[str, Any]) -> None:
        found = read_record(PredictionsFile, self.root / _RECORD, _WAY_OUT, told=("provenance",)).settings
        now = json.loads(to_json(settings))
        other = sorted(key for key in {*found, *now} if found.get(key) != now.get(key))
        if other:
            raise StoreError(f"{self.root} holds predictions with other {', '.join(other)}; {_WAY_OUT}")

    def _read(self) -> Iterator[tuple[str, tuple[str | None, str]]]:
        path = self.root / _LINES
        for line in path.read_bytes().splitlines() if is_file(path) else []:
            try:
                output, digest, source = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue  # cut short; what it told of is made again
            if all(isinstance(value, str) for value in (output, digest, source)):
                yield output, (digest, source)


def _line(output: str, made: tuple[str | None, str]) -> bytes:
    return json.dumps([output, *made]).encode() + b"\n"


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yields a place beside a file for what others write by its name; once it is whole it takes the place of the file.

    Raises:
        StoreError: the file system refuses.
    """
    part = path.with_name(f".part_{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise StoreError(describe_os_error(error, path)) from error
    finally:
        part.unlink(missing_ok=True)
