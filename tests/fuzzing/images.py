"""Mutants of small PNGs and JPEGs, and all ways to read them."""

import io
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import cv2
import numpy as np
from PIL import Image

from tests.fuzzing.outcomes import FAULT, READ, REFUSED, Outcomes, limited_memory
from zsda.core.errors import DataError
from zsda.data.cache import CachedReader
from zsda.data.classes import find_classes
from zsda.data.reader import FROM_DISK, LabelFile, Reader, image_size
from zsda.data.resizing import Window

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ENCODINGS = {"labelIds": 19, "gta5Ids": 19, "labelTrainIds": 19, "synthiaIds": 16, "robotcarIds": 9, "classIds": 9}
"""Encoding -> a class set that it tells apart."""

_SIZE, _WINDOW = (16, 24), Window(2, 3, 8, 9)
_MEMORY = 3 * 2**30  # beyond what is taken before; several times what 64 megapixels need
_SECONDS = 2.0
_SIDES = (0, 1, 7, 8000, 9000, 20_000, 40_000, 65_536, 2**31 - 1, 2**31, 2**32 - 1)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    """Returns kind and data of the chunks of a whole PNG."""
    found, place = [], len(SIGNATURE)
    while place + 12 <= len(content):
        length = struct.unpack_from(">I", content, place)[0]
        found.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Returns a PNG of chunks, with the right check sums."""
    return SIGNATURE + b"".join(chunk(kind, data) for kind, data in chunks)


def originals() -> dict[str, bytes]:
    """Returns whole images of all forms that are read: name -> content."""
    random = np.random.default_rng(0)
    height, width = 20, 30
    ids = random.integers(0, 19, (height, width), np.uint8)
    rgb = random.integers(0, 256, (height, width, 3), np.uint8)
    deep = random.integers(0, 2**16, (height, width), np.uint16)
    palette = Image.fromarray(ids)
    palette.putpalette(list(range(256)) * 3)
    exif = Image.Exif()
    exif[274] = 6
    made = {
        "ids": _saved(Image.fromarray(ids)),
        "RGB": _saved(Image.fromarray(rgb)),
        "palette": _saved(palette),
        "RGBA": _saved(Image.fromarray(np.dstack([ids, rgb]))),
        "grey and alpha": _saved(Image.fromarray(ids).convert("LA")),
        "1 bit": _saved(Image.fromarray(rgb).convert("1")),
        "16 bits": cv2.imencode(".png", deep)[1].tobytes(),
        "16 bits RGB": cv2.imencode(".png", np.dstack([deep, deep, ids.astype(np.uint16)]))[1].tobytes(),
        "EXIF": _saved(Image.fromarray(rgb), exif=exif),
        "JPEG": _saved(Image.fromarray(rgb), "JPEG", exif=exif),
        "progressive JPEG": _saved(Image.fromarray(rgb), "JPEG", progressive=True),
    }
    header = chunks_of(made["RGB"])[0]
    # All passes of Adam7 together: none is filtered, so zeros of any length beyond theirs make a picture.
    interlaced = zlib.compress(bytes(4 * height * width))
    made["interlaced"] = png_of([(b"IHDR", header[1][:-1] + b"\1"), (b"IDAT", interlaced), (b"IEND", b"")])
    return made


def _saved(image: Image.Image, form: str = "PNG", **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def _flip_bits(random: Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(random.choice((1, 1, 3, 20))):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _cut_off(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content))]


def _add_garbage(random: Random, content: bytes) -> bytes:
    return content + random.randbytes(random.choice((1, 12, 4096)))


def _overwrite(random: Random, content: bytes) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + random.randbytes(random.randrange(1, 64)) + content[place + random.randrange(64) :]


def _of_chunks(change: Callable[[Random, list[tuple[bytes, bytes]]], bytes | None]) -> Callable[[Random, bytes], bytes]:
    """Makes a mutation of one of the chunks of a PNG; a JPEG has its bits flipped."""

    def mutate(random: Random, content: bytes) -> bytes:
        if not content.startswith(SIGNATURE):
            return _flip_bits(random, content)
        chunks = chunks_of(content)
        changed = change(random, chunks)
        return png_of(chunks) if changed is None else changed

    return mutate


def _with_header(**which: object) -> Callable[[Random, bytes], bytes]:
    """Makes a mutation that sets fields of the header to one of the values given, the check sum being right."""
    places = {"width": (0, ">I"), "height": (4, ">I"), "bits": (8, "B"), "colour": (9, "B"), "packed": (10, "B")}
    places |= {"filtered": (11, "B"), "interlaced": (12, "B")}

    def change(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
        header = bytearray(chunks[0][1])
        for name, values in which.items():
            place, form = places[name]
            struct.pack_into(form, header, place, random.choice(values))
        chunks[0] = (b"IHDR", bytes(header))

    return _of_chunks(change)


def _chunk_lengths(random: Random, chunks: list[tuple[bytes, bytes]]) -> bytes:
    spoilt, out = random.randrange(len(chunks)), SIGNATURE
    for number, (kind, data) in enumerate(chunks):
        whole = chunk(kind, data)
        length = random.choice((0, 1, len(data) + 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1))
        out += struct.pack(">I", length) + whole[4:] if number == spoilt else whole
    return out


def _check_sums(random: Random, chunks: list[tuple[bytes, bytes]]) -> bytes:
    spoilt, out = random.randrange(len(chunks)), SIGNATURE
    for number, (kind, data) in enumerate(chunks):
        whole = chunk(kind, data)
        out += whole[:-4] + random.randbytes(4) if number == spoilt else whole
    return out


def _order(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    what = random.choice(("swap", "repeat", "drop", "rename"))
    one, other = random.randrange(len(chunks)), random.randrange(len(chunks))
    if what == "swap":
        chunks[one], chunks[other] = chunks[other], chunks[one]
    elif what == "repeat":
        chunks.insert(other, chunks[one])
    elif what == "drop":
        del chunks[one]
    else:
        chunks[one] = (bytes(random.choice(b"ABIDEPabzT\x00\xff") for _ in range(4)), chunks[one][1])


def _second_header(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    sides = struct.pack(">II", random.choice(_SIDES), random.choice(_SIDES))
    tail = bytes((random.choice((1, 8, 16)), random.choice((0, 2, 3, 4, 6)), 0, 0, 0))
    chunks.insert(random.randrange(len(chunks) + 1), (b"IHDR", sides + tail))


def _insert(make: Callable[[Random], tuple[bytes, bytes]]) -> Callable[[Random, bytes], bytes]:
    return _of_chunks(lambda random, chunks: chunks.insert(random.randrange(1, len(chunks)), make(random)))


def _bomb(random: Random) -> tuple[bytes, bytes]:
    packed = zlib.compress(bytes(random.choice((2**10, 2**20 + 1, 2**25))))
    return random.choice(
        (
            (b"iCCP", b"icc\0\0" + packed),
            (b"zTXt", b"Raw profile type exif\0\0" + packed),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed),
            (b"iCCP", b"icc\0\7" + packed),
            (b"zTXt", b"text\0\0" + packed[: len(packed) // 2]),
        )
    )


def _small_chunk(random: Random) -> tuple[bytes, bytes]:
    kinds = (
        b"tRNS",
        b"PLTE",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"pHYs",
        b"tIME",
        b"bKGD",
        b"tEXt",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"fdAT",
    )
    return random.choice(kinds), random.randbytes(random.choice((0, 1, 2, 3, 4, 6, 8, 9, 26, 32, 256, 768, 771)))


def _exif(random: Random) -> tuple[bytes, bytes]:
    good = b"MM\0*\0\0\0\x08" + struct.pack(
        ">HHHIHH", 1, 274, random.choice((1, 2, 3, 4, 7, 12, 99)), 1, random.randrange(12), 0
    )
    return b"eXIf", good[: random.randrange(len(good) + 1)] if random.random() < 0.5 else _flip_bits(random, good)


def _pixels(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Pixels that are too many, too few, no zlib, or unpack to far more than the image."""
    place = next(number for number, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    data = random.choice(
        (
            b"", zlib.compress(b""), zlib.compress(bytes(2**25)), random.randbytes(100), zlib.compress(random.randbytes(3000)),
            chunks[place][1][:-4] + random.randbytes(4), chunks[place][1] * 2,
        )
    )  # fmt: skip
    chunks[place] = (b"IDAT", data)


def _jpeg_sides(random: Random, content: bytes) -> bytes:
    """Another size in the frame of a JPEG."""
    place = next((at for mark in (b"\xff\xc0", b"\xff\xc2") if (at := content.find(mark)) > 0), None)
    if content.startswith(SIGNATURE) or place is None:
        return _flip_bits(random, content)
    sides = struct.pack(">HH", *(random.choice((0, 1, 8000, 9000, 40_000, 65_535)) for _ in range(2)))
    return content[: place + 5] + sides + content[place + 9 :]


def _foreign(random: Random, _: bytes) -> bytes:
    form = random.choice(("GIF", "BMP", "TIFF", "WEBP", "PPM"))
    made = (
        b"",
        b"\0",
        SIGNATURE,
        b"\xff\xd8\xff",
        b"{}",
        b"II*\0" + random.randbytes(50),
        _saved(Image.new("RGB", (9, 9)), form),
    )
    return random.choice(made)


MUTATIONS: dict[str, Callable[[Random, bytes], bytes]] = {
    "bits flipped": _flip_bits,
    "cut off": _cut_off,
    "garbage behind it": _add_garbage,
    "bytes overwritten": _overwrite,
    "lengths of chunks": _of_chunks(_chunk_lengths),
    "check sums": _of_chunks(_check_sums),
    "chunks swapped, repeated, dropped": _of_chunks(_order),
    "a second header": _of_chunks(_second_header),
    "another size": _with_header(width=(1, 7, 29, 31, 300), height=(1, 19, 21, 200)),
    "giant sizes": _with_header(width=_SIDES, height=_SIDES),
    "bits and kinds of colour": _with_header(bits=(0, 1, 2, 4, 8, 16, 32, 255), colour=(0, 1, 2, 3, 4, 5, 6, 7, 255)),
    "methods and interlacing": _with_header(packed=(0, 1, 255), filtered=(0, 1, 64), interlaced=(0, 1, 2, 255)),
    "palettes and other small chunks": _insert(_small_chunk),
    "bombs in text and profile": _insert(_bomb),
    "EXIF": _insert(_exif),
    "pixels": _of_chunks(_pixels),
    "sizes of JPEGs": _jpeg_sides,
    "another format": _foreign,
}


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields kind and content, each kind as often as any other, of all originals in turn."""
    random, whole, kinds = Random(seed), list(originals().values()), list(MUTATIONS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        content = MUTATIONS[kind](random, random.choice(whole))
        if random.random() < 0.1:  # and another of any kind
            content = MUTATIONS[random.choice(("bits flipped", "garbage behind it"))](random, content or b"\0")
        yield kind, content


def ways(path: Path, cached: CachedReader) -> dict[str, Callable[[], object]]:
    """Returns all ways to read an image or label: name -> what reads it."""
    found: dict[str, Callable[[], object]] = {"image_size": lambda: image_size(path)}
    readers: dict[str, Reader] = {"": FROM_DISK, "cached ": cached}
    for called, reader in readers.items():
        found |= {
            f"{called}image": lambda r=reader: r.image(path),
            f"{called}pixels": lambda r=reader: r.pixels(path),
            f"{called}pixels, resized": lambda r=reader: r.pixels(path, _SIZE),
            f"{called}pixels of a window": lambda r=reader: r.pixels(path, _SIZE, _WINDOW),
            f"{called}own size": lambda r=reader: r.size(path),
        }
        for encoding, classes in ENCODINGS.items():
            label = LabelFile(path, encoding, find_classes(classes))
            found |= {
                f"{called}{encoding}": lambda r=reader, one=label: r.label(one.path, one.encoding, one.classes),
                f"{called}{encoding}, resized": lambda r=reader, one=label: r.ids(one, _SIZE, _WINDOW),
            }
        like = LabelFile(path, "labelIds", find_classes(19), path)
        found[f"{called}ids like the image"] = lambda r=reader, one=like: r.ids(one)
    found["to the cache"] = lambda: cached.keep(path, _SIZE)
    found["label to the cache"] = lambda: cached.keep(LabelFile(path, "labelIds", find_classes(19)), _SIZE)
    return found


def take(path: Path, cached: CachedReader) -> tuple[str, str]:
    """Reads a file in all ways; returns how it was taken, and what was said where that is a fault."""
    outcome = REFUSED
    for name, read in ways(path, cached).items():
        began = time.perf_counter()
        try:
            if read() is not None and not name.endswith("size"):
                outcome = READ
        except DataError as error:
            if "\n" in str(error) or str(path) not in str(error):
                return FAULT, f"{name}: no line that names the file: {error!r}"
        except Exception as error:
            return FAULT, f"{name}: {error!r}"
        if time.perf_counter() - began > _SECONDS:
            return FAULT, f"{name}: took {time.perf_counter() - began:.1f} s"
    return outcome, ""


def fuzz_images(count: int, seed: int, folder: Path) -> Outcomes:
    """Makes mutants in a folder and reads each in all ways; those that make faults stay there."""
    outcomes = Outcomes()
    with limited_memory(_MEMORY):
        for number, (kind, content) in enumerate(mutants(count, seed)):
            path = folder / f"{number}.png"
            path.write_bytes(content)
            cached = CachedReader(folder / "cache")
            cached.know({path: f"{seed} {number}"})
            outcome, said = take(path, cached)
            outcomes.add(kind, outcome, f"{path.name}: {said}")
            if outcome != FAULT:
                with suppress(OSError):
                    path.unlink()
    return outcomes
