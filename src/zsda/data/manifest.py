"""What a generated set tells of its images: a line for each in its manifest, read without torch.

`zsda.generation.store` writes it. While a run goes on, and after one that was killed, newer lines lie beside it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from zsda.core.errors import DataError
from zsda.core.files import is_file, read_regular
from zsda.core.records import Record, first_fault, is_below, printable

DRIFT = "drift"
"""Key of a line: how far, in pixels, the image lies from what was edited at most; None where that cannot be told."""

LAYOUT_SCORE = "layout_score"
"""Key of a line: how much of its layout the image keeps, a share of 1; None where that cannot be told."""

LAYOUT_NETWORK = "layout_network"
"""Key of a line: the digest of the weights that gave the score. Scores of different weights cannot be compared."""

_NAME, _PARTS = "manifest.jsonl", "manifest.*.jsonl.part"


class LayoutScore(NamedTuple):
    """What a line tells of the layout of its image.

    Attributes:
        value: the score; None where there is no labelled pixel.
        network: the digest of the weights that gave it; None where that is not told.
    """

    value: float | None
    network: str | None


class Attempt(Record):
    """An edit that was thrown away, and why."""

    model_config = ConfigDict(extra="ignore")

    flaw: str


class ManifestLine(Record):
    """What a line tells of its image, as far as other commands need it; there is more.

    Attributes:
        source: the image that was edited, below its data set; the edit lies at the same path below its own.
        source_digest: SHA-256 of the source.
        output: None where every edit was thrown away, so that there is no image; else as ``source``.
        digest: SHA-256 of the edit.
        split: of the source.
        boxes: where the edited patches lie, left, top, right and bottom in pixels of the edit.
        seeds: of the noise of each of them.
        retries: the edits that were thrown away.
        layout_score: see `LAYOUT_SCORE`.
        layout_network: see `LAYOUT_NETWORK`.
        drift: see `DRIFT`.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    source: str
    source_digest: str | None = None
    output: str | None = None
    digest: str | None = None
    split: str = ""
    boxes: list[list[int]] = Field(default_factory=list)
    seeds: list[int] = Field(default_factory=list)
    retries: list[Attempt] = Field(default_factory=list)
    layout_score: Annotated[float, Field(ge=0, le=1)] | None = None
    layout_network: str | None = None
    drift: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _check_paths(self) -> Self:
        if not is_below(self.source):
            raise ValueError(f"source {self.source!r} is no path below the set")
        if self.output not in (None, self.source):
            raise ValueError(f"output {self.output!r} is not at the path of its source")
        return self

    @property
    def left_out(self) -> bool:
        """Whether there is no image, since no edit of it passed."""
        return self.output is None

    @property
    def layout(self) -> LayoutScore | None:
        """The layout score; None where none was looked for."""
        return LayoutScore(self.layout_score, self.layout_network) if LAYOUT_SCORE in self.model_fields_set else None

    @property
    def measured(self) -> bool:
        """Whether a drift was looked for."""
        return DRIFT in self.model_fields_set


@dataclass(frozen=True)
class Manifest:
    """The lines of a generated set, source -> its line; what is no line is passed over, as by who goes on with the set.

    Attributes:
        path: of the manifest.
        lines: of the manifest, of one source the last.
        beside: those that a run left beside it, which wins over them: it is going on, or was killed.
        fault: why the manifest cannot be read, or not all of it; None where it can.
    """

    path: Path
    lines: Mapping[str, ManifestLine] = field(default_factory=dict)
    beside: Mapping[str, ManifestLine] = field(default_factory=dict)
    fault: str | None = None

    @property
    def newest(self) -> Mapping[str, ManifestLine]:
        """All lines, the newest of each source."""
        return {**self.lines, **self.beside}

    def of_split(self, split: str) -> list[ManifestLine]:
        """Returns the newest lines of a split, in the order of their sources."""
        return [line for _, line in sorted(self.newest.items()) if line.split == split]

    def check(self) -> None:
        """Refuses a manifest that cannot be read in whole.

        Raises:
            DataError: it cannot.
        """
        if self.fault is not None and self.beside and not is_file(self.path):
            raise DataError(
                f"{self.path.parent}: is not finished, {len(self.beside)} lines still lie beside its manifest; start its "
                "python -m zsda.generate again"
            )
        if self.fault is not None:
            raise DataError(
                f"{self.path}: cannot be read ({printable(self.fault)}); expected what python -m zsda.generate writes"
            )


def is_generated(root: Path) -> bool:
    """Tells whether a set says what it was made with; one of the published code, and a rendered one, does not."""
    return is_file(root / "generation.json")


def count_flaws(lines: Iterable[ManifestLine]) -> Counter[str]:
    """Returns flaw -> how many edits were thrown away for it."""
    return Counter(attempt.flaw for line in lines for attempt in line.retries)


def has_none(root: Path, split: str) -> bool:
    """Tells whether a set says itself that it has no image of a split: all were left out, or not one was begun."""
    return is_generated(root) and all(line.left_out for line in read_manifest(root).of_split(split))


def read_manifest(root: Path) -> Manifest:
    """Reads what a set tells of its images; where there is nothing that can be read, that is the fault of an empty one."""
    path = root / _NAME
    lines, fault = _read(path)
    beside: dict[str, ManifestLine] = {}
    for part in sorted(root.glob(_PARTS)):
        beside |= _read(part)[0]  # the last line is often torn: that is no fault
    return Manifest(path, lines, beside, fault)


def _read(path: Path) -> tuple[dict[str, ManifestLine], str | None]:
    """Returns the lines of a file, and what is wrong with it first."""
    lines: dict[str, ManifestLine] = {}
    faults: list[str] = []
    try:
        content = read_regular(path)
    except OSError as error:
        return {}, error.strerror or str(error)
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = _parse(text)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
        else:
            lines[line.source] = line
    return lines, next(iter(faults), None)


def _parse(text: bytes) -> ManifestLine:
    """Raises ValueError, whose message says why it is none."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    try:
        return ManifestLine.model_validate(record)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from error
