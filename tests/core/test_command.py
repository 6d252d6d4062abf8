import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import one_line
from zsda.core import errors
from zsda.core.config import conf_dir


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (
            "train",
            ["domain=sunny"],
            "Could not find 'domain/sunny' Available options in 'domain': custom fog game night rain snow",
        ),
        (
            "eval",
            ["setting=dawn"],
            "Could not find 'setting/dawn' Available options in 'setting': day edited fog folder game night rain rendered",
        ),
        ("train", ["data.batchsize=3"], "no option 'data.batchsize'; did you mean data.batch_size"),
        ("train", ["trainer.max_epoch"], "trainer.max_epoch"),
        ("train", ["name=../elsewhere"], "name=../elsewhere; expected a name for a folder"),
        ("train", ["seed=abc"], "seed=abc; expected a whole number"),
        ("train", ["optimizer.rate=1"], "no option 'optimizer.rate'; did you mean optimizer"),
        ("eval", [], "which setting? give setting=day"),
    ],
)
def test_a_wrong_word_gets_one_line(zsda, command, words, message):
    result = zsda(command, *words)
    assert result.returncode == 2
    assert message in one_line(result)


def test_the_old_key_of_views_names_the_new_one_alone(zsda):
    said = one_line(zsda("train", "method=zodi", "method.phases.synthetic.views=[source]"))
    assert said == "zsda.train: no option 'method.phases.synthetic.views'; give method.phases.synthetic.data.views=..."


@pytest.mark.parametrize("command", ["generate", "train", "eval"])
def test_help_explains_the_groups(zsda, command):
    text = zsda(command, "--help").stdout
    assert f"python -m zsda.{command}" in text
    for group in re.findall(
        r"^(\w+): ", text.split("Options of each group:")[1].split("The config as it stands")[0], re.MULTILINE
    ):
        assert re.search(rf"^  [\w, ]*\b{group}\b", text, re.MULTILINE), group


def test_zsda_lists_its_commands():
    text = subprocess.run([sys.executable, "-m", "zsda"], capture_output=True, text=True, check=True).stdout
    commands = {path.stem for path in conf_dir().glob("*.yaml")}
    assert set(re.findall(r"python -m zsda\.([\w.]+)", text)) == commands


def test_a_traceback_is_shown_on_request(zsda):
    result = zsda("eval", env={"ZSDA_TRACEBACK": "1"})
    assert "Traceback" in result.stderr
    assert result.returncode != 0


