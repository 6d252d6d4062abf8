"""Decode once: resized images and label maps on the local disk, in the form in which they are read.

An entry belongs to the contents of its file and to what was made of it, so that sets and runs share what they have in common and a
changed file has another. It is a binary PPM or PGM, whose pixels lie in the file as they lie in memory.
"""

import logging
import math
import mmap
import os
import random
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.filesize import decimal
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from zsda.core.digests import content_digests
from zsda.core.errors import DataError, StoreError
from zsda.core.files import cache_folder, digest, remove_parts, write_atomic
from zsda.core.signals import outlive_signals
from zsda.data.reader import FROM_DISK, LabelFile, Pixels, Reader, image_size
from zsda.data.resizing import Size, Window, cut
from zsda.data.samples import SegmentationDataset

_log = logging.getLogger(__name__)

_HEADER = 64  # bytes, of which the comment fills what the numbers leave
_FORM = re.compile(
    rb"P(?P<kind>[56])\n# (?P<own>\d+ \d+) (?P<check>[0-9a-f]{8}) *\n(?P<width>\d+) (?P<height>\d+)\n255\n"
)
_KIND = {1: b"5", 3: b"6"}
_VERSION = 1  # of what the entries hold
_GB = 10**9
_LEFT_FREE = _GB  # of the disk, for others
_TRIED = 16  # images, until one tells the size of all


def cache_place() -> Path:
    """Returns the folder of the cache, in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``, ``zsda/images``).

    Raises:
        RuntimeError: the user has no home.
    """
    return cache_folder() / "images"


class CachedReader(Reader):
    """Reads from the cache what is in it, and all else from the files.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._digests = folder, dict[Path, str]()
        self._whole: set[Path] = set()  # entries whose pixels were seen to be those that were written

    def know(self, digests: dict[Path, str]) -> None:
        """Takes in path -> digest of the files that may be in the cache; others are not looked for."""
        self._digests.update(digests)

    def pixels(self, path: Path, size: Size | None = None, window: Window | None = None) -> Pixels:
        """See `Reader`; what is returned cannot be written to."""
        found = self._kept(path, size)
        return super().pixels(path, size, window) if found is None else _part(found, window)

    def ids(self, label: LabelFile, size: Size | None = None, window: Window | None = None) -> Pixels:
        """See `Reader`; what is returned cannot be written to."""
        found = self._kept(label, size)
        return super().ids(label, size, window) if found is None else _part(found, window)

    def size(self, path: Path) -> tuple[int, int]:
        """See `Reader`."""
        found = self._kept(path, None)
        return super().size(path) if found is None else found.size

    def _kept(self, what: Path | LabelFile, size: Size | None) -> Pixels | None:
        """Maps an entry into memory; None if there is none, or it is damaged, for which it is checked once."""
        entry = self.entry(what, size)
        if entry is None:
            return None
        found = _read(entry, check=entry not in self._whole)
        if found is not None:
            self._whole.add(entry)
        else:
            with suppress(OSError):
                entry.unlink()  # so that it is made again
        return found

    def keep(self, what: Path | LabelFile, size: Size | None) -> None:
        """Reads an image or a label map from its file and writes it to the cache, if it is not there.

        Raises:
            DataError: the file cannot be read as it should.
            StoreError: the cache cannot be written.
        """
        entry = self.entry(what, size)
        if entry is not None and not entry.is_file():  # another process may have been faster
            found = super().ids(what, size) if isinstance(what, LabelFile) else super().pixels(what, size)
            write_atomic(entry, _written(found))

    def entry(self, what: Path | LabelFile, size: Size | None) -> Path | None:
        """Returns the file of the cache that an image or a label map has at a size; None where the digest is not known."""
        path, more = (what, "") if isinstance(what, Path) else (what.path, f"{what.encoding!r} {what.classes.plain()}")
        known = [self._digests.get(path)]
        if isinstance(what, LabelFile) and what.like is not None:
            known.append(self._digests.get(what.like))
        if None in known:
            return None
        name = digest(f"{_VERSION} {known} {None if size is None else [*size]} {more}".encode())
        return self.folder / name[:2] / (f"{name}.pgm" if isinstance(what, LabelFile) else f"{name}.ppm")


class Wanted(NamedTuple):
    """What is to be in the cache of a data set.

    Attributes:
        dataset: images and labels.
        size: height, width of the images; None leaves them at their own.
        label_size: the same of the labels.
    """

    dataset: SegmentationDataset
    size: Size | None
    label_size: Size | None


class Cache:
    """Keeps what several commands read again and again; full, it forgets what was not used for the longest time.

    Any number of processes may fill it and read from it: entries are written atomically, and one that was forgotten is read from its
    file.

    Args:
        limit: how much it may take in all, in GB.

    Attributes:
        reader: reads from it.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit * _GB
        try:
            self._cached: CachedReader | None = CachedReader(cache_place())
        except RuntimeError:  # no home
            self._cached = None
        self.reader: Reader = self._cached or FROM_DISK

    def know(self, wanted: Sequence[Wanted]) -> None:
        """Lets the reader know the files of data sets; every process calls it before it reads."""
        if self._cached is not None:
            paths = [path for want in wanted for s in want.dataset.samples for path in (s.image, s.label) if path]
            self._cached.know({path: found for path, found in content_digests(paths).items() if found is not None})

    def fill(self, wanted: Sequence[Wanted], num_workers: int) -> None:
        """Puts data sets into the cache, saying before how much it will be; where there is no room they are read from their files.

        A damaged file is left to whoever reads it.

        Args:
            wanted: the data sets.
            num_workers: processes that decode.
        """
        if self._cached is None:
            _log.warning("images are decoded every time, as this user has no folder for a cache; set XDG_CACHE_HOME")
            return
        self.know(wanted)
        parts = {part.entry: part for want in wanted for part in _parts(want, self._cached)}
        missing = [part for entry, part in parts.items() if not entry.is_file()]
        if missing:
            new = sum(part.cost for part in missing)
            reason = self._make_room(self._cached.folder, sum(part.cost for part in parts.values()), new, {*parts})
            if reason is not None:
                _log.warning("images are decoded every time: %s; data.cache=false leaves this unsaid", reason)
                return
            what = f"{len(missing)} decoded images and labels, about {decimal(new)}, in {self._cached.folder}"
            _log.info("keeping %s; data.cache=false decodes them every time", what)
            _write(missing, self._cached, num_workers)
        for entry in parts:
            with suppress(OSError):
                os.utime(entry)  # what was used last is forgotten last

    def _make_room(self, folder: Path, all_of_it: int, new: int, needed: set[Path]) -> str | None:
        """Forgets what was not used for the longest time; returns why there is no room."""
        if all_of_it > self._limit:
            sizes = f"{decimal(all_of_it)}, machine.cache_gb={self._limit / _GB:g}"
            return f"decoded they take {sizes}; give more, if {folder} has it"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            remove_parts(folder, below=True)
        entries = entries_in(folder)
        taken = sum(state.st_size for state in entries.values())
        for entry, state in sorted(entries.items(), key=lambda found: found[1].st_mtime):
            if taken + new <= self._limit:
                break
            if entry not in needed:
                entry.unlink(missing_ok=True)
                taken -= state.st_size
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            return f"{folder} cannot be used ({error.strerror})"
        if new + _LEFT_FREE > free:
            return f"decoded they take {decimal(new)}, and {folder} has {decimal(free)} left"
        return None


