import json
import signal
from functools import partialmethod

import pytest
import torch
from torch import nn

from tests.training.toys import KilledError, NumbersData, ToyTask, ends_as, train, trainer
from zsda.core.errors import ConfigError, StoppedError, StoreError
from zsda.core.runs import PhaseFolder
from zsda.core.signals import ENDING
from zsda.models.weights import read_weights
from zsda.training.fit import Engine, Length, fit
from zsda.training.schedules import Cosine

EPOCHS, STEPS = Length(3, "epoch"), Length(13, "step")  # of five steps an epoch


@pytest.mark.parametrize(
    ("optimizers", "length", "workers", "watched"),
    [(1, EPOCHS, 0, True), (2, EPOCHS, 1, False), (1, STEPS, 1, True), (2, STEPS, 0, False)],
)
def test_a_training_interrupted_anywhere_ends_as_if_it_had_not_been(tmp_path, optimizers, length, workers, watched):
    words = {"length": length, "optimizers": optimizers, "unit": length.unit, "horizon": 20}
    data = {"workers": workers, "watched": watched}
    whole, undisturbed = train(tmp_path / "whole", data=NumbersData(**data), **words)
    # Within the first epoch, at its end, within a later one, and twice in the same.
    seen = []
    for dies_at in (3, 5, 7, 9, 12):
        with pytest.raises(KilledError):
            train(tmp_path / "often", data=NumbersData(**data), dies_at=dies_at, seen=seen, **words)
    _, resumed = train(tmp_path / "often", data=NumbersData(**data), seen=seen, **words)
    assert seen == whole.seen
    assert ends_as(resumed, undisturbed)
    assert resumed.report().resumed
    assert resumed.report().steps == undisturbed.report().steps == (15 if length is EPOCHS else 13)
    assert resumed.report().epochs == undisturbed.report().epochs == 3
    assert resumed.report().watched == undisturbed.report().watched


def test_an_epoch_without_validation_is_not_ended_again(tmp_path):
    whole, undisturbed = train(tmp_path / "whole", validate=2)
    seen = []
    with pytest.raises(KilledError):
        train(tmp_path / "again", validate=2, dies_at=5, seen=seen)
    _, resumed = train(tmp_path / "again", validate=2, seen=seen)
    assert seen == whole.seen
    assert ends_as(resumed, undisturbed)


def test_a_training_counted_in_steps_is_validated_at_its_end(tmp_path):
    task, folder = train(tmp_path, length=Length(7, "step"), unit="step")
    assert task.validations == 2 * 2
    assert folder.report().steps == 7


def test_what_a_kill_after_the_last_step_left_is_finished_without_another(tmp_path):
    for length in (EPOCHS, STEPS):
        task, folder = train(tmp_path / length.unit, length=length, unit=length.unit, horizon=20)
        before = folder.weights.read_bytes()
        (folder.path / "phase.json").unlink()
        again, _ = train(tmp_path / length.unit, length=length, unit=length.unit, horizon=20)
        assert again.seen == []
        assert folder.weights.read_bytes() == before
        assert folder.report().steps == task.steps
        assert folder.report().watched == task.watched


def test_within_accumulated_gradients_no_checkpoint_is_written(tmp_path):
    words = {"accumulate": 2, "length": Length(2, "epoch"), "every_steps": None}
    _, undisturbed = train(tmp_path / "whole", data=NumbersData(count=12), **words)
    with pytest.raises(StoppedError, match="stopped at step 3"):
        train(tmp_path / "again", data=NumbersData(count=12), dies_at=2, told=signal.SIGTERM, **words)
    _, resumed = train(tmp_path / "again", data=NumbersData(count=12), **words)
    assert ends_as(resumed, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_lets_the_step_end_and_writes_a_checkpoint(tmp_path, number):
    handlers = [signal.getsignal(one) for one in ENDING]
    _, undisturbed = train(tmp_path / "whole")
    with pytest.raises(StoppedError, match="stopped at step 8 of the phase again") as stopped:
        train(tmp_path / "again", dies_at=7, told=number, every_steps=None)
    assert stopped.value.exit_code == 128 + number
    task, resumed = train(tmp_path / "again")
    assert len(task.seen) == 7
    assert ends_as(resumed, undisturbed)
    assert [signal.getsignal(one) for one in ENDING] == handlers


def compiled_fit(path, backend, monkeypatch):
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=backend))
    engine, folder = Engine(trainer(), compile=True), PhaseFolder(path)
    return fit(ToyTask, NumbersData(), EPOCHS, 1, engine, folder), folder


def test_compiled_networks_end_with_the_same_weights(tmp_path, monkeypatch):
    _, plain = train(tmp_path / "plain")
    task, compiled = compiled_fit(tmp_path / "compiled", "eager", monkeypatch)
    assert all(network._compiled_call_impl is not None for network in task.networks().values())
    assert ends_as(compiled, plain)


