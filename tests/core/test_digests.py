import hashlib
import os
import time

import pytest

from zsda.core import digests
from zsda.core.digests import content_digest, content_digests


@pytest.fixture
def read(tmp_path, monkeypatch):
    """The files that were read, in order, with a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_remembered", {})
    seen, plain = [], digests.file_digest

    def noting(path):
        seen.append(path.name)
        return plain(path)

    monkeypatch.setattr(digests, "file_digest", noting)
    return seen


@pytest.fixture
def later(monkeypatch):
    """As if all files were written long ago."""
    now = time.time_ns
    monkeypatch.setattr(digests.time, "time_ns", lambda: now() + 10**12)


def write(path, content):
    path.write_bytes(content)
    return path


def in_another_process():
    digests._remembered.clear()


@pytest.mark.parametrize("between", [in_another_process, lambda: None], ids=["another process", "the same"])
def test_a_digest_is_remembered_until_the_file_changes(tmp_path, read, later, between):
    files = [write(tmp_path / name, name.encode()) for name in "abc"]
    first = content_digests(files)
    assert first[files[0]] == hashlib.sha256(b"a").hexdigest()
    between()
    assert content_digests(files) == first
    assert sorted(read) == ["a", "b", "c"]
    write(files[1], b"B")
    between()
    assert content_digests(files) == {**first, files[1]: hashlib.sha256(b"B").hexdigest()}
    assert sorted(read) == ["a", "b", "b", "c"]


def test_equal_size_and_a_time_that_was_put_back_hide_no_change(tmp_path, read, later):
    path = write(tmp_path / "a", b"one")
    before, times = content_digest(path), path.stat()
    in_another_process()
    time.sleep(0.02)
    write(path, b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert content_digest(path) == hashlib.sha256(b"two").hexdigest() != before


def test_what_was_written_a_moment_ago_is_read_again(tmp_path, read):
    """A file system may give two contents the same time."""
    path = write(tmp_path / "a", b"one")
    content_digest(path)
    content_digest(path)
    assert read == ["a", "a"]


def test_what_cannot_be_read_has_none(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    names = ["gone", "pipe", ".", "x" * 300]
    assert content_digests(tmp_path / name for name in names) == {tmp_path / name: None for name in names}


@pytest.mark.parametrize("harm", ["no folder", "no data base", "another table"])
def test_without_a_cache_everything_is_read(tmp_path, read, later, harm):
    path, place = write(tmp_path / "a", b"one"), tmp_path / "cache/zsda/digests.sqlite"
    if harm == "no folder":
        write(tmp_path / "cache", b"")
    else:
        place.parent.mkdir(parents=True)
        if harm == "no data base":
            write(place, b"nonsense" * 1000)
        else:
            digests.sqlite3.connect(place).execute("CREATE TABLE digests (x)").connection.commit()
    for _ in range(2):
        assert content_digest(path) == hashlib.sha256(b"one").hexdigest()
        in_another_process()
    assert read == ["a", "a"]
