"""What a check found, on the screen and as plain values."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsda.core.records import printable
from zsda.data.inspection import Finding, SetReport

_SHOWN = 8  # findings of a kind, and sizes of a set
_WIDTH = 100  # where there is no terminal
_COLUMNS, _BAR = 2, 12  # of classes side by side, and of signs in the longest bar


def check_console() -> Console:
    """Returns where to print: as wide as the terminal, or wide enough where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def show_report(console: Console, report: SetReport) -> None:
    """Prints what a set is: how many images of which sizes, where, and how often each class is in it."""
    if report.root is None:
        console.print(Text.assemble((report.name, "bold red"), "  cannot be listed"), soft_wrap=True)
        return
    style = "bold red" if report.faults else "bold"
    parts = [counted(report.images, "image"), counted(report.labels, "label"), _sizes(report.sizes)]
    console.print(
        Text.assemble((report.name, style), f"  {', '.join(filter(None, parts))}  ", (str(report.root), "dim")),
        soft_wrap=True,
    )
    if report.pixels is not None and report.occurs is not None and report.classes is not None:
        console.print(_histogram(report.classes.names, report.pixels, report.occurs))
        console.print()


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    if len(sizes) == 1:
        return "x".join(map(str, next(iter(sizes))))
    told = [f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(_SHOWN)]
    return " ".join([*told, *([f"and {len(sizes) - _SHOWN} more sizes"] if len(sizes) > _SHOWN else [])])


def _histogram(names: Sequence[str], pixels: Any, occurs: Any) -> Table:  # noqa: ANN401 - arrays of NumPy
    """Returns a table of the classes, side by side; shares are of all pixels."""
    shares = pixels / max(pixels.sum(), 1)
    rows = [
        (name, _per_cent(share), str(count), "█" * round(_BAR * share / shares.max()))
        for name, share, count in zip([*names, "ignored"], shares, [*occurs, ""], strict=True)
    ]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), header_style="dim", show_edge=False)
    height = -(-len(rows) // _COLUMNS)
    for _ in range(_COLUMNS):
        table.add_column("class", no_wrap=True)
        table.add_column("pixels", justify="right")
        table.add_column("images", justify="right")
        table.add_column("", width=_BAR)
    blocks = [rows[start : start + height] for start in range(0, len(rows), height)]
    empty = ("", "", "", "")
    for number in range(height):
        cells = [block[number] if number < len(block) else empty for block in blocks]
        table.add_row(*(cell for own in cells for cell in own))
    return table


def _per_cent(share: float) -> str:
    return "-" if not share else "< 0.01 %" if share < 0.0001 else f"{100 * share:.2f} %"


def tell_findings(
    console: Console, title: str, reports: Sequence[SetReport], others: Sequence[Finding], fault: bool
) -> None:
    """Prints findings, each in a line, the first of each kind of a set."""
    groups: dict[tuple[int, str], list[Finding]] = {}
    for number, findings in enumerate([*(report.findings for report in reports), others]):
        for finding in findings:
            if finding.fault == fault:
                groups.setdefault((number, finding.kind), []).append(finding)
    if not groups:
        return
    total = sum(map(len, groups.values()))
    console.print(Text(f"\n{counted(total, title[:-1])}", style="bold red" if fault else "bold"))
    for group in groups.values():
        for finding in group[:_SHOWN]:
            console.print(Text(f"  {finding.kind}: {printable(finding.message)}"), soft_wrap=True)
        if len(group) > _SHOWN:
            console.print(Text(f"  {group[0].kind}: and {len(group) - _SHOWN} more", style="dim"))


def plain_findings(
    reports: Sequence[SetReport],
    shared: Sequence[Finding],
    disk: Sequence[Finding],
    absent: Sequence[str],
    edits: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns all that was found as plain values.

    Args:
        reports: of the sets.
        shared: what was found between sets.
        disk: what was found of places.
        absent: names of sets that are not there.
        edits: name of a set -> plain values of its edits, of those that were asked for.
    """
    return {
        "sets": [
            {
                "name": report.name,
                "root": None if report.root is None else str(report.root),
                "images": report.images,
                "labels": report.labels,
                "sizes": {f"{width}x{height}": count for (width, height), count in report.sizes.items()},
                "classes": _plain_classes(report),
                "findings": [finding._asdict() for finding in report.findings],
                **({"edits": edits[report.name]} if report.name in edits else {}),
            }
            for report in reports
        ],
        "between_sets": [finding._asdict() for finding in shared],
        "disk": [finding._asdict() for finding in disk],
        "not_there": list(absent),
    }


def _plain_classes(report: SetReport) -> list[dict[str, Any]]:
    if report.pixels is None or report.occurs is None or report.classes is None:
        return []
    counts = zip(
        report.classes.names, report.pixels, report.occurs, strict=False
    )  # the last of the pixels are ignored ones
    return [{"name": name, "pixels": int(pixels), "images": int(images)} for name, pixels, images in counts]


def counted(number: int, what: str) -> str:
    """Returns a number and what it counts, in the plural where that is due."""
    return f"{number} {what}{'' if number == 1 else 's'}"
