import io
import os
import re
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.layouts import stripes, write_robotcar_label, write_synthia_label
from zsda.core.errors import ConfigError, DataError
from zsda.data import reader
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES, CLASSES, TABLE
from zsda.data.reader import FROM_DISK, DamagedImageError, image_size
from zsda.data.resizing import resize_to_nearest

_ = 255
NINE = find_classes(9)


def test_the_class_of_synthia_is_the_first_of_three_channels_of_16_bits(tmp_path):
    write_synthia_label(tmp_path / "a.png", stripes(range(23), (4, 23)))
    ids = FROM_DISK.label(tmp_path / "a.png", "synthiaIds", CITYSCAPES)
    assert ids.dtype == np.uint8
    assert ids[0].tolist() == [_, 10, 2, 0, 1, 4, 8, 5, 13, 7, 11, 18, 17, _, _, 6, 9, 12, 14, 15, 16, 3, _]
    assert (ids == ids[0]).all(), "whatever the instances"


def test_an_id_beyond_a_byte_is_named(tmp_path):
    write_synthia_label(tmp_path / "a.png", stripes([3, 23, 256 + 3], (4, 9)))
    with pytest.raises(
        DataError, match=r"a.png: ids outside the table of synthiaIds: \[23, 259\]; expected 0-22 and 255"
    ):
        FROM_DISK.label(tmp_path / "a.png", "synthiaIds", CITYSCAPES)


def test_the_class_of_robotcar_is_the_first_of_four_channels(tmp_path):
    write_robotcar_label(tmp_path / "a.png", stripes(range(19), (4, 19)))
    ids = FROM_DISK.label(tmp_path / "a.png", "robotcarIds", NINE)
    assert ids[0].tolist() == [_, 0, 1, 2, 3, 4, 5, 6, _, _, 7, 8, 8, 8, 8, _, _, 8, _]


def grey(path, dtype=np.uint8, shape=(4, 6)):
    cv2.imwrite(str(path), np.full(shape, 3, dtype))


WRONG = [
    ("synthiaIds", lambda p: grey(p, shape=(4, 6, 3)), "3 channels of 8 bits; expected 3 channels of 16 bits", "neither GT/COLOR"),
    ("synthiaIds", lambda p: grey(p, np.uint16), "1 channel of 16 bits; expected 3 channels of 16 bits", "GT/LABELS"),
    ("synthiaIds", lambda p: Image.new("P", (6, 4)).save(p), "1 channel of 1 bit; expected 3", "GT/LABELS"),
    ("robotcarIds", grey, "1 channel of 8 bits; expected 4 channels of 8 bits", "files of anno"),
    ("robotcarIds", lambda p: grey(p, np.uint16, (4, 6, 4)), "4 channels of 16 bits; expected 4 channels of 8", "files of anno"),
    ("labelIds", lambda p: grey(p, np.uint16, (4, 6, 3)), "3 channels of 16 bits; expected 1 channel of 8", "data=synthia"),
    ("labelTrainIds", lambda p: grey(p, np.uint16), "1 channel of 16 bits; expected 1 channel of 8 bits", "not colours"),
    ("gta5Ids", lambda p: grey(p, shape=(4, 6, 4)), "4 channels of 8 bits; expected 1 channel of 8 bits", "not colours"),
    ("classIds", lambda p: Image.new("1", (6, 4)).save(p), "1 channel of 1 bit; expected 1 channel of 8 bits", "ids"),
    ("labelIds", lambda p: Image.new("LA", (6, 4)).save(p), "2 channels of 8 bits; expected 1 channel of 8 bits", "ids"),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "write", "found", "way_out"), WRONG)
def test_what_a_label_is_and_must_be_is_told(tmp_path, encoding, write, found, way_out):
    write(tmp_path / "a.png")
    with pytest.raises(
        DataError, match=rf"a\.png: a label in {found}.*as {encoding} are stored; .*{way_out}"
    ) as raised:
        FROM_DISK.label(tmp_path / "a.png", encoding, NINE)
    assert not isinstance(raised.value, DamagedImageError), "a mistake in the whole set, not in one file"


def test_a_palette_of_few_colours_holds_ids(tmp_path):
    image = Image.new("P", (6, 4), 3)
    image.putpalette(range(12))
    image.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[24] == 2
    assert (FROM_DISK.label(tmp_path / "a.png", "labelTrainIds", CITYSCAPES) == 3).all()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data, bits=16, kind=2, before=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + before + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def whole(path, keep=slice(None)):
    write_synthia_label(path, stripes(range(23)))
    path.write_bytes(path.read_bytes()[keep])


