"""``python -m zsda.check``: looks for mistakes in data before hours are spent on them."""

import inspect as signatures
import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from zsda.core.command import command
from zsda.core.config import build, plain
from zsda.core.errors import ConfigError, IncompleteError, StoreError
from zsda.core.files import check_writable, to_json, write_atomic
from zsda.core.records import printable
from zsda.data.inspection import Finding, Listed, Role, SetReport, inspect, shared_frames
from zsda.data.inventory import find_generated, find_sets

_SHOWN = 8  # findings of a kind, and sizes of a set
_WIDTH = 100  # where there is no terminal
_COLUMNS, _BAR = 2, 12  # of classes side by side, and of signs in the longest bar
_WORDS = ("data", "settings", "domain", "unlabelled")


@command("check")
def main(config: DictConfig) -> None:
    """Shows what is there, tells what is wrong with it, and ends with 1 where anything is."""
    build(config.world.prepare)
    with _quiet():
        listed, absent = _chosen(config)
        shown = partial(_bar, Console(stderr=True))
        reports = inspect(listed, config.decode, shown)
        shared, disk = shared_frames(listed, config.decode), list(_disk(config))
    if not listed:
        expected = 'cityscapes, GTA5, ACDC or another of the folders that README.md shows under "Data layout"'
        disk.insert(
            0,
            Finding(
                "layout", f"{config.data_root}: no data set in it; expected {expected}, or run with world=miniature"
            ),
        )
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    for report in reports:
        _show(console, report)
    if absent:
        console.print(Text(f"not there: {', '.join(absent)}", style="dim"), soft_wrap=True)
    _tell(console, "remarks", reports, [*shared, *disk], fault=False)
    _tell(console, "faults", reports, [*shared, *disk], fault=True)
    if config.out is not None:
        write_atomic(Path(config.out), to_json(_plain(reports, shared, disk, absent)))
    faulty = [report for report in reports if report.faults]
    count = sum(len(report.faults) for report in faulty) + sum(finding.fault for finding in [*shared, *disk])
    if count:
        sets = f" in {len(faulty)} of {_counted(len(reports), 'set')}" if faulty else ""
        raise IncompleteError(
            f"{_counted(count, 'fault')}{sets}, each named above{_where(config.out)}; mend them and check again"
        )
    console.print(f"no fault in {_counted(len(reports), 'set')}", style="bold green")


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves unsaid what data sets say while they are listed: all of it is among the findings."""
    log = logging.getLogger("zsda.data")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _bar(console: Console, looks: Any, total: int) -> Any:  # noqa: ANN401 - of inspect, and the same again
    return track(looks, f"looking at {total} images", total, console=console, transient=True)


def _chosen(config: DictConfig) -> tuple[list[Listed], list[str]]:
    data_root, generated_root = Path(config.data_root), Path(config.generated_root)
    if not any(config.get(word) for word in _WORDS):
        return find_sets(data_root, generated_root)
    listed: list[Listed] = []
    if config.get("data"):
        nodes: list[tuple[str, Role, Any]] = [("source", "train", config.data.source)]
        if config.data.get("watch") and config.data.get("validation"):
            nodes.append(("validation", "scored", config.data.validation))
        known: list[Any] = []
        for key, role, node in nodes:
            if plain(node) not in known:  # of GTA5 the source is all there is
                known.append(plain(node))
                listed.append(Listed.by(f"data.{key}", role, partial(_lenient, plain(node))))
    if config.get("unlabelled"):
        if OmegaConf.is_missing(config.unlabelled.images, "source"):
            raise ConfigError("unlabelled=generated are edits of a source; give data=cityscapes as well")
        listed.append(Listed.by("unlabelled.images", "train", partial(_lenient, plain(config.unlabelled.images))))
    for name, node in (config.get("settings") or {}).items():
        listed.append(Listed.by(f"setting={name}", "scored", partial(_lenient, plain(node))))
    if config.get("domain"):
        listed += _sets_of(config, data_root, generated_root)
    return list({(one.name, one.role): one for one in listed}.values()), []


def _sets_of(config: DictConfig, data_root: Path, generated_root: Path) -> list[Listed]:
    """Lists the sets of a domain: those that must be there, and others that are."""
    name = str(config.domain.name)
    source = {
        "_target_": "zsda.data.datasets.cityscapes.Cityscapes",
        "root": str(data_root / "cityscapes"),
        "split": "train",
    }
    if config.get("data") and str(config.data.source.get("_target_")) == source["_target_"]:
        source = plain(config.data.source)
    found = find_generated(data_root, generated_root, name)
    needed = [
        Listed.by(
            f"{name}_{recipe} train",
            "train",
            partial(
                _lenient,
                {
                    "_target_": "zsda.data.datasets.generated.GeneratedSet",
                    "root": str(generated_root),
                    "domain": name,
                    "recipe": recipe,
                    "source": source,
                },
            ),
        )
        for recipe in config.recipes
    ]
    return [*needed, *found]


def _lenient(node: dict[str, Any]) -> Any:  # noqa: ANN401 - a SegmentationDataset
    """Builds a data set that keeps what is wrong with it, so that all of it is found."""
    return build(OmegaConf.create(_leniently(node)))


def _leniently(node: dict[str, Any]) -> dict[str, Any]:
    taken = signatures.signature(hydra.utils.get_class(node["_target_"])).parameters
    node = {
        key: _leniently(value) if isinstance(value, dict) and "_target_" in value else value
        for key, value in node.items()
    }
    if "needs_labels" in taken and node.get("needs_labels") is not False:
        node["needs_labels"] = None
    return {**node, "checks": "none"} if "checks" in taken else node


def _disk(config: DictConfig) -> Iterator[Finding]:
    """Says how much room there is, and where nothing can be written."""
    rooms: dict[int, tuple[float, list[str]]] = {}
    for key in ("data_root", "generated_root", "runs_root"):
        place = Path(config[key])
        try:
            check_writable(key, place)
        except StoreError as error:
            # Data are often shared by many who may only read them.
            yield Finding("disk", str(error), fault=key != "data_root")
        there = next((path for path in (place, *place.absolute().parents) if path.exists()), Path("/"))
        _, places = rooms.setdefault(there.stat().st_dev, (shutil.disk_usage(there).free, []))
        places.append(f"{key}={place}")
    for free, places in rooms.values():
        yield Finding("disk", f"{', '.join(places)}: {free / 10**9:.1f} GB free", fault=False)


def _show(console: Console, report: SetReport) -> None:
    if report.root is None:
        console.print(Text.assemble((report.name, "bold red"), "  cannot be listed"), soft_wrap=True)
        return
    style = "bold red" if report.faults else "bold"
    parts = [_counted(report.images, "image"), f"{_counted(report.labels, 'label')}", _sizes(report.sizes)]
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


def _tell(console: Console, title: str, reports: Sequence[SetReport], others: Sequence[Finding], fault: bool) -> None:
    """Prints findings, each in a line, the first of each kind of a set."""
    groups: dict[tuple[int, str], list[Finding]] = {}
    for number, findings in enumerate([*(report.findings for report in reports), others]):
        for finding in findings:
            if finding.fault == fault:
                groups.setdefault((number, finding.kind), []).append(finding)
    if not groups:
        return
    total = sum(map(len, groups.values()))
    console.print(Text(f"\n{_counted(total, title[:-1])}", style="bold red" if fault else "bold"))
    for group in groups.values():
        for finding in group[:_SHOWN]:
            console.print(Text(f"  {finding.kind}: {printable(finding.message)}"), soft_wrap=True)
        if len(group) > _SHOWN:
            console.print(Text(f"  {group[0].kind}: and {len(group) - _SHOWN} more", style="dim"))


def _plain(
    reports: Sequence[SetReport], shared: Sequence[Finding], disk: Sequence[Finding], absent: Sequence[str]
) -> dict[str, Any]:
    """Returns all that was found as plain values."""
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


def _where(out: object) -> str:
    return "" if out is None else f" and in {out}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    main()