@pytest.mark.parametrize("how", ["a training that was told", "a signal"])
@pytest.mark.parametrize("words", [["score=miou"], ["-m", "score=miou,miou_present"]], ids=["run", "sweep"])
def test_what_a_signal_ended_ends_all_of_it_with_the_code_of_the_signal(tmp_path, how, words):
    """A sweep, too: no job of it failed, and what follows in a shell must not begin."""
    (tmp_path / "ended.py").write_text(
        f"""
import signal
from zsda.core.command import command
from zsda.core.errors import StoppedError

@command("report")
def main(config):
    print("begun")
    if {how == "a signal"}:
        signal.raise_signal(signal.SIGINT)
    raise StoppedError(signal.SIGINT, "stopped at step 3")
"""
    )
    ended = subprocess.run(
        [sys.executable, "-c", "from ended import main; main()", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 130
    assert ended.stdout.count("begun") == 1
    said = (
        "stopped at step 3"
        if how != "a signal"
        else "SIGINT; started again with the same words it makes what is missing"
    )
    assert ended.stderr == f"zsda.report: {said}\n"


def made(tmp_path, main, *words, command="report", **environment):
    """Runs a command with a main of its own, in a process of its own."""
    (tmp_path / "made.py").write_text(
        f"""
import os, signal, sys, time
from zsda.core import errors
from zsda.core.command import command

@command("{command}")
def main(config):
{textwrap.indent(textwrap.dedent(main), "    ")}
"""
    )
    return subprocess.run(
        [sys.executable, "-c", "from made import main; main()", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


SWEPT = """
print("begun", config.score, config.scenes)
if config.scenes == 1:
    raise errors.DataError(f"no scenes of {config.score}")
if config.scenes == 2 and config.score == "miou":
    raise errors.SeveralErrors([errors.StoreError("no disk"), errors.StoreError("no name")])
"""


def test_a_sweep_goes_on_and_names_what_failed_when_it_fails_and_at_the_end(tmp_path):
    ended = made(tmp_path, SWEPT, "-m", "scenes=0,1,2", "score=miou,miou_present", "runs=*")
    assert ended.returncode == 2
    assert ended.stdout.count("begun") == 6
    lines = [
        "job 2 (scenes=1 score=miou): no scenes of miou",
        "job 3 (scenes=1 score=miou_present): no scenes of miou_present",
        "job 4 (scenes=2 score=miou): no disk",
        "job 4 (scenes=2 score=miou): no name",
    ]
    *_, before_the_last = ended.stdout.split("begun miou_present 2")[:1]
    assert all(f"failed: {line}" in before_the_last for line in lines), ended.stdout
    told = [line for line in ended.stderr.splitlines() if not line.startswith("Error executing job")]  # Hydra's own
    assert told == [f"zsda.report: {line}" for line in lines]


def test_a_sweep_without_failures_says_nothing(tmp_path):
    ended = made(tmp_path, SWEPT, "-m", "scenes=0,3")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_one_failure_of_a_sweep_is_one_line(tmp_path):
    ended = made(tmp_path, SWEPT, "-m", "scenes=0,1")
    assert ended.returncode == 2
    assert one_line(ended) == "zsda.report: job 1 (scenes=1): no scenes of None"


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("raise MemoryError", "not enough memory (MemoryError); choose a smaller batch_size or size"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')", "not enough memory (CUDA out of memory"),
        (
            'raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried")',
            "choose a smaller batch_size or size",
        ),
        ("raise OSError(28, 'No space left on device', '/out')", "no space left to write /out"),
        (
            "raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error.')",
            "give a smaller machine.num_workers=",
        ),
        ("raise OSError('[Errno 24] Too many open files')", "too many files are open at once"),
        ("open('made.py/file')", "cannot write or read made.py/file: Not a directory"),
        ("open('x' * 300)", "File name too long"),
        ("os.mkdir('made.py')", "cannot write or read made.py: File exists"),
        ("open('.', 'w')", "cannot write or read .: Is a directory"),
    ],
)
def test_a_full_machine_or_a_wrong_path_is_one_line(tmp_path, main, said):
    ended = made(tmp_path, main)
    assert ended.returncode == 2
    assert said in one_line(ended)


@pytest.mark.parametrize("words", [[], ["-m", "scenes=0,1"], ["-m", "scenes=1,0"]], ids=["run", "first", "last"])
def test_a_bug_of_ours_is_no_line_but_a_traceback(tmp_path, words):
    ended = made(tmp_path, "if config.scenes != 1: raise RuntimeError('a bug')", *words)
    assert ended.returncode == 1
    assert "RuntimeError: a bug" in ended.stderr
    assert "configs" not in ended.stderr


def test_errors_pass_from_process_to_process():
    for error in (
        errors.SeveralErrors([errors.DataError("a"), errors.StoreError("b")]),
        errors.StoppedError(signal.SIGINT, "stopped"),
        errors.ConfigError("c"),
    ):
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), str(copied), copied.exit_code) == (type(error), str(error), error.exit_code)


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (
            "train",
            ["domain=fog", "machine.devices=99"],
            "machine.devices=99 on a CPU; expected at most one process for each core",
        ),
        (
            "generate",
            ["domain=fog", "machine.devices=[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"],
            "on a CPU; expected",
        ),
        (
            "eval",
            ["setting=day", "machine.num_workers=200"],
            "machine.num_workers=200 for 1 process; expected at most 4",
        ),
    ],
)
def test_more_processes_than_cores_are_refused_unless_an_option_says_so(tmp_path, monkeypatch, command, words, said):
    cores = "os.sched_getaffinity = lambda _: {0, 1}\n"
    (tmp_path / "sitecustomize.py").write_text(f"import os\n{cores}")
    ended = made(tmp_path, "print('begun')", "trainer=cpu", *words, command=command)
    assert ended.returncode == 2
    assert said in one_line(ended)
    assert one_line(ended).endswith("of which there are 2 here, or machine.oversubscribe=true")
    taken = made(tmp_path, "print('begun')", "trainer=cpu", *words, "machine.oversubscribe=true", command=command)
    assert "begun" in taken.stdout


def test_cores_of_a_process_that_slurm_started_are_its_own(tmp_path):
    cores = "os.sched_getaffinity = lambda _: {0, 1}\n"
    (tmp_path / "sitecustomize.py").write_text(f"import os\n{cores}")
    words = ["trainer=cpu", "domain=fog", "machine.devices=4", "machine.strategy=ddp", "machine.num_workers=8"]
    assert "begun" in made(tmp_path, "print('begun')", *words, command="train", SLURM_PROCID="0").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
@pytest.mark.parametrize("own", [True, False], ids=["of ours", "of somebody else"])
def test_a_process_that_a_command_started_ends_with_it(tmp_path, own):
    """Where the parent is killed, too, which can tell nobody. What torchrun or a shell started is left to those."""
    parent = f"""
if "CHILD" not in os.environ:
    import subprocess
    environment = {{**os.environ, "CHILD": "1"}}
    if not {own}:
        del environment["ZSDA_PARENT"]
    child = subprocess.Popen([sys.executable, "-c", "from made import main; main()"], env=environment)
    while not os.path.exists("begun"):
        time.sleep(0.05)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdout.flush()
null = os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1), os.dup2(null, 2)
open("begun", "w").close()
time.sleep(60)
"""
    ended = made(tmp_path, parent)
    assert ended.returncode == -signal.SIGKILL
    child = int(ended.stdout.split()[-1])
    try:
        for _ in range(100 if own else 20):
            if not alive(child):
                break
            time.sleep(0.05)
        assert alive(child) != own
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
