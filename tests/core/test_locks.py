"""One owner for each folder; the other processes here import nothing heavy, so they start at once."""

import errno
import fcntl
import json
import os
import platform
import subprocess
import sys
import time

import pytest

from zsda.core.errors import StoreError
from zsda.core.locks import owned

HOLD = """
import os, sys
from pathlib import Path
from zsda.core.locks import owned
with owned(*map(Path, sys.argv[2:])):
    worker = os.fork() if sys.argv[1] == "with worker" else 1
    sys.stdout.write(f"{os.getpid()}\\n") if worker else None
    sys.stdout.flush()
    sys.stdin.read()
"""


def hold(*folders, how="alone"):
    """Starts a process that owns folders until its input ends, and returns once it does."""
    words = [sys.executable, "-c", HOLD, how, *map(str, folders)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == f"{holder.pid}\n"
    return holder


def lock_of(folder):
    return folder.parent / f".{folder.name}.lock"


def leave(folder, **owner):
    """A lock file that some process left behind."""
    known = {"host": platform.node(), "pid": ended_pid(), "since": "2020-01-01T00:00:00+00:00"}
    lock_of(folder).write_text(json.dumps({**known, **owner}))


def ended_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that knows none."""

    def refuse(*_args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)


def test_the_second_is_told_who_the_first_is_and_comes_in_after_it(tmp_path):
    holder = hold(tmp_path / "a", tmp_path / "b")
    try:
        told = rf"b: process {holder.pid} on {platform.node()}, since 20.*, is writing to it; wait until it has ended"
        with pytest.raises(StoreError, match=told), owned(tmp_path / "c", tmp_path / "b"):
            pass
        assert not lock_of(tmp_path / "c").exists(), "what it had is given back"
        with owned(tmp_path / "c"):
            pass
    finally:
        holder.communicate("")
    with owned(tmp_path / "a", tmp_path / "b"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_owner_keeps_nobody_out_nor_do_its_workers(tmp_path, caplog):
    holder = hold(tmp_path / "a", how="with worker")
    try:
        holder.kill()
        holder.wait()
        assert lock_of(tmp_path / "a").exists()
        caplog.set_level("INFO")
        with owned(tmp_path / "a"):
            assert f"taken over from process {holder.pid} on" in caplog.text
            assert "which ended without giving it back" in caplog.text
            assert json.loads(lock_of(tmp_path / "a").read_text())["pid"] == os.getpid()
    finally:
        holder.stdin.close()
    assert not lock_of(tmp_path / "a").exists()


def test_folders_made_for_a_lock_go_with_it_unless_they_are_used(tmp_path):
    with pytest.raises(ZeroDivisionError), owned(tmp_path / "runs/deep/a"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with owned(tmp_path / "runs/a"):
        (tmp_path / "runs/a").mkdir()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_a_process_owns_a_folder_once_by_whatever_path(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    with owned(tmp_path / "a", tmp_path / "link"):
        with pytest.raises(StoreError, match="a: this command is writing to it already"), owned(tmp_path / "link"):
            pass
        assert lock_of(tmp_path / "a").exists()
    assert not lock_of(tmp_path / "a").exists()


@pytest.mark.parametrize(
    "content", [b'{"host": "a", "pid": Infinity, "since": "b"}', b"", b"{", b"[1]", b'{"pid": {}}', b"\xff" * 2000]
)
def test_what_else_stands_in_a_lock_file_keeps_nobody_out(tmp_path, content):
    lock_of(tmp_path / "a").write_bytes(content)
    with owned(tmp_path / "a"):
        pass


def test_a_lock_that_was_given_back_while_it_was_opened_is_not_one(tmp_path, monkeypatch):
    """Between the opening of the file and its lock, its owner removes it, and another process makes its own."""
    leave(tmp_path / "a")
    holders, lockf = [], fcntl.lockf

    def late(file, how):
        if not holders:
            lock_of(tmp_path / "a").unlink()
            holders.append(hold(tmp_path / "a"))
        lockf(file, how)

    monkeypatch.setattr(fcntl, "lockf", late)
    try:
        with pytest.raises(StoreError, match="is writing to it"), owned(tmp_path / "a"):
            pass
    finally:
        holders[0].communicate("")


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_file_counts_as_long_as_its_process_runs(tmp_path, monkeypatch):
    leave(tmp_path / "a")
    with owned(tmp_path / "a"):
        assert json.loads(lock_of(tmp_path / "a").read_text())["pid"] == os.getpid()
        with monkeypatch.context() as as_another:
            as_another.setattr("zsda.core.locks._own", set())
            with pytest.raises(StoreError, match=rf"process {os.getpid()} on .*if it has, delete .*\.a\.lock"):
                owned(tmp_path / "a").__enter__()
    leave(tmp_path / "a", host="another")
    with pytest.raises(StoreError, match=r"on another, since 2020.* is writing to it"), owned(tmp_path / "a"):
        pass
    assert lock_of(tmp_path / "a").exists()


def test_a_link_in_place_of_the_lock_file_is_not_written_through(tmp_path):
    (tmp_path / "mine").write_text("mine")
    lock_of(tmp_path / "a").symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match=r"\.a\.lock"), owned(tmp_path / "a"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_pipe_in_place_of_the_lock_file_does_not_wait(tmp_path):
    os.mkfifo(lock_of(tmp_path / "a"))
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"\.a\.lock"), owned(tmp_path / "a"):
        pass
    assert time.monotonic() - started < 5


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file"), owned(tmp_path / "file/a"):
        pass


COMMANDS = """
import json, runpy, sys
commands, *heavy = sys.argv[1:]
for words in json.loads(commands):
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(end.code, sorted(set(heavy) & set(sys.modules)))
"""


def started(folder, commands, *heavy):
    """Runs commands one after the other; each ends with its code and which of the heavy packages were imported by then."""
    words = [sys.executable, "-c", COMMANDS, json.dumps(list(commands)), *heavy]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


SECOND = {
    "runs/a": ["zsda.train", "method=source_only", "name=a"],
    "runs/1.5": ["zsda.train", "method=source_only", "name=1.5", "world=miniature"],
    "data/fog_target": ["zsda.generate", "domain=fog"],
    "elsewhere/fog_whole": ["zsda.generate", "domain=fog", "data_root=elsewhere", "recipe=whole"],
}
"""Folder that has an owner -> a second command for it."""


def test_a_second_command_is_refused_before_anything_heavy_is_loaded(tmp_path):
    for folder in SECOND:
        (tmp_path / folder).mkdir(parents=True)
    holders = {folder: hold(tmp_path / folder) for folder in SECOND}
    try:
        result = started(tmp_path, SECOND.values(), "lightning", "diffusers", "transformers")
    finally:
        for holder in holders.values():
            holder.communicate("")
    assert result.stdout == "2 []\n" * len(SECOND), result.stdout + result.stderr
    for folder, holder in holders.items():
        assert f"{folder}: process {holder.pid} on" in result.stderr
        assert list((tmp_path / folder).iterdir()) == []


WEIGHTS = "ckpt=pkg://zsda/miniature/weights/segmentation.safetensors"
REFUSED = {
    "file/sets cannot be written (Not a directory": ["zsda.generate", "domain=fog", "generated_root=file/sets"],
    "give runs_root=FOLDER": ["zsda.train", "method=source_only", "runs_root=file/runs"],
    "file/day cannot be written": ["zsda.eval", "setting=day", WEIGHTS, "model=miniature", "out=file/day"],
    "file/a cannot be written": ["zsda.preview", "domain=fog", "out=file/a"],
    "file/b cannot be written": ["zsda.export", WEIGHTS, "model=miniature", "out=file/b"],
    "file/c cannot be written": ["zsda.report", "out=file/c"],
    "editor.model=/nonexistent: no such folder": ["zsda.generate", "domain=fog", "editor.model=/nonexistent"],
    "editor.model=empty: no pipeline, model_index.json is missing": [
        "zsda.generate",
        "domain=fog",
        "editor.model=empty",
    ],
    "editor.model=nothing: no such folder": ["zsda.preview", "domain=fog", "editor.model=nothing"],
}
"""What is said -> a command that can be refused by its words."""


def test_what_no_network_is_needed_to_see_is_told_before_torch_is_loaded(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    result = started(tmp_path, REFUSED.values(), "torch")
    assert result.stdout == "2 []\n" * len(REFUSED), result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == len(REFUSED)
    assert all(said in line for said, line in zip(REFUSED, lines, strict=True)), result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
