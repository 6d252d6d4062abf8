"""Generated sets on disk: folders that explain themselves, grow atomically and are continued after any interruption.

    <root>/generation.json                                              what the set was made with
    <root>/manifest.jsonl                                               one line an image, sorted by source
    <root>/leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png           the layout of the published code
    <root>/contact_sheet.jpg                                            for the eye alone (`zsda.generation.contact`)

An image whose edits were all refused (`zsda.generation.gates`) has a line without output and digest, and no file.

While a run goes on, each process appends its lines to ``manifest.<rank>.jsonl.part``; they become part of the manifest
at the end, or at the start of the next run. No file holds a time or a place, so equal runs make equal folders.
"""

import io
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

from PIL import Image
from pydantic import ConfigDict, Field
from torch import Tensor

from zsda.core.errors import StoreError
from zsda.core.files import describe_os_error, digest, read_regular, remove_parts, to_json, write_atomic
from zsda.core.records import Record, read_plain
from zsda.core.settings import differences
from zsda.data.manifest import DRIFT
from zsda.generation.drift import Drift
from zsda.generation.gates import Rejected
from zsda.generation.tiling import Box

_log = logging.getLogger(__name__)

_PARTS = "manifest.*.jsonl.part"
_TOLD_ONLY = {"versions", "model"}  # of the editor, whose digest or revision decides


class _Drift(Record):
    x: float
    y: float
    zoom: float


class _Attempt(Record):
    patch: int
    seed: int
    flaw: str
    drift: _Drift | None = None


class _Line(Record):
    """What a line of the manifest must hold; there may be more."""

    model_config = ConfigDict(extra="allow")

    source: str
    source_digest: str
    output: str | None
    digest: str | None
    retries: list[_Attempt] = Field(default_factory=list)
    layout_score: Annotated[float, Field(ge=0, le=1)] | None = None
    layout_network: str | None = None
    drift: Annotated[float, Field(ge=0)] | None = None


class Moves(NamedTuple):
    """How the patches of an image lie against what they were made of.

    Attributes:
        measured: whether the gate looked.
        largest: how far they lie from where they belong at most, in pixels; None where that could not be told of any.
        aligned: number of a patch that was moved back -> how it had moved.
    """

    measured: bool = False
    largest: float | None = None
    aligned: Mapping[int, Drift] = {}


class Edited(NamedTuple):
    """One edited image and what it was made from.

    Attributes:
        source: path of the source image relative to its data set, in POSIX form; the result has the same in its set.
        source_digest: SHA-256 of the source file.
        boxes: where the patches lie.
        seeds: the noise seed of each patch, that of its last attempt.
        image: uint8 [3, H, W]; None where a patch was refused in every attempt.
        rejected: the attempts that were thrown away.
        moves: how the patches lie.
    """

    source: str
    source_digest: str
    boxes: Sequence[Box]
    seeds: Sequence[int]
    image: Tensor | None
    rejected: Sequence[Rejected] = ()
    moves: Moves = Moves()


