"""What was predicted already, so that it is not made again.

<root>/predictions.json     the network, and how it was asked
<root>/predicted.jsonl      a line for each output: its path below the root, digest and path of what it is of; no digest, "", until it is
                            finished; the last line of an output counts
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from zsda.core.errors import StoreError
from zsda.core.files import describe_os_error, is_file, remove_parts, to_json, write_atomic
from zsda.core.records import Record, read_record

_RECORD, _LINES = "predictions.json", "predicted.jsonl"
_WAY_OUT = "give out=FOLDER to keep both, again=true to make all of it anew, or delete it"
_UNFINISHED = ""
"""In place of a digest: the output was begun, or made with settings that are forgotten; it is no prediction, but zsda wrote it."""


def holds_predictions(folder: Path) -> bool:
    """Tells whether a folder is one of predictions."""
    return is_file(folder / _RECORD)


class Work(NamedTuple):
    """A file of which something is made.

    Attributes:
        source: the file.
        digest: of its content; None if what is made of it is never finished, as it cannot be read.
        outputs: paths of files or folders below the root of the store.
    """

    source: Path
    digest: str | None
    outputs: Sequence[str]

    @property
    def place(self) -> str:
        """Where the file lies, without links, as it is recorded."""
        return os.path.realpath(self.source)


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
        self._record = to_json({"settings": settings, "provenance": provenance})
        self._lines = {output: (_UNFINISHED if again else digest, source) for output, (digest, source) in self._read()}

    def begin(self, works: Sequence[Work]) -> list[Work]:
        """Prepares the folder for outputs, and removes those that were made of a former content of the same files.

        Nothing is written or removed if an output is refused.

        Args:
            works: all that belongs to one start of the command.

        Returns:
            Those of which an output is missing, or not made of the present content.

        Raises:
            StoreError: an output would take the place of one of the files, of what zsda did not write, or of the prediction of
                another file; or the file system refuses.
        """
        sources = {work.place for work in works}
        missing = [work for work in works if not self._has(work, sources)]
        present = {work.place: work.digest for work in missing}
        wanted = {output: work for work in missing for output in work.outputs}
        old = [
            output
            for output, (digest, source) in self._lines.items()
            if (source in present and digest != present[source])
            or (output in wanted and digest != wanted[output].digest)
        ]
        remove_parts(self.root, below=True, owned=True)
        for output in old:
            _remove(self.root / output)
            del self._lines[output]
        # Written down before they are made, so that what a killed command leaves is known as its own.
        self._lines.update({output: (_UNFINISHED, work.place) for output, work in wanted.items()})
        write_atomic(self.root / _RECORD, self._record)
        # Whole again, where a line was cut short.
        write_atomic(self.root / _LINES, b"".join(_line(*line) for line in self._lines.items()))
        return missing

    def note(self, work: Work) -> None:
        """Writes down that the outputs of a file whose content can be read are finished.

        Raises:
            StoreError: the file system refuses.
        """
        made = dict.fromkeys(work.outputs, (work.digest or _UNFINISHED, work.place))
        self._lines.update(made)
        try:
            with (self.root / _LINES).open("ab") as file:
                file.write(b"".join(_line(*line) for line in made.items()))
        except OSError as error:
            raise StoreError(describe_os_error(error, self.root / _LINES)) from error

    def _has(self, work: Work, sources: Iterable[str]) -> bool:
        whole = work.digest is not None
        for output in work.outputs:
            path = self.root / output
            there = os.path.lexists(path)
            if os.path.realpath(path) in sources:
                raise StoreError(f"{path} is to be predicted, and would be written over; give out=FOLDER, another one")
            made, source = self._lines.get(output, (None, None))
            if there and made is None:
                raise StoreError(
                    f"{path} would be written over, and is no prediction that {_LINES} tells of; give out=FOLDER, another one, or move it "
                    "away"
                )
            if there and made not in (work.digest, _UNFINISHED) and source != work.place:
                raise StoreError(f"{path} is the prediction of {source}; {_WAY_OUT}")
            whole = whole and there and made == work.digest
        return whole

    def _check(self, settings: Mapping[str, Any]) -> None:
        found = read_record(PredictionsFile, self.root / _RECORD, _WAY_OUT, told=("provenance",)).settings
        now = json.loads(to_json(settings))
        other = sorted(key for key in {*found, *now} if found.get(key) != now.get(key))
        if other:
            raise StoreError(f"{self.root} holds predictions with other {', '.join(other)}; {_WAY_OUT}")

    def _read(self) -> Iterator[tuple[str, tuple[str, str]]]:
        path = self.root / _LINES
        for line in path.read_bytes().splitlines() if is_file(path) else []:
            try:
                output, digest, source = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue  # cut short; what it told of is made again
            if all(isinstance(value, str) for value in (output, digest, source)) and _is_below(output):
                yield output, (digest, source)


def _is_below(output: str) -> bool:
    """Tells whether a path that others may have written stays in the folder: what is old there is removed."""
    path = PurePosixPath(output)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in output


def _line(output: str, made: tuple[str, str]) -> bytes:
    return json.dumps([output, *made]).encode() + b"\n"


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except NotADirectoryError:
        return  # a folder on the way to it is a file by now
    except OSError as error:
        raise StoreError(describe_os_error(error, path)) from error


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