class _Decoding(Dataset[str | None]):
    """Keeps one after the other; an item is what kept it from being written."""

    def __init__(self, parts: Sequence["_Part"], reader: CachedReader) -> None:
        self._parts, self._reader = parts, reader

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> str | None:
        part = self._parts[index]
        try:
            self._reader.keep(part.what, part.size)
        except DataError as error:
            _log.debug("not kept: %s", error)
        except StoreError as error:  # which reading does not depend on
            return str(error)
        return None


def _write(parts: Sequence["_Part"], reader: CachedReader, num_workers: int) -> None:
    order = [*parts]
    random.Random(os.getpid()).shuffle(order)  # of two processes that begin together each finds the other's work done
    loader = DataLoader(
        _Decoding(order, reader), batch_size=None, num_workers=num_workers, worker_init_fn=outlive_signals
    )
    told = [*track(loader, f"decoding {len(order)} files", len(order), transient=True)]
    refused = [error for error in told if error is not None]
    if refused:
        _log.warning("%d of %d decoded files are not kept: %s", len(refused), len(order), refused[0])


def entries_in(folder: Path) -> dict[Path, os.stat_result]:
    """Returns the entries of a cache, and what the system knows of them."""
    found = {}
    for entry in folder.glob("??/*.p[gp]m"):
        with suppress(OSError):  # another process may forget it
            found[entry] = entry.stat()
    return found


class _Part(NamedTuple):
    what: Path | LabelFile
    size: Size | None
    cost: int  # bytes, about
    entry: Path


def _parts(want: Wanted, reader: CachedReader) -> Iterator[_Part]:
    dataset = want.dataset
    sizes = (image_size(sample.image) for sample in dataset.samples[:_TRIED])
    first = next((size for size in sizes if size is not None), (0, 0))
    pixels, ids = (math.prod(first if size is None else size) for size in (want.size, want.label_size))
    files: list[tuple[Path | LabelFile | None, Size | None, int]] = []
    for index, sample in enumerate(dataset.samples):
        files += [(sample.image, want.size, 3 * pixels), (dataset.label_file(index), want.label_size, ids)]
    for what, size, cost in files:
        entry = None if what is None else reader.entry(what, size)
        if what is not None and entry is not None:
            yield _Part(what, size, _HEADER + cost, entry)


def _written(found: Pixels) -> bytes:
    height, width, *channels = found.values.shape
    kind = _KIND[math.prod(channels)]
    end = f"\n{width} {height}\n255\n".encode()
    pixels = np.ascontiguousarray(found.values).tobytes()
    begin = b"P%s\n# %d %d %08x" % (kind, *found.size, zlib.crc32(pixels))
    return begin.ljust(_HEADER - len(end)) + end + pixels


def _read(entry: Path, check: bool) -> Pixels | None:
    try:
        with entry.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # not there, or empty
        return None
    form = _FORM.fullmatch(content[:_HEADER])
    if form is None:
        return None
    width, height = int(form["width"]), int(form["height"])
    shape = (height, width, 3) if form["kind"] == b"6" else (height, width)
    values = np.frombuffer(content, np.uint8, offset=_HEADER)
    if values.size != math.prod(shape) or (check and zlib.crc32(values.data) != int(form["check"], 16)):
        return None
    own_height, own_width = map(int, form["own"].split())
    return Pixels(values.reshape(shape), (own_height, own_width))


def _part(found: Pixels, window: Window | None) -> Pixels:
    return found if window is None else found._replace(values=cut(found.values, window))