def test_what_cannot_be_compiled_is_one_line(tmp_path, monkeypatch):
    def no_compiler(*_):
        raise RuntimeError("no C++ compiler was found")

    with pytest.raises(
        ConfigError, match=r"compile=true: torch cannot compile .*no C\+\+ compiler.*; give compile=false"
    ):
        compiled_fit(tmp_path, no_compiler, monkeypatch)
    with pytest.raises(ConfigError, match="compile=yes; expected true or false"):
        Engine(trainer(), compile="yes")


def test_a_checkpoint_is_written_when_its_time_has_come(tmp_path):
    for minutes, left in ((None, 10), (1e-9, 7)):
        with pytest.raises(KilledError):
            train(tmp_path / str(left), dies_at=8, every_steps=None, every_minutes=minutes)
        assert len(train(tmp_path / str(left))[0].seen) == left


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    _, undisturbed = train(tmp_path / "whole")
    with pytest.raises(KilledError):
        train(tmp_path / "again", dies_at=8)
    newest = tmp_path / "again/last.ckpt"
    newest.write_bytes(newest.read_bytes()[:-900])
    _, resumed = train(tmp_path / "again")
    assert "going on from previous.ckpt" in caplog.text
    assert ends_as(resumed, undisturbed)
    assert not (tmp_path / "again/previous.ckpt").exists()


def test_a_kill_between_two_renames_leaves_the_checkpoint_before(tmp_path):
    _, undisturbed = train(tmp_path / "whole")
    with pytest.raises(KilledError):
        train(tmp_path / "again", dies_at=8)
    (tmp_path / "again/last.ckpt").unlink()
    _, resumed = train(tmp_path / "again")
    assert resumed.report().resumed
    assert ends_as(resumed, undisturbed)


def test_two_damaged_checkpoints_are_one_line(tmp_path):
    with pytest.raises(KilledError):
        train(tmp_path, dies_at=8)
    for name in ("last.ckpt", "previous.ckpt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(StoreError, match=r"previous.ckpt cannot be read .*; delete it to start this phase anew"):
        train(tmp_path)


def test_the_report_tells_what_was_left(tmp_path):
    train(tmp_path)
    report = json.loads((tmp_path / "phase.json").read_text())
    assert report["leaves"] == ["weights", "teacher"]
    assert set(report["watched"]) == {"val/toy"}


def test_what_follows_the_optimisers_moves_with_them(tmp_path):
    for optimizers in (1, 2):
        task, folder = train(tmp_path / str(optimizers), optimizers=optimizers, length=Length(2, "epoch"), horizon=4)
        rates = {round(group["lr"], 8) for optimizer in task.trainer.optimizers for group in optimizer.param_groups}
        assert rates == {round(0.01 * (1 - 2 / 4) ** 0.9, 8)}
        weights, teacher = read_weights(folder.network("weights")), read_weights(folder.network("teacher"))
        assert not torch.equal(weights["0.weight"], teacher["0.weight"])
        assert torch.equal(weights["1.running_mean"], teacher["1.running_mean"])


def test_several_optimisers_share_the_floor_of_the_first(tmp_path):
    class Unlike(ToyTask):
        def make_optimizers(self):
            first, second = super().make_optimizers()
            second.param_groups[0]["lr"] = 0.1
            return first, second

    made = []

    def make():
        made.append(Unlike(optimizers=2, unit="step", horizon=7, schedule=Cosine()))
        return made[0]

    fit(make, NumbersData(), Length(7, "step"), 1, Engine(trainer()), PhaseFolder(tmp_path))
    ends = [optimizer.param_groups[0]["lr"] for optimizer in made[0].trainer.optimizers]
    assert ends == pytest.approx([0.001 * 0.01] * 2)


def test_a_network_that_was_left_in_evaluation_mode_is_trained_all_the_same(tmp_path):
    class Left(ToyTask):
        def __init__(self):
            super().__init__()
            self.eval()

    folder = PhaseFolder(tmp_path)
    fit(Left, NumbersData(), Length(1, "epoch"), 1, Engine(trainer()), folder)
    assert read_weights(folder.weights)["1.num_batches_tracked"] == 2 * 5


def test_the_checkpoint_of_more_processes_is_refused_within_an_epoch_only(tmp_path):
    for dies_at, message in ((8, "written within an epoch by 2 processes, this training has 1"), (5, None)):
        with pytest.raises(KilledError):
            train(tmp_path / str(dies_at), dies_at=dies_at)
        path = tmp_path / str(dies_at) / "last.ckpt"
        state = torch.load(path, weights_only=True)
        state["callbacks"]["Resumption"]["random"] *= 2
        torch.save(state, path)
        if message is None:
            assert len(train(tmp_path / str(dies_at))[0].seen) == 10
        else:
            with pytest.raises(StoreError, match=message):
                train(tmp_path / str(dies_at))
