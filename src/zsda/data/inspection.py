"""All that is wrong with data sets, found at once; whoever trains on them stops at the first mistake.

A *fault* keeps a command from its work or spoils the result. A *remark* does neither, but may be none of what the user meant.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zsda.core.digests import content_digests
from zsda.core.errors import DataError, ZsdaError
from zsda.core.limits import cores
from zsda.core.signals import outlive_signals
from zsda.data.datasets.generated import DECODED, GeneratedSet, changed_edits, is_unedited
from zsda.data.labels import IGNORE, ClassSet
from zsda.data.manifest import count_flaws, read_manifest
from zsda.data.reader import FROM_DISK, DamagedImageError, image_size
from zsda.data.samples import Sample, SegmentationDataset, check_sizes, is_there

_WORTH_PROCESSES = 2**26  # bytes to decode, which take longer than starting them
_AT_ONCE = 8  # images that a process takes
_READ_AT_ONCE = 16  # headers, for which a file system on the network is waited for

Role = Literal["train", "scored", ""]
"""What a set is for: no frame may be in one that is trained on and in one that is scored."""

Kind = Literal[
    "layout",
    "pairs",
    "sizes",
    "ids",
    "integrity",
    "classes",
    "edits",
    "quality",
    "duplicates",
    "hidden",
    "unused",
    "disk",
    "plan",
]

Progress = Callable[[Iterable["_Look"], int], Iterable["_Look"]]
"""Takes what comes one after the other, and how many there will be, and passes it on."""


class Finding(NamedTuple):
    """Something that a user should know.

    Attributes:
        kind: what was looked at.
        message: in one line: where, what, and the way out.
        fault: whether it must be mended.
    """

    kind: Kind
    message: str
    fault: bool = True


@dataclass(frozen=True)
class Listed:
    """A set that is to be looked at.

    Attributes:
        name: how it is called.
        role: what it is for.
        dataset: its images; labels that are missing keep their places (``needs_labels=None``, ``checks="none"``).
        error: why it cannot be listed; None where it was.
    """

    name: str
    role: Role
    dataset: SegmentationDataset | None
    error: ZsdaError | None = None

    @classmethod
    def by(cls, name: str, role: Role, make: Callable[[], SegmentationDataset]) -> "Listed":
        """Lists what ``make`` makes, or keeps its error."""
        try:
            dataset = make()
            # A generated set has all splits under one name.
            own = f"{dataset.name} {dataset.split}" if isinstance(dataset, GeneratedSet) else dataset.name
            return cls(own, role, dataset)
        except ZsdaError as error:
            return cls(name, role, None, error)


@dataclass
class SetReport:
    """What was found in a set.

    Attributes:
        name: how it is called.
        root: where it lies; None where it could not be listed.
        images: how many there are.
        labels: how many of them are labelled.
        sizes: width, height of images -> how many have it.
        classes: what the labels tell apart.
        pixels: of each class, and of what is ignored at last, in all labels; int64 [C + 1]. None where no label was decoded.
        occurs: in how many labels each class is, int64 [C].
        findings: what a user should know.
    """

    name: str
    root: Path | None = None
    images: int = 0
    labels: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    classes: ClassSet | None = None
    pixels: NDArray[np.int64] | None = None
    occurs: NDArray[np.int64] | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def faults(self) -> list[Finding]:
        """What must be mended."""
        return [finding for finding in self.findings if finding.fault]

    @property
    def remarks(self) -> list[Finding]:
        """What need not."""
        return [finding for finding in self.findings if not finding.fault]


class _Task(NamedTuple):
    """What to look at: a sample, its label only where ``classes`` says what it tells apart, its pixels only where ``decode`` is."""

    sample: Sample
    classes: ClassSet | None
    decode: bool


class _Look(NamedTuple):
    """What there is to see of a sample: width and height, whether its label is there, how many pixels have each of 256 ids, and faults."""

    size: tuple[int, int] | None
    labelled: bool
    ids: list[int] | None
    findings: list[Finding]


def inspect(
    sets: Sequence[Listed], decode: bool = True, progress: Progress = lambda looks, _total: looks
) -> list[SetReport]:
    """Looks at sets, and at every file of them.

    Args:
        sets: what to look at.
        decode: whether files are decoded; otherwise their headers alone are read, and there are no ids.
        progress: sees every image pass.
    """
    tasks = [
        [
            _Task(sample, None if isinstance(s.dataset, GeneratedSet) else s.dataset.classes, decode)
            for sample in s.dataset.samples
        ]
        if s.dataset is not None
        else []
        for s in sets
    ]
    everything = [task for own in tasks for task in own]
    reports = []
    with closing(_looks(everything)) as looks:
        shown = iter(progress(looks, len(everything)))
        for one, own in zip(sets, tasks, strict=True):
            reports.append(_report(one, [next(shown) for _ in own], decode))
        next(shown, None)  # lets a bar reach its end
    return reports


def shared_frames(sets: Sequence[Listed], decode: bool = True) -> list[Finding]:
    """Finds frames that are in several sets, of which one is trained on and another is scored.

    The same bytes under two names are a fault. The same file in two lists, as of GTA5, is a remark.

    Args:
        sets: what to compare.
        decode: whether files are read; otherwise only the same file in two lists is found.
    """
    held: dict[Path, dict[str, Listed]] = {}
    for one in sets:
        for sample in one.dataset.samples if one.dataset is not None and one.role else ():
            held.setdefault(sample.image, {})[one.name] = one
    findings = []
    for path, holders in held.items():
        found = _train_and_scored(holders.values())
        if found:
            train, scored = found
            said = f"{path}: is in {train}, which is trained on, and in {scored}, which is scored; leave it out of one of them"
            findings.append(Finding("duplicates", said, fault=False))
    for group in _equal(held) if decode else ():
        owners = {path: set(held[path]) for path in group}
        found = _train_and_scored(one for path in group for one in held[path].values())
        if found:
            train, scored = found
            first = next(path for path in group if train in owners[path])
            other = next((path for path in group if scored in owners[path] and path != first), None)
            if other is not None:
                said = f"{first}: of {train}, which is trained on, is also {other} of {scored}, which is scored; remove one of them"
                findings.append(Finding("duplicates", said))
    return findings


def _train_and_scored(sets: Iterable[Listed]) -> tuple[str, str] | None:
    names = {one.role: one.name for one in reversed(list(sets))}
    return (names["train"], names["scored"]) if {"train", "scored"} <= names.keys() else None


def _looks(tasks: Sequence[_Task]) -> Generator[_Look, None, None]:
    """Yields what there is to see of each: headers by many threads, pixels with a process on each core where that is worth it."""
    decode = any(task.decode for task in tasks)
    if decode and sum(_bytes(task.sample.image) for task in tasks) < _WORTH_PROCESSES:
        yield from map(_look, tasks)
        return
    pool: Executor = (
        ProcessPoolExecutor(cores(), get_context("spawn"), initializer=outlive_signals)
        if decode
        else ThreadPoolExecutor(_READ_AT_ONCE)
    )
    try:
        yield from pool.map(_look, tasks, chunksize=_AT_ONCE)
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # which is told by who opens it
        return 0


def _look(task: _Task) -> _Look:
    sample, findings = task.sample, list[Finding]()
    size, label_size, ids = None, None, None
    labelled = sample.label is not None and (task.classes is None or is_there(sample.label))
    try:
        size = FROM_DISK.pixels(sample.image).size if task.decode else FROM_DISK.size(sample.image)
    except DataError as error:
        findings.append(_unreadable(error))
    if task.classes is not None and sample.label is not None:
        try:
            if not labelled:
                findings.append(Finding("pairs", f"{sample.image}: has no label; expected {sample.label}"))
            elif task.decode or (label_size := _header_size(sample.label)) is None:
                mask = FROM_DISK.label(sample.label, sample.encoding, task.classes)
                label_size = mask.shape[0], mask.shape[1]
                ids = Image.fromarray(mask).histogram() if task.decode else None
            if size is not None and label_size is not None:
                check_sizes(sample, size, label_size)
        except DataError as error:
            findings.append(_unreadable(error) if label_size is None else Finding("sizes", str(error)))
    return _Look(None if size is None else size[::-1], labelled, ids, findings)


def _header_size(path: Path) -> tuple[int, int] | None:
    found = image_size(path)
    return None if found is None else found[::-1]


def _unreadable(error: DataError) -> Finding:
    if isinstance(error, DamagedImageError):
        return Finding("integrity", f"{error}; fetch it again, or remove it and its partner")
    return Finding("ids", str(error))


def _report(one: Listed, looks: Sequence[_Look], decode: bool) -> SetReport:
    if one.dataset is None:
        return SetReport(one.name, findings=[Finding("layout", str(one.error))])
    dataset, edits = one.dataset, isinstance(one.dataset, GeneratedSet)
    report = SetReport(one.name, dataset.root, len(dataset), classes=dataset.classes)
    report.labels = sum(look.labelled for look in looks)
    report.sizes.update(look.size for look in looks if look.size is not None)
    report.findings += [finding for look in looks for finding in look.findings]
    if isinstance(dataset, GeneratedSet):
        report.findings += _edits(dataset, decode)
    ids = [look.ids for look in looks if look.ids is not None]
    if ids:
        _count(report, dataset.classes, np.array(ids, np.int64))
    report.findings += _files(dataset.samples, labels=not edits)
    report.findings += _repeated(dataset.samples) if decode else ()
    return report


def _count(report: SetReport, classes: ClassSet, ids: NDArray[np.int64]) -> None:
    """Counts ids, int64 [images, 256]."""
    own = ids[:, : len(classes)]
    report.pixels = np.append(own.sum(axis=0), ids[:, IGNORE].sum())
    report.occurs = (own > 0).sum(axis=0)
    never = [name for name, images in zip(classes.names, report.occurs, strict=True) if not images]
    if len(never) == len(classes):
        said = f"{report.root}: not one labelled pixel in {len(ids)} labels; nothing can be learnt or scored: take the files that hold ids"
        report.findings.append(Finding("classes", said))
    elif never:
        said = f"{report.name}: no pixel of {', '.join(never)}; it cannot be learnt or scored here"
        report.findings.append(Finding("classes", said, fault=False))


def _edits(dataset: GeneratedSet, decode: bool) -> Iterator[Finding]:
    """Finds images of a generated set that are no edits of what their source is now, or says why there are none."""
    if not dataset.samples:
        yield Finding("layout", _without_images(dataset))
        return
    images = [sample.image for sample in dataset.samples]
    compared = set(images[:: -(-len(images) // DECODED)]) if decode else set()
    for image in images:
        source = dataset.made_of.get(image)
        if source is None:
            yield Finding(
                "edits",
                f"{image}: has no source image; delete it, or put its source into {dataset.split} of the source",
            )
        elif is_unedited(image, source, decode=image in compared):
            yield Finding(
                "edits",
                f"{image}: is its source {source}, not an edit of it; delete it and start python -m zsda.generate again",
            )
    for image in changed_edits(dataset.root, dataset.made_of) if decode else ():
        said = f"{image}: is not what python -m zsda.generate made of its source as it is now; started again it makes it anew"
        yield Finding("edits", said, fault=False)


def _without_images(dataset: GeneratedSet) -> str:
    """Says what became of the images of a generated set that has none."""
    lines = read_manifest(dataset.root).of_split(dataset.split)
    said = f"{dataset.root}: no image of the split {dataset.split}"
    if not lines:
        return f"{said}; start python -m zsda.generate again"
    flaws = ", ".join(f"{flaw} {count}" for flaw, count in sorted(count_flaws(lines).items()))
    return (
        f"{said}: {len(lines)} were left out, since no edit of them passed ({flaws}); python -m zsda.generate tries them again with a "
        "larger retries=, or otherwise under another domain.name="
    )


class _Layout(NamedTuple):
    """Where files of a set lie: folders, how deep below them, and how their names end."""

    folders: tuple[Path, ...]
    depths: frozenset[int]
    endings: tuple[str, ...]

    @classmethod
    def of(cls, files: Mapping[Path, str]) -> "_Layout":
        """Finds it from files and their keys."""
        depths = {path: key.count("/") + 1 for path, key in files.items()}
        folders = {path.parents[depth - 1] for path, depth in depths.items()}
        endings = {path.name.removeprefix(key.rpartition("/")[2]) for path, key in files.items()}
        return cls(tuple(sorted(folders)), frozenset(depths.values()), tuple(sorted(endings)))

    def walk(self) -> Iterator[tuple[Path, Path]]:
        """Yields each file below the folders, with that folder; of hidden folders the folder alone."""
        for top in self.folders:
            links = [path for path in top.iterdir() if path.is_symlink() and path.is_dir()] if top.is_dir() else []
            for place in (top, *sorted(links)):
                for folder, inner, names in os.walk(place):
                    yield from ((top, Path(folder, name)) for name in sorted(inner) if name.startswith("."))
                    inner[:] = sorted(name for name in inner if not name.startswith("."))
                    yield from ((top, Path(folder, name)) for name in sorted(names))

    def key(self, top: Path, path: Path) -> str | None:
        """Returns the key of a file that the layout takes; None of another one."""
        name = path.relative_to(top).as_posix()
        ending = max((ending for ending in self.endings if name.endswith(ending)), key=len, default=None)
        return name.removesuffix(ending) if ending is not None and name.count("/") + 1 in self.depths else None


def _files(samples: Sequence[Sample], labels: bool) -> Iterator[Finding]:
    """Finds files that are hidden or of no use, and labels without an image."""
    used = {sample.image: sample.key for sample in samples}
    images = _Layout.of(used)
    for top, path in images.walk():
        if path.name.startswith("."):
            yield Finding("hidden", f"{path}: is hidden, and not used; delete it", fault=False)
        elif path not in used and images.key(top, path) is None:
            ending = " or ".join(images.endings)
            yield Finding(
                "unused",
                f"{path}: is not used; expected a name that ends with {ending}, as deep as the others",
                fault=False,
            )
    labelled = {s.label: s.key for s in samples if s.label is not None and s.encoding != "classIds"} if labels else {}
    if not labelled:
        return
    layout = _Layout.of(labelled)
    for top, path in layout.walk():
        key = layout.key(top, path)
        if path.name.startswith("."):
            yield Finding("hidden", f"{path}: is hidden, and not used; delete it", fault=False)
        elif path not in labelled and key is not None:
            expected = [folder / f"{key}{ending}" for folder in images.folders for ending in images.endings]
            if not any(map(is_there, expected)):
                yield Finding("pairs", f"{path}: is a label without an image; expected {expected[0]}")


def _repeated(samples: Sequence[Sample]) -> Iterator[Finding]:
    for first, *others in _equal([sample.image for sample in samples]):
        for other in others:
            yield Finding(
                "duplicates", f"{other}: is the same image as {first}, which counts twice; remove one", fault=False
            )


def _equal(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups files of equal contents; only those of equal lengths are read."""
    by_length: dict[int, list[Path]] = {}
    for path in paths:
        by_length.setdefault(_bytes(path), []).append(path)
    alike = [path for length, group in by_length.items() if length and len(group) > 1 for path in group]
    by_digest: dict[str, list[Path]] = {}
    for path, digest in content_digests(alike).items():
        if digest is not None:
            by_digest.setdefault(digest, []).append(path)
    return [group for group in by_digest.values() if len(group) > 1]
