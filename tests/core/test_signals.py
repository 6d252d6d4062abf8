"""A command ends on a signal wherever it reaches it."""

import gc
import multiprocessing
import signal
import sys
import time

import pytest

from tests.training.toys import NumbersData, ToyTask, trainer
from zsda.core.runs import PhaseFolder
from zsda.core.signals import ended_by_signals
from zsda.training.fit import Engine, Length, fit


@pytest.fixture(autouse=True)
def unraisable(monkeypatch):
    """What Python drops; the hook and the handler of ended children stay changed where a signal came."""
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    of_children = signal.getsignal(signal.SIGCHLD)
    yield seen
    signal.signal(signal.SIGCHLD, of_children)


class Finaliser:
    """Is told in its finaliser, where Python drops what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_within_a_finaliser_ends_the_command_too(capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, ended_by_signals("zsda.generate"):
        Finaliser()
        started = time.monotonic()
        while time.monotonic() - started < 20:
            time.sleep(0.01)
    assert time.monotonic() - started < 10
    assert ended.value.code == 128 + signal.SIGTERM
    line = "zsda.generate: SIGTERM; started again with the same words it makes what is missing\n"
    assert capsys.readouterr().err == line
    assert signal.getsignal(signal.SIGTERM) == handler


def test_what_is_over_before_it_can_be_ended_says_how_it_ended():
    with pytest.raises(SystemExit) as ended, ended_by_signals("zsda.generate"):
        Finaliser()
    assert ended.value.code == 128 + signal.SIGTERM
    time.sleep(0.2)  # nothing follows: it would end this process


def test_an_error_of_a_clean_up_that_was_cut_short_does_not_hide_the_signal():
    with pytest.raises(SystemExit) as ended, ended_by_signals("zsda.generate"):
        try:
            signal.raise_signal(signal.SIGUSR1)
        finally:
            [].pop()
    assert ended.value.code == 128 + signal.SIGUSR1


def test_an_error_without_a_signal_is_the_callers():
    hook = sys.unraisablehook
    with pytest.raises(IndexError), ended_by_signals("zsda.generate"):
        [].pop()
    assert sys.unraisablehook is hook


class HalfMade:
    """Cannot be finalised, as a loader that a signal met while it was made."""

    def __del__(self) -> None:
        raise AttributeError("_workers_status")


def test_what_is_left_half_made_is_not_complained_of(unraisable):
    def interrupted() -> None:
        kept = HalfMade()
        signal.raise_signal(signal.SIGTERM)
        del kept

    try:
        with ended_by_signals("zsda.generate"):
            interrupted()
    except SystemExit:
        pass
    gc.collect()
    assert unraisable == []


def test_the_processes_that_load_are_ended_first():
    loader = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    loader.start()
    with pytest.raises(SystemExit), ended_by_signals("zsda.generate"):
        signal.raise_signal(signal.SIGTERM)
    loader.join(5)
    assert loader.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_each_ends_it_with_a_line_and_a_code_of_its_own(capsys, number):
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, ended_by_signals("zsda.eval"):
        signal.raise_signal(number)
    assert ended.value.code == 128 + number
    line = f"zsda.eval: {signal.Signals(number).name}; started again with the same words it makes what is missing\n"
    assert capsys.readouterr().err == line
    assert signal.getsignal(number) == handler


def test_whoever_is_impatient_need_not_wait_for_the_end_of_a_step(tmp_path, capsys):
    class Endless(ToyTask):
        def training_step(self, batch, index):
            signal.raise_signal(signal.SIGINT)
            self.steps_begun = 1
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the step went on")

    tasks = []
    with pytest.raises(SystemExit) as ended, ended_by_signals("zsda.train"):
        engine = Engine(trainer())
        fit(
            lambda: tasks.append(Endless()) or tasks[0],
            NumbersData(),
            Length(1, "epoch"),
            1,
            engine,
            PhaseFolder(tmp_path),
        )
    assert ended.value.code == 130
    assert tasks[0].steps_begun == 1
    assert capsys.readouterr().err.count("zsda.train: SIGINT; started again") == 1
