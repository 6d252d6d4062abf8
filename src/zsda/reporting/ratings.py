"""How good the edits of sets are, on the screen, and with a picture of the worst."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsda.core.errors import StoreError
from zsda.core.records import printable
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.inspection import Finding, Listed, SetReport
from zsda.reporting.quality import Distribution, EditQuality, bins, rate_edits
from zsda.reporting.worst import frame_name, write_worst

_BAR = 12  # signs in the longest bar
_SCORE, _DRIFT = "layout score", "drift in pixels"
_DIGITS = {_SCORE: 3, _DRIFT: 1}


@dataclass(frozen=True)
class RatedSet:
    """One split of a generated set.

    Attributes:
        quality: of its edits; None where the set does not say how it was made.
        picture: the sheet of the worst; None where there is none.
    """

    quality: EditQuality | None
    picture: Path | None = None

    def plain(self) -> dict[str, Any] | None:
        """Returns all of it as plain values."""
        picture = None if self.picture is None else str(self.picture)
        return None if self.quality is None else {**self.quality.plain(), "picture": picture}


def rate_sets(listed: Sequence[Listed], reports: Sequence[SetReport], folder: Path) -> dict[str, RatedSet]:
    """Rates the edits of generated sets, and draws the worst; what a user should know beside that is added to their reports.

    Args:
        listed: the sets; one that could not be listed, or is none of edits, is passed over.
        reports: of each.
        folder: of the pictures, ``<set>.png`` for edits of the train split, ``<set>_<split>.png`` for those of another.

    Returns:
        Name of a set -> its rating.
    """
    rated = {}
    for one, report in zip(listed, reports, strict=True):
        if not isinstance(one.dataset, GeneratedSet):
            continue
        try:
            quality = rate_edits(one.dataset)
        except StoreError as error:
            report.findings.append(Finding("quality", str(error)))
            continue
        picture, said = (None, []) if quality is None else _draw(one.dataset, quality, folder)
        report.findings += [*(quality.findings() if quality is not None else ()), *said]
        rated[report.name] = RatedSet(quality, picture)
    return rated


def _draw(dataset: GeneratedSet, quality: EditQuality, folder: Path) -> tuple[Path | None, list[Finding]]:
    path = folder / f"{dataset.root.name}{'' if dataset.split == 'train' else f'_{dataset.split}'}.png"
    try:
        drawn, passed = write_worst(path, dataset, quality)
    except StoreError as error:  # the figures are worth more than the picture
        drawn, passed = False, [f"no picture of the worst edits: {error}"]
    return path if drawn else None, [Finding("quality", said, fault=False) for said in passed]


def show_rated(console: Console, rated: RatedSet) -> None:
    """Prints how good the edits of a set are."""
    quality = rated.quality
    if quality is None:
        _say(console, "no generation.json, so that nothing tells how these images were made: there is nothing to rank")
        console.print()
        return
    _say(console, _made(quality))
    found = {name: values for name, values in ((_SCORE, quality.scores), (_DRIFT, quality.drifts)) if values}
    if found:
        console.print()
        console.print(_distributions(found))
        console.print()
        console.print(_histograms(found))
        console.print()
    for said in _about(quality):
        _say(console, said)
    worst = quality.worst()
    if worst:
        said = f"the {len(worst)} worst of {len(quality.images)} edits, {quality.order} first"
        console.print(Text(f"\n  {said}", style="bold"))
        table = _table(("image", "left"), (_SCORE, "right"), (_DRIFT, "right"))
        for image in worst:
            known = (image.layout_score, _DIGITS[_SCORE]), (image.drift, _DIGITS[_DRIFT])
            cells = ("-" if value is None else f"{value:.{digits}f}" for value, digits in known)
            table.add_row(Text(printable(frame_name(image.path)), overflow="fold"), *cells)
        console.print(table)
    console.print()


def _made(quality: EditQuality) -> str:
    edits = quality.edits
    flaws = ", ".join(f"{flaw} {count}" for flaw, count in sorted(edits.retried.items()))
    thrown = f"{sum(edits.retried.values())} edits thrown away{f' ({flaws})' if flaws else ''}"
    return f"{len(edits.images)} images made, {edits.left_out} left out, {thrown}"


def _about(quality: EditQuality) -> list[str]:
    """Returns sentences on what the figures are of, and what they come to."""
    count, said = len(quality.images), []
    if quality.networks:
        networks = ", ".join(digest[:12] or "unknown" for digest in quality.networks)
        without = count - quality.networks.total()
        said.append(
            f"layout scores by network {networks}{f'; {without} of {count} images have none' if without else ''}"
        )
        said += [f"data.keep_best={share} takes {best.describe()}" for share, best in quality.kept.items()]
        if not quality.kept:
            said.append("data.keep_best cannot choose, as is told below")
    elif count:
        said.append(
            f"no layout scores: {quality.asked} started again with layout.ckpt=FILE or layout.run=NAME adds them without editing anew"
        )
    if quality.not_told:
        said.append(f"drift of {quality.not_told} of {count} images could not be told")
    if quality.not_measured:
        said.append(f"drift of {quality.not_measured} of {count} images was not measured")
    return said


def _distributions(found: Mapping[str, Sequence[float]]) -> Table:
    names = ("images", "mean", "lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest")
    table = _table(("", "left"), *((name, "right") for name in names))
    for name, values in found.items():
        distribution = Distribution.of(values)
        if distribution is not None:
            count, *rest = distribution
            table.add_row(name, str(count), *(f"{value:.{_DIGITS[name]}f}" for value in rest))
    return table


def _histograms(found: Mapping[str, Sequence[float]]) -> Table:
    """Returns a table of the distributions, side by side."""
    heads = [column for name in found for column in ((name, "right"), ("images", "right"), ("", "left"))]
    table = _table(*heads)
    blocks = [_bars(values, _DIGITS[name]) for name, values in found.items()]
    for cells in zip_longest(*blocks, fillvalue=("", "", "")):
        table.add_row(*(cell for own in cells for cell in own))
    return table


def _bars(values: Sequence[float], digits: int) -> list[tuple[str, str, str]]:
    counts = bins(values)
    most, width = max(one.images for one in counts), counts[0].high - counts[0].low
    if width:
        digits = max(0, -math.floor(math.log10(width) + 1e-6))
    return [
        (
            f"{one.low:.{digits}f} to {one.high:.{digits}f}",
            str(one.images),
            f"{'█' * round(_BAR * one.images / most):{_BAR}}",
        )
        for one in counts
    ]


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), header_style="dim", show_edge=False)
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left")
    return table


def _say(console: Console, text: str) -> None:
    console.print(Text(f"  {printable(text)}"), soft_wrap=True)
