import struct

import cv2
import numpy as np
import pytest

from zsda.prediction.containers import is_cut_short


def iso(name, content):
    return struct.pack(">I4s", 8 + len(content), name) + content


def riff(content, length=None):
    return b"RIFF" + struct.pack("<I", len(content) if length is None else length) + content


EBML = b"\x1a\x45\xdf\xa3\x40\x02ab"  # its length in two bytes
SEGMENT = b"\x18\x53\x80\x67"
LONG = struct.pack(">I4sQ", 1, b"mdat", 16 + 9) + b"123456789"

WHOLE = {
    "iso": iso(b"ftyp", b"isom") + iso(b"moov", b"1234") + iso(b"mdat", b"12345"),
    "iso_of_64_bits": iso(b"ftyp", b"qt  ") + LONG,
    "riff": riff(b"AVI 12345\0") + riff(b"AVIX12345678"),
    "matroska": EBML + SEGMENT + b"\x8f123456789012345",
    "matroska_of_8_bytes": EBML + SEGMENT + b"\x01\0\0\0\0\0\0\x1e" + bytes(30),
}
STREAMS = {
    "iso_to_the_end": iso(b"ftyp", b"isom") + b"\0\0\0\0mdat12345",
    "riff_never_filled_in": riff(b"AVI 12345", 0),
    "matroska_of_unknown_length": EBML + SEGMENT + b"\xff12345678",
    "matroska_of_unknown_length_of_8_bytes": EBML + SEGMENT + b"\x01" + b"\xff" * 7 + bytes(30),
    "mpeg": b"\x00\x00\x01\xba" + bytes(30),
}


@pytest.mark.parametrize("name", [*WHOLE, *STREAMS])
def test_what_is_whole_is_not_cut_short(tmp_path, name):
    (tmp_path / "video").write_bytes({**WHOLE, **STREAMS}[name])
    assert not is_cut_short(tmp_path / "video")


@pytest.mark.parametrize("name", WHOLE)
def test_what_lacks_a_byte_is_cut_short(tmp_path, name):
    (tmp_path / "video").write_bytes(WHOLE[name][: -9 if name == "riff" else -1])
    assert is_cut_short(tmp_path / "video")


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_does_not_tell(tmp_path, name):
    (tmp_path / "video").write_bytes(STREAMS[name][:-1])
    assert not is_cut_short(tmp_path / "video")


@pytest.mark.parametrize("content", [b"", b"RIFF", EBML, EBML + SEGMENT, b"\0\0\0\1moov", iso(b"ftyp", b"")[:4] * 9])
def test_what_is_no_video_tells_nothing(tmp_path, content):
    (tmp_path / "video").write_bytes(content)
    assert not is_cut_short(tmp_path / "video")


@pytest.mark.parametrize(("ending", "code"), [("mp4", "mp4v"), ("mov", "mp4v"), ("avi", "MJPG"), ("mkv", "MJPG")])
def test_what_ffmpeg_writes_is_whole_and_half_of_it_is_not(tmp_path, ending, code):
    path = tmp_path / f"video.{ending}"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 12.5, (64, 48))
    for number in range(9):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    assert not is_cut_short(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert is_cut_short(path)