class GeneratedStore:
    """One generated set, made by the owner of its folder (`zsda.core.locks.owned`). Nothing is written before the first image is done.

    Args:
        root: ``<generated_root>/<domain>_<recipe>``.
        settings: plain values that the images depend on; a set is continued if they agree, except below ``versions``.
        retries: how often a bad edit is tried again. No setting of the set: it changes no image that passes, and what it did
            stands in the manifest. An image that was left out after fewer attempts is tried anew.

    Raises:
        StoreError: the folder holds something else: a set made with other settings, or not made by zsda.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any], retries: int = 0) -> None:
        self.root = root
        self.settings = dict(settings)
        self.retries = retries
        self._finished: set[str] = set()
        self._lines: dict[str, dict[str, Any]] = {}
        self._before_gates: dict[str, Any] | None = None  # the settings of a set that was begun then
        self._check()

    def check_places(self, sources: Sequence[str]) -> None:
        """Refuses to write images into a folder that a link within the set leads to: they may be originals.

        Raises:
            StoreError: there is such a link on the way to the place of one of these sources.
        """
        folders = {
            folder for source in sources for folder in (self.root / source).parents if self.root in folder.parents
        }
        links = sorted(folder for folder in folders if folder.is_symlink())
        if links:
            raise StoreError(
                f"{links[0]} is a link to {links[0].resolve()}, where images would be overwritten; expected a folder of the set: remove "
                "the link, or use another domain.name= (cityscapes_root=true makes a folder of links for other code beside the set)"
            )

    def recover(self, sources: Mapping[str, Path]) -> None:
        """Brings the set in order after whatever happened to the last run; to be called by one process.

        Lines that the last run left beside the manifest are merged into it. Of the given sources, images that are
        missing, damaged or made from another version of their source lose their line, and are made again. So do images
        that were left out, where their source has changed or there are more retries now.

        Args:
            sources: where the edit of an image goes, below the set -> the image.

        Raises:
            StoreError: the file system refuses.
        """
        remove_parts(self.root, below=True, owned=True)
        if not (self.root / "generation.json").exists():
            return
        records = self._read()
        for source, original in sources.items():
            if source in records and not self._holds(records[source], original):
                del records[source]
                self._remove(source)
        self._merge(records)

    def finished(self) -> set[str]:
        """Reads which sources have their image or were left out; `add` leaves those as they are."""
        self._finished = set(self._read())
        return self._finished

    def records(self) -> dict[str, dict[str, Any]]:
        """Reads the lines of the images that are there, by source."""
        self._lines = {source: record for source, record in self._read().items() if not _is_left_out(record)}
        return dict(self._lines)

    def left_out(self) -> dict[str, dict[str, Any]]:
        """Reads the lines of the images that were refused in every attempt, by source."""
        return {source: record for source, record in self._read().items() if _is_left_out(record)}

    def add(self, edited: Edited, rank: int = 0) -> bool:
        """Writes an image and its line, or the line alone, unless its source was finished when the run began.

        Returns:
            Whether an image was written.

        Raises:
            StoreError: the file system refuses.
        """
        if edited.source in self._finished:
            return False
        if not (self.root / "generation.json").exists():
            write_atomic(self.root / "generation.json", to_json(self.settings))
        if self._before_gates is not None:
            self._adopt_gate(self._before_gates)
        content = None if edited.image is None else encode(edited.image)
        if content is None:
            self._remove(edited.source)  # a killed run may have left one, and no line
        else:
            write_atomic(self.root / edited.source, content)
        record: dict[str, Any] = {
            "source": edited.source,
            "source_digest": edited.source_digest,
            "split": Path(edited.source).parts[1],
            "boxes": [list(box) for box in edited.boxes],
            "seeds": list(edited.seeds),
            "output": None if content is None else edited.source,
            "digest": None if content is None else digest(content),
        }
        if edited.rejected:  # else the key is absent: equal images have equal lines, also in sets from before the gate
            record["retries"] = [_plain_attempt(rejected) for rejected in edited.rejected]
        if content is not None and edited.moves.measured:
            record[DRIFT] = None if edited.moves.largest is None else round(edited.moves.largest, 1)
        if edited.moves.aligned:
            record["aligned"] = [{"patch": patch, **_plain(drift)} for patch, drift in edited.moves.aligned.items()]
        self._append(record, rank)
        return content is not None

    def amend(self, source: str, values: Mapping[str, Any], rank: int = 0) -> None:
        """Adds values to the line of an image, in place of those of the same names; `conclude` merges them.

        For a set that is concluded: lines of other processes that still lie beside the manifest may win.

        Args:
            source: one of those that `records` returned last.
            values: plain values.
            rank: number of this process.

        Raises:
            StoreError: there was no image of that source, or the file system refuses.
        """
        if source not in self._lines:
            raise StoreError(f"{self.root}: no image of {source} whose line could be amended")
        self._lines[source] = {**self._lines[source], **values}
        self._append(self._lines[source], rank)

    def conclude(self) -> None:
        """Merges the lines of all processes into the manifest; to be called by one process after the others are done.

        Raises:
            StoreError: the file system refuses.
        """
        if records := self._read():
            self._merge(records)

    def _check(self) -> None:
        found = _visible(self.root)
        if not found:
            return
        if "generation.json" not in found:
            raise StoreError(
                f"{self.root}: holds files but no generation.json, so zsda did not make it and will not add to it; "
                "use another domain.name=, or move the folder away"
            )
        made_with = read_plain(self.root / "generation.json", "delete the folder to make the set anew")
        differing = differences(made_with, json.loads(to_json(self.settings)))
        if "gate" in differing and "gate" not in made_with:
            del differing["gate"]
            self._before_gates = made_with
        told = [line for key, line in differing.items() if _TOLD_ONLY & set(key.split("."))]
        if told:
            _log.warning("%s was begun with other versions or names: %s", self.root, "; ".join(told))
        grave = [line for line in differing.values() if line not in told]
        if grave:
            raise StoreError(
                f"{self.root}: made with other settings: {'; '.join(grave)}; "
                "use another domain.name=, ask for the same settings, or delete the folder"
            )

    def _adopt_gate(self, made_with: Mapping[str, Any]) -> None:
        """Records the gate in the settings of a set that was begun before there were any, so that later images pass the same."""
        _log.warning("%s was begun before edits were measured: what is there already may have moved", self.root)
        write_atomic(self.root / "generation.json", to_json({**made_with, "gate": self.settings["gate"]}))
        self._before_gates = None

    def _holds(self, record: dict[str, Any], source: Path) -> bool:
        image = self.root / record["source"]
        try:
            if digest(read_regular(source)) != record.get("source_digest"):
                return False
            if _is_left_out(record):
                return count_attempts(record) > self.retries and not image.exists()
            return digest(read_regular(image)) == record.get("digest")
        except OSError:
            return False

    def _remove(self, source: str) -> None:
        try:
            (self.root / source).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(describe_os_error(error, self.root / source)) from error

    def _append(self, record: dict[str, Any], rank: int) -> None:
        path = self.root / f"manifest.{rank}.jsonl.part"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            with os.fdopen(handle, "ab") as file:
                file.write(_line(record))
        except OSError as error:
            raise StoreError(describe_os_error(error, path)) from error

    def _read(self) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = {}
        for path in (self.root / "manifest.jsonl", *sorted(self.root.glob(_PARTS))):
            for line in self._lines_of(path):
                record = _parse(line)
                if record is not None:
                    records[record["source"]] = record
        return records

    def _lines_of(self, path: Path) -> list[bytes]:
        try:
            return read_regular(path).splitlines() if path.exists() else []
        except OSError as error:
            raise StoreError(describe_os_error(error, path)) from error

    def _merge(self, records: dict[str, dict[str, Any]]) -> None:
        path, content = self.root / "manifest.jsonl", b"".join(_line(records[source]) for source in sorted(records))
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content)
        for part in self.root.glob(_PARTS):
            part.unlink()


def count_attempts(record: Mapping[str, Any]) -> int:
    """Returns how often the patch was edited that an image was left out for, by the line of that image."""
    rejected = record["retries"]
    return sum(entry["patch"] == rejected[-1]["patch"] for entry in rejected)


def _plain_attempt(rejected: Rejected) -> dict[str, Any]:
    plain: dict[str, Any] = {"patch": rejected.patch, "seed": rejected.seed, "flaw": rejected.flaw}
    return plain if rejected.drift is None else {**plain, DRIFT: _plain(rejected.drift)}


def _plain(drift: Drift) -> dict[str, float]:
    return {"x": round(drift.x, 1), "y": round(drift.y, 1), "zoom": round(drift.zoom, 3)}


def _parse(line: bytes) -> dict[str, Any] | None:
    """Reads a line of the manifest; None for one that was torn when the run was killed, or is none: its image is made again."""
    try:
        record = json.loads(line)
        checked = _Line.model_validate(record)
    except (ValueError, RecursionError):  # pydantic's error is a ValueError
        return None
    path = PurePosixPath(checked.source)
    inside = not path.is_absolute() and ".." not in path.parts
    whole = bool(checked.retries) if checked.output is None else checked.output == checked.source
    return record if inside and whole else None


def _is_left_out(record: Mapping[str, Any]) -> bool:
    return record.get("output", "") is None


def encode(image: Tensor) -> bytes:
    """Returns the file of an image, uint8 [3, H, W], as it is written into a set."""
    buffer = io.BytesIO()
    pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
    # Level 1 writes four times faster than the default, at a few percent of size.
    Image.fromarray(pixels).save(buffer, "PNG", optimize=False, compress_level=1)
    return buffer.getvalue()


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")  # halves of characters, as in names of files, in JSON's own writing


def _visible(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if not path.name.endswith(".part")] if root.is_dir() else []