DAMAGED = {
    "missing": lambda _: None,
    "a pipe": os.mkfifo,
    "empty": lambda p: p.write_bytes(b""),
    "cut off": lambda p: whole(p, slice(1500)),
    "without its end": lambda p: whole(p, slice(-12)),
    "few pixels": lambda p: p.write_bytes(png(8, 8, b"\0" * 49)),
    "too wide for OpenCV": lambda p: p.write_bytes(png(2**20 + 1, 1, bytes(1 + 6 * (2**20 + 1)))),
    "a JPEG": lambda p: Image.new("RGB", (8, 8)).save(p, format="JPEG"),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_label_of_16_bits_is_named(tmp_path, how):
    DAMAGED[how](tmp_path / "a.png")
    message = re.escape(f"{tmp_path / 'a.png'}: cannot be decoded (")
    with pytest.raises(DamagedImageError, match=rf"{message}.*\); expected a complete PNG$"):
        FROM_DISK.label(tmp_path / "a.png", "synthiaIds", CITYSCAPES)


def test_a_second_header_does_not_have_colours_read_as_ids(tmp_path):
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(png(8, 8, bytes(8 * 25), 8, 2, first))
    assert Image.open(tmp_path / "a.png").mode == "RGB"
    with pytest.raises(DamagedImageError, match=r"cannot be decoded \(a second header\)"):
        FROM_DISK.label(tmp_path / "a.png", "labelIds", CITYSCAPES)


def test_of_a_label_of_16_bits_no_more_is_read_than_the_image(tmp_path):
    whole(tmp_path / "a.png")
    with (tmp_path / "a.png").open("r+b") as file:
        file.truncate(2**40)
    assert FROM_DISK.label(tmp_path / "a.png", "synthiaIds", CITYSCAPES).shape == (64, 128)


def jpeg(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


GIANTS = {
    "grey": ("labelIds", lambda w, h: png(w, h, b"\0" * 49, 8, 0)),
    "RGB": ("labelIds", lambda w, h: png(w, h, b"\0" * 49, 8, 2)),
    "16 bits": ("synthiaIds", lambda w, h: png(w, h, b"\0" * 49)),
    "RGBA": ("robotcarIds", lambda w, h: png(w, h, b"\0" * 49, 8, 6)),
    "JPEG": (None, jpeg),
}


@pytest.mark.parametrize("kind", GIANTS)
@pytest.mark.parametrize(
    ("width", "height", "found"), [(20_000, 9_000, 180), (40_000, 40_000, 1600), (8_000, 8_001, 65)]
)
def test_an_image_of_too_many_pixels_is_damaged(tmp_path, kind, width, height, found):
    encoding, make = GIANTS[kind]
    (tmp_path / "a.png").write_bytes(make(width, height))
    message = re.escape(f"a.png: {width}x{height}, {found} megapixels; expected at most 64: make it smaller, or raise ")
    assert image_size(tmp_path / "a.png") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as Pillow warns of a bomb
        for read in (FROM_DISK.image, FROM_DISK.pixels, FROM_DISK.size):
            with pytest.raises(DamagedImageError, match=message):
                read(tmp_path / "a.png")
        if encoding is not None:
            with pytest.raises(DamagedImageError, match=message):
                FROM_DISK.label(tmp_path / "a.png", encoding, NINE)


def test_the_first_of_two_headers_is_no_way_round_the_limit(tmp_path):
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 16, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(png(8, 8, b"\0" * 8 * 49, before=first))
    with pytest.raises(DamagedImageError, match="20000x20000, 400 megapixels"):
        FROM_DISK.label(tmp_path / "a.png", "synthiaIds", CITYSCAPES)


@pytest.mark.parametrize("pixels", [(12_000, 8_000), (13_500, 14_000)])
def test_the_limit_can_be_raised_above_those_of_pillow(tmp_path, monkeypatch, pixels):
    monkeypatch.setenv("ZSDA_MOST_MEGAPIXELS", "200")
    (tmp_path / "a.png").write_bytes(png(*pixels, b"\0" * 49, 8, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_size(tmp_path / "a.png") == pixels


@pytest.mark.parametrize("text", ["", "many", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_named(tmp_path, monkeypatch, text):
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    monkeypatch.setenv("ZSDA_MOST_MEGAPIXELS", text)
    for read in (FROM_DISK.image, image_size):
        with pytest.raises(ConfigError, match=f"^ZSDA_MOST_MEGAPIXELS={text} in the environment; expected a positive"):
            read(tmp_path / "a.png")


def test_no_advice_of_a_library_is_passed_on(tmp_path):
    """Pillow names the variable that would have to be raised to unpack it."""
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**24)))
    whole = png(8, 8, b"\0" * 8 * 25, 8, 2)
    (tmp_path / "a.png").write_bytes(whole[:33] + bomb + whole[33:])
    with pytest.raises(DamagedImageError, match=r"a\.png: cannot be decoded \(ValueError\)"):
        FROM_DISK.image(tmp_path / "a.png")


def test_the_nearest_is_that_of_opencv():
    ids = np.arange(10, dtype=np.uint8)[None].repeat(2, axis=0)
    assert resize_to_nearest(ids, (1, 4)).tolist() == [[0, 2, 5, 7]], "Pillow takes 1, 3, 6, 8"
    assert resize_to_nearest(ids, (2, 10)) is ids


GREY = np.arange(2**16, dtype=np.uint32).astype(np.uint16).reshape(256, 256)


@pytest.mark.parametrize("depth", ["grey", "grey and alpha", "colours"])
def test_16_bits_become_8(tmp_path, depth):
    """Pillow would make all grey above 255 white."""
    planes = {"grey": GREY, "grey and alpha": None, "colours": np.dstack([GREY, GREY // 2, GREY.T])}[depth]
    if planes is None:  # OpenCV writes no such file
        write_png(tmp_path / "a.png", np.dstack([GREY, np.full_like(GREY, 2**16 - 1)]), kind=4)
    else:
        cv2.imwrite(str(tmp_path / "a.png"), planes[..., ::-1] if planes.ndim == 3 else planes)
    read = np.asarray(FROM_DISK.image(tmp_path / "a.png")).astype(float)
    right = (np.dstack([GREY] * 3) if planes is None or planes.ndim == 2 else planes) / 257
    assert np.abs(read - right).max() <= (0.5 if depth == "grey" else 1), "Pillow cuts the lower bits off colours"


def write_png(path, planes, kind):
    """Writes a PNG of 16 bits, without filters."""
    height, width = planes.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in planes)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("shape", [(400, 300), (400, 300, 3)])
def test_what_a_camera_left_in_the_lower_bits_is_no_dark_picture(tmp_path, bits, shape):
    noise = np.random.default_rng(0).integers(0, 2**bits, shape).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    noise.flat[7] = 2**16 - 1  # a pixel of the camera that is always white
    cv2.imwrite(str(tmp_path / "b.png"), noise)
    for name in "ab":
        with pytest.raises(
            DamagedImageError, match=rf"{name}\.png: cannot be decoded \(16 bits of which it uses the lower 14"
        ):
            FROM_DISK.image(tmp_path / f"{name}.png")
    cv2.imwrite(str(tmp_path / "a.png"), noise * 0)
    assert np.asarray(FROM_DISK.image(tmp_path / "a.png")).max() == 0, "black is black"


TURNS = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


def upright_at(orientation):
    """A picture of 20x30 without symmetry, and what is stored of it under an orientation."""
    right = np.zeros((20, 30, 3), np.uint8)
    right[:5, :20], right[:10, :4] = (250, 40, 40), (40, 40, 250)
    stored = next(
        s for turn in (*TURNS.values(), np.array) if np.array_equal(TURNS[orientation](s := turn(right)), right)
    )
    return right, np.ascontiguousarray(stored)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("orientation", TURNS)
def test_an_image_is_turned_as_its_exif_says(tmp_path, orientation, ending):
    right, stored = upright_at(orientation)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(stored).save(path, exif=exif, **({"quality": 100, "subsampling": 0} if ending == "jpg" else {}))
    read = np.asarray(FROM_DISK.image(path)).astype(int)
    assert np.abs(read - right).max() < 40
    assert image_size(path) == (30, 20)


@pytest.mark.parametrize("kind", ["eXIf", "iTXt"])
def test_a_png_may_say_behind_its_pixels_how_it_is_turned(tmp_path, kind):
    right, stored = upright_at(6)
    Image.fromarray(stored).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[274] = 6
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'
    extra = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) if kind == "eXIf" else chunk(b"iTXt", xmp)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:-12] + extra + whole[-12:])
    assert (np.asarray(FROM_DISK.image(tmp_path / "a.png")) == right).all()
    assert image_size(tmp_path / "a.png") == (30, 20)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"]
)
def test_damaged_exif_turns_nothing(tmp_path, exif):
    Image.new("RGB", (30, 20), (9, 9, 9)).save(tmp_path / "a.jpg", exif=exif)
    assert FROM_DISK.image(tmp_path / "a.jpg").size == image_size(tmp_path / "a.jpg") == (30, 20)


def test_an_orientation_that_there_is_not_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[274] = 9
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png", exif=exif)
    assert FROM_DISK.image(tmp_path / "a.png").size == image_size(tmp_path / "a.png") == (30, 20)


def test_a_label_that_is_to_be_turned_is_refused(tmp_path):
    exif = Image.Exif()
    exif[274] = 3
    Image.new("L", (6, 4), 7).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(
        DataError, match=r"a\.png: a label that its EXIF says to turn; expected one that is stored upright"
    ):
        FROM_DISK.label(tmp_path / "a.png", "labelIds", CITYSCAPES)


def painted(path, indices, colours):
    image = Image.fromarray(np.array([indices], np.uint8))
    image.putpalette(np.array(colours, np.uint8).tobytes())
    image.save(path)


BY_ID = {c.label_id: c.colour for c in TABLE if c.label_id >= 0}
OF_THE_TABLE = [BY_ID[number] for number in range(34)]
OF_TRAIN_IDS = [c.colour for c in CLASSES]


@pytest.mark.parametrize(
    ("encoding", "indices", "colours", "first"),
    [
        ("labelIds", [0, 1, 2], [BY_ID[23], BY_ID[7], BY_ID[26]], "0 is painted as sky, 1 is painted as road, 2 is painted as car"),
        ("labelIds", [0, 1], [(0, 0, 0), *OF_TRAIN_IDS], "1 is painted as road"),
        ("labelIds", [7, 8], OF_TRAIN_IDS, "7 is painted as traffic sign, 8 is painted as vegetation"),
        ("labelTrainIds", [7, 11], OF_THE_TABLE, "7 is painted as road, 11 is painted as building"),
        ("gta5Ids", [3, 4], OF_TRAIN_IDS, "3 is painted as wall, 4 is painted as fence"),
        ("classIds", [2, 3], OF_TRAIN_IDS[::-1], "2 is painted as train, 3 is painted as bus"),
        ("labelIds", [1, 2], [(0, 0, 0), BY_ID[7], *[(9, 9, n) for n in range(200)], BY_ID[8]], "1 is painted as road"),
        ("labelTrainIds", [0, 1, 2], [(7, 7, 7), (2, 2, 2), (2, 2, 2)], "0 is the grey 7, 1 is the grey 2"),
    ],
    ids=["as they occur", "own list", "train ids", "label ids", "GTA5", "class ids", "among others", "greys"],
)  # fmt: skip
def test_a_palette_of_class_colours_must_have_the_ids_as_indices(tmp_path, encoding, indices, colours, first):
    painted(tmp_path / "a.png", indices, colours)
    with pytest.raises(
        DataError, match=rf"a\.png: a palette of class colours or greys whose indices are no {encoding}: {first}"
    ) as raised:
        FROM_DISK.label(tmp_path / "a.png", encoding, CITYSCAPES)
    assert not isinstance(raised.value, DamagedImageError)


def voc(number):
    """The colour of an index in the palette of PASCAL VOC, which tools give to any label map."""
    return [sum((number >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3)]


@pytest.mark.parametrize(
    ("encoding", "indices", "colours"),
    [
        ("labelIds", [7, 11, 17, 18, 23, 0], OF_THE_TABLE),
        ("gta5Ids", [7, 34, 26], [*OF_THE_TABLE, (0, 0, 142)]),
        ("labelTrainIds", [0, 13, 18], [*OF_TRAIN_IDS, *[(0, 0, 0)] * 237]),
        ("labelIds", [7, 21, 23], [voc(number) for number in range(256)]),
        ("labelTrainIds", [0, 1, 2], [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)]),
        ("labelIds", [7, 26], [(n, n, n) for n in range(256)]),
        ("labelIds", [0, 7], [*OF_THE_TABLE[:7], BY_ID[7], *OF_TRAIN_IDS]),
        ("gta5Ids", [0, 11, 17], OF_THE_TABLE),
        ("labelIds", [0, 7, 11], [(0, 0, 0)] * 256),
    ],
    ids=["label ids", "GTA5", "train ids", "VOC", "red", "grey", "not used", "grey classes", "black"],
)  # fmt: skip
def test_other_palettes_are_only_for_the_eye(tmp_path, encoding, indices, colours):
    painted(tmp_path / "a.png", indices, colours)
    plain = np.array([indices], np.uint8)
    assert (FROM_DISK.label(tmp_path / "a.png", encoding, CITYSCAPES) == CITYSCAPES.to_ids(plain, encoding)).all()


def test_a_file_that_asks_for_more_memory_than_there_is_is_damaged(monkeypatch, tmp_path):
    """As one whose chunk claims to have two gigabytes."""
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)

    def exhausted(_path):
        raise MemoryError

    monkeypatch.setattr(reader, "decode_plain", exhausted)
    with pytest.raises(DamagedImageError, match=r"a.png: cannot be decoded \(MemoryError\)"):
        FROM_DISK.image(path)
