"""Commands side by side: their order, what becomes of failures, and that none is left behind."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from zsda.core.jobs import Job, run_jobs


def run(jobs, number, logs):
    told = []
    run_jobs(
        jobs, number, logs, {"OMP_NUM_THREADS": "1"},
        lambda job: told.append(("begun", job.name)), lambda one: told.append((one.code, one.job.name)),
    )  # fmt: skip
    return told


def test_each_begins_when_what_it_needs_is_done_and_what_needs_a_failure_is_left_out(tmp_path):
    told = run(
        [
            Job("scores", ("cache", "--cfg", "job"), ("wrong",)),
            Job("wrong", ("cache", "no_such_option=1")),
            Job("later", ("cache", "--cfg", "job"), ("first",)),
            Job("first", ("cache", "--cfg", "job")),
            Job("of_scores", ("cache", "--cfg", "job"), ("scores",)),
        ],
        1,
        tmp_path / "logs",
    )
    assert told == [
        ("begun", "wrong"), (2, "wrong"), (None, "scores"), (None, "of_scores"),
        ("begun", "first"), (0, "first"), ("begun", "later"), (0, "later"),
    ]  # fmt: skip
    assert "no option 'no_such_option'" in (tmp_path / "logs/wrong.log").read_text()
    assert "clear: false" in (tmp_path / "logs/first.log").read_text()
    assert not (tmp_path / "logs/scores.log").exists()


def test_so_many_run_at_a_time(tmp_path):
    running, most = set(), []

    def begun(job):
        running.add(job.name)
        most.append(len(running))

    jobs = [Job(str(number), ("cache", "--cfg", "job")) for number in range(5)]
    run_jobs(jobs, 2, tmp_path / "logs", {"OMP_NUM_THREADS": "1"}, begun, lambda one: running.discard(one.job.name))
    assert most == [1, 2, 2, 2, 2]


def test_what_waits_for_nothing_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="later: wait for jobs that are not there"):
        run([Job("later", ("cache",), ("never",))], 1, tmp_path / "logs")


def test_a_job_waits_for_the_one_that_still_writes_its_log(tmp_path):
    (tmp_path / "logs").mkdir()
    words, ended = ("cache", "--cfg", "job"), []
    with (tmp_path / "logs/locked.log").open("w") as log:
        fcntl.flock(log, fcntl.LOCK_EX)

        def end(one):
            ended.append((one.code, one.job.name))
            if one.job.name == "later":
                fcntl.flock(log, fcntl.LOCK_UN)

        jobs = [Job("locked", words), Job("beside", words), Job("later", words, ("beside",))]
        run_jobs(jobs, 2, tmp_path / "logs", {"OMP_NUM_THREADS": "1"}, lambda job: None, end)
    assert ended == [(0, "beside"), (0, "later"), (0, "locked")]


SLEEPS = """
    import multiprocessing, os, signal, sys, time
    from pathlib import Path

    def end(number, frame):
        raise SystemExit(128 + number)

    def main():
        begun, told = map(Path, sys.argv[1:])
        signal.signal(signal.SIGTERM, end)
        try:
            begun.write_text(str(os.getpid()))
            time.sleep(600)
        except SystemExit:
            told.write_text(f"ended well, its loaders by {multiprocessing.get_start_method()}")
            raise
"""
RUNS = """
    import signal, sys
    from pathlib import Path
    import zsda
    zsda.__path__.append(sys.argv[1])
    from zsda.core.jobs import Job, run_jobs
    from zsda.core.signals import ended_by_signals

    if __name__ == "__main__":
        names = [f"{sys.argv[2]}/{name}" for name in ("a", "b")]
        with ended_by_signals("zsda.study"):
            run_jobs([Job(Path(n).name, ("sleeps", f"{n}.begun", f"{n}.told")) for n in names], 2, Path(sys.argv[2]), {}, id, id)
"""


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGTERM, True),
        (signal.SIGUSR1, True),
        (signal.SIGKILL, False),
    ],
)
def test_what_ends_the_parent_ends_them_in_their_own_way(number, group, tmp_path):
    (tmp_path / "sleeps.py").write_text(textwrap.dedent(SLEEPS))
    script = tmp_path / "runs.py"
    script.write_text(textwrap.dedent(RUNS))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(tmp_path)],
        env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    begun = [tmp_path / f"{name}.begun" for name in ("a", "b")]
    until(lambda: all(path.is_file() and path.read_text() for path in begun))
    children = [int(path.read_text()) for path in begun]
    if group:  # as Slurm tells all processes of a step
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, said = parent.communicate(timeout=60)
    until(lambda: not any(map(alive, children)))
    expected = f"ended well, its loaders by {multiprocessing.get_start_method()}"
    assert all((tmp_path / f"{name}.told").read_text() == expected for name in ("a", "b"))
    if number == signal.SIGKILL:
        assert parent.returncode == -number
    else:
        assert parent.returncode == 128 + number
        assert said.splitlines()[0] == "ending 2 commands, of which trainings write a checkpoint"
        assert said.splitlines()[-1].startswith(f"zsda.study: {number.name}; started again with the same words")


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
