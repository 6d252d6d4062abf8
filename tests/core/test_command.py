import os
import re
import subprocess
import sys

import pytest

from tests.conftest import one_line
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
            "Could not find 'setting/dawn' Available options in 'setting': day edited fog game night rain rendered robotcar snow synthia",
        ),
        ("train", ["data.batchsize=3"], "no option 'data.batchsize'; did you mean data.batch_size"),
        ("train", ["trainer.max_epoch"], "trainer.max_epoch"),
        ("train", ["name=../elsewhere"], "name=../elsewhere cannot name a folder"),
        ("train", ["seed=abc"], "seed=abc; expected a whole number"),
        ("train", ["optimizer.rate=1"], "no option 'optimizer.rate'; did you mean optimizer"),
        ("eval", [], "which setting? give setting=day"),
        ("eval", ["setting=night"], "no finished run under runs; train one"),
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
