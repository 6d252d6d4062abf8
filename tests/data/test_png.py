import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from zsda.data import png
from zsda.data.png import decode_plain

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def saved(path, pixels=PIXELS, mode=None, **how):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **how)
    return path


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0]])
def test_grey_and_rgb_are_what_pillow_decodes(tmp_path, pixels):
    found = decode_plain(saved(tmp_path / "a.png", pixels))
    assert found.dtype == np.uint8 and (found == pixels).all()


def text(value):
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", value)
    return info


@pytest.mark.parametrize(
    "make",
    [
        lambda path: saved(path, mode="P"),
        lambda path: saved(path, mode="RGBA"),
        lambda path: saved(path, mode="1"),
        lambda path: saved(path, PIXELS[..., 0].astype(np.uint16)),
        lambda path: saved(path, pnginfo=text("exif\n1\n00")),
        lambda path: saved(path, transparency=(1, 2, 3)),
        lambda path: saved(path, format="JPEG"),
        lambda path: path.write_bytes(b""),
    ],
)
def test_others_are_left_to_pillow(tmp_path, make):
    make(tmp_path / "a.png")
    assert decode_plain(tmp_path / "a.png") is None


def test_what_is_damaged_is_left_to_pillow(tmp_path):
    whole = saved(tmp_path / "a.png").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for damaged in (whole[:-20], whole[:40], whole[:8], bytes(flipped)):
        (tmp_path / "b.png").write_bytes(damaged)
        assert decode_plain(tmp_path / "b.png") is None


@pytest.mark.parametrize(("most", "decoded"), [("0.0006", True), ("0.000599", False)])
def test_what_has_too_many_pixels_is_not_decoded(tmp_path, monkeypatch, most, decoded):
    monkeypatch.setenv("ZSDA_MOST_MEGAPIXELS", most)
    assert (decode_plain(saved(tmp_path / "a.png")) is not None) == decoded


def test_of_an_endless_file_no_more_is_read_than_its_pixels_need(tmp_path):
    path = saved(tmp_path / "a.png")
    with path.open("ab") as file:
        file.truncate(2**40)  # a hole, which takes no space
    assert (decode_plain(path) == PIXELS).all()
    header, rest = path.open("rb").read(33), b"\x00\x00\x00\x00IDAT"
    (tmp_path / "b.png").write_bytes(header + rest * 2**18)
    assert decode_plain(tmp_path / "b.png") is None


def test_without_the_fast_decoder_pillow_decodes(tmp_path, monkeypatch):
    monkeypatch.setattr(png, "_decode", None)
    assert decode_plain(saved(tmp_path / "a.png")) is None


def test_an_encoder_that_writes_many_chunks_is_understood(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.tile(PIXELS, (20, 20, 1))).save(buffer, "PNG", compress_level=0)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    assert buffer.getvalue().count(b"IDAT") > 1
    assert (decode_plain(tmp_path / "a.png") == np.tile(PIXELS, (20, 20, 1))).all()
