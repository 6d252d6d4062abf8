"""How long a file of a video has to be, as the outermost parts of its container tell."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_ISO_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_short(path: Path) -> bool:
    """Tells whether the end of a video is missing: a part of its container ends behind the file.

    Known of MP4 and QuickTime, AVI, Matroska and WebM, whatever the name; other containers, such as MPEG's, and those that were written
    as a stream do not tell how long they are. Frames are no measure of it: their number is only estimated, from a duration to which the
    sound counts, in some containers, at a varying rate too; and in others it includes those that a trimmed video does not show.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        return any(end > size for end in _ends(file))


def _ends(file: BinaryIO) -> Iterator[int]:
    """Yields where each outermost part ends, in bytes, up to the first that does not tell or is of another kind."""
    head = file.read(8)
    if head[4:] in _ISO_FIRST:
        yield from _ends_of_iso(file)
    elif head[:4] == b"RIFF":
        yield from _ends_of_riff(file)
    elif head[:4] == _EBML:
        yield from _ends_of_matroska(file)


def _ends_of_iso(file: BinaryIO) -> Iterator[int]:
    start = 0
    while len(head := _read(file, start, 16)) >= 8:
        (length,) = struct.unpack(">I", head[:4])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length < 8:  # 0 is up to the end
            return
        start += length
        yield start


def _ends_of_riff(file: BinaryIO) -> Iterator[int]:
    start = 0
    while len(head := _read(file, start, 8)) == 8 and head[:4] == b"RIFF":
        (length,) = struct.unpack("<I", head[4:])
        if length == 0:  # never filled in
            return
        yield start + length  # some count these eight bytes, too
        start += 8 + length + length % 2


def _ends_of_matroska(file: BinaryIO) -> Iterator[int]:
    start = 0
    for name in (_EBML, _SEGMENT):
        head = _read(file, start, 12)
        if len(head) < 12 or head[:4] != name or head[4] == 0:
            return
        width = 9 - head[4].bit_length()
        length = int.from_bytes(head[4 : 4 + width]) - (1 << 7 * width)
        if length == (1 << 7 * width) - 1:  # unknown
            return
        start += 4 + width + length
        yield start


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)
