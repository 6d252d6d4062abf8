import os
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.layouts import stripes, write_robotcar_label, write_synthia_label
from zsda.core.errors import DataError
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES
from zsda.data.reader import FROM_DISK, DamagedImageError, image_size, resize_to_nearest

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
    "a giant": lambda p: p.write_bytes(png(40_000, 40_000, b"\0" * 49)),
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


def test_an_image_too_large_to_be_decoded_is_damaged(tmp_path):
    (tmp_path / "a.png").write_bytes(png(40_000, 40_000, b"\0" * 49, 8, 0))
    assert image_size(tmp_path / "a.png") is None
    with pytest.raises(DamagedImageError, match="exceeds limit"):
        FROM_DISK.image(tmp_path / "a.png")
    with pytest.raises(DamagedImageError, match="exceeds limit"):
        FROM_DISK.label(tmp_path / "a.png", "labelIds", CITYSCAPES)


def test_the_nearest_is_that_of_opencv():
    ids = np.arange(10, dtype=np.uint8)[None].repeat(2, axis=0)
    assert resize_to_nearest(ids, (4, 1)).tolist() == [[0, 2, 5, 7]], "Pillow takes 1, 3, 6, 8"
    assert resize_to_nearest(ids, (10, 2)) is ids
