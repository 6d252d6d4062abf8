"""A training that learns nothing, or whose numbers are none any more, ends with a line and without a result."""

import signal

import pytest
import torch

from tests.training.toys import NumbersData, ToyTask, ends_as, train, trainer
from zsda.core.errors import ConfigError, DataError, DivergedError, StoppedError
from zsda.core.runs import PhaseFolder
from zsda.data.labels import IGNORE
from zsda.training.fit import Engine, Length, fit
from zsda.training.schedules import Cosine, OneCycle, Poly

EPOCHS = Length(3, "epoch")


class Odd(ToyTask):
    """Goes wrong in a step, counted from 1, in one of several ways."""

    def __init__(self, how=None, when=8, **toy):
        super().__init__(**toy)
        self.how, self.when = how, when

    def training_step(self, batch, index):
        now = self.steps + 1 == self.when
        with torch.no_grad():
            if now and self.how in ("nan", "inf"):  # of the input, so that the loss is
                batch = batch * float(self.how)
            if now and self.how == "weights":
                self.model[0].weight[0, 0] = torch.nan
            if now and self.how == "teacher":
                self.teacher.module[3].bias[0] = torch.inf
        if now and self.how == "rate":
            self.trainer.optimizers[0].param_groups[0]["lr"] = float("inf")
        return super().training_step(batch, index)


def fitted(path, every_steps=None, keep="last", length=EPOCHS, data=None, **odd):
    engine = Engine(trainer(), every_steps=every_steps, keep=keep)
    folder = PhaseFolder(path / "adapt")
    return fit(lambda: Odd(**odd), data or NumbersData(), length, 1, engine, folder), folder


@pytest.mark.parametrize("optimizers", [1, 2])
@pytest.mark.parametrize("how", ["nan", "inf"])
@pytest.mark.parametrize("every_steps", [None, 1])
def test_a_loss_that_is_no_number_ends_the_training_and_spares_the_checkpoint(tmp_path, how, optimizers, every_steps):
    with pytest.raises(
        DivergedError, match=r"phase adapt: the loss is not finite at step 8, at a learning rate of 0\.00\d+"
    ):
        fitted(tmp_path, how=how, optimizers=optimizers, every_steps=every_steps)
    folder = PhaseFolder(tmp_path / "adapt")
    assert not folder.finished
    assert not folder.weights.exists()
    _, undisturbed = train(tmp_path / "whole", EPOCHS, optimizers=optimizers)
    mended, resumed = fitted(tmp_path, optimizers=optimizers)
    assert len(mended.seen) == (10 if every_steps is None else 8), "from the end of the first epoch, or the step before"
    assert ends_as(resumed, undisturbed)


@pytest.mark.parametrize(("how", "which"), [("weights", r"model\.0\.weight"), ("teacher", r"averages\.0.*3\.bias")])
def test_weights_that_are_no_numbers_are_not_written(tmp_path, how, which):
    """Of the last step, after which no loss tells of them; or of a network that follows."""
    length = Length(1, "epoch")
    with pytest.raises(DivergedError, match=rf"phase adapt: (the loss|after step 5 the weights {which})"):
        fitted(tmp_path, how=how, when=5, keep="all", length=length)
    assert not [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.ckpt")]


def test_a_gradient_beyond_all_numbers_shows_in_the_weights(tmp_path):
    class Steep(ToyTask):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            return (
                loss if self.steps + 1 < 5 else loss + (self.model[3].bias * 0).sqrt().sum()
            )  # 0, with an endless slope

    with pytest.raises(
        DivergedError, match=r"after step 5 the weights model\.3\.bias are no longer finite, at a learning rate"
    ):
        fit(Steep, NumbersData(), Length(1, "epoch"), 1, Engine(trainer()), PhaseFolder(tmp_path / "adapt"))
    assert not (tmp_path / "adapt/last.ckpt").exists()


def test_a_rate_that_is_no_number_ends_the_training_at_once(tmp_path):
    with pytest.raises(
        DivergedError, match=r"phase adapt: step 3 has a learning rate of inf; see optimizer.lr and schedule"
    ):
        fitted(tmp_path, how="rate", when=3)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("schedule", [Poly(), Cosine(), OneCycle()])
def test_a_rate_with_which_nothing_is_learnt_is_refused_before_the_first_step(tmp_path, rate, schedule):
    class Rated(ToyTask):
        def make_optimizers(self):
            return [torch.optim.SGD(self.model.parameters(), lr=rate)]

    made = []
    with pytest.raises(ConfigError, match=rf"learning rate.*{rate:g}"):
        fit(
            lambda: made.append(Rated(schedule=schedule)) or made[0],
            NumbersData(),
            EPOCHS,
            1,
            Engine(trainer()),
            PhaseFolder(tmp_path),
        )
    assert not made[0].seen


def test_a_finished_checkpoint_with_broken_weights_leaves_none(tmp_path):
    _, folder = fitted(tmp_path)
    (folder.path / "phase.json").unlink()
    folder.weights.unlink()
    state = torch.load(folder.checkpoint, weights_only=False)
    state["state_dict"]["model.0.weight"][0, 0] = torch.nan
    torch.save(state, folder.checkpoint)
    with pytest.raises(DivergedError, match=r"after step 15 the weights model\.0\.weight"):
        fitted(tmp_path)
    assert not folder.weights.exists()


def test_what_another_training_left_is_none_of_a_new_one(tmp_path):
    _, folder = fitted(tmp_path, keep="all")
    (folder.path / "phase.json").unlink()
    folder.checkpoint.unlink()
    fitted(tmp_path, length=Length(2, "epoch"))
    assert list(folder.kept().items()) == [(2, folder.weights)]
    assert not list(folder.path.glob("epochs/*"))


def test_who_is_told_to_end_after_the_last_checkpoint_ends_after_the_phase(tmp_path):
    class Told(ToyTask):
        def on_train_end(self):
            signal.raise_signal(signal.SIGTERM)

    folder = PhaseFolder(tmp_path / "adapt")
    with pytest.raises(
        StoppedError, match="stopped after the phase adapt, which is finished; started again"
    ) as stopped:
        fit(Told, NumbersData(), Length(1, "epoch"), 1, Engine(trainer()), folder)
    assert stopped.value.exit_code == 143
    assert folder.finished


class Labelled(ToyTask):
    """Is told of batches with labels; from a step on, counted from 1, all of their pixels are ignored."""

    def __init__(self, until=1, told_at=None, damaged=False, **toy):
        super().__init__(**toy)
        self.until, self.told_at, self.damaged = until, told_at, damaged

    def training_step(self, batch, index):
        step = self.steps + 1
        if step == self.told_at:
            signal.raise_signal(signal.SIGTERM)
        mask = torch.full((2, 3), IGNORE if step >= self.until else 0, dtype=torch.uint8)
        whole = {"mask": mask, "faults": []}
        assert self.take({"faults": []} if self.damaged else whole) != self.damaged
        return super().training_step(batch, index)


def labelled(path, length=EPOCHS, every_steps=1, **task):
    folder = PhaseFolder(path / "adapt")
    return fit(
        lambda: Labelled(**task), NumbersData(), length, 1, Engine(trainer(), every_steps=every_steps), folder
    ), folder


@pytest.mark.parametrize("length", [EPOCHS, Length(3, "step"), Length(20, "step")])
@pytest.mark.parametrize("damaged", [False, True])
def test_an_epoch_without_a_labelled_pixel_ends_a_training_that_is_not_begun(tmp_path, length, damaged):
    with pytest.raises(DataError, match=r"phase adapt, epoch 1: not one labelled pixel"):
        labelled(tmp_path, length, damaged=damaged)
    assert not PhaseFolder(tmp_path / "adapt").begun


def test_a_later_epoch_without_a_labelled_pixel_ends_it_too_and_it_goes_on_from_there(tmp_path):
    with pytest.raises(DataError, match=r"phase adapt, epoch 3: not one labelled pixel"):
        labelled(tmp_path, until=11, every_steps=None)
    task, folder = labelled(tmp_path, until=99, every_steps=None)
    assert len(task.seen) == 5
    assert folder.finished


def test_one_labelled_pixel_in_an_epoch_is_enough(tmp_path):
    """And the rest of an epoch that is resumed needs none."""
    with pytest.raises(StoppedError, match="stopped at step 3"):
        labelled(tmp_path, Length(1, "epoch"), until=2, told_at=3, every_steps=None)
    task, folder = labelled(tmp_path, Length(1, "epoch"), until=2)
    assert len(task.seen) == 2
    assert folder.finished


def test_what_is_stopped_before_it_learnt_anything_starts_anew(tmp_path):
    with pytest.raises(
        StoppedError, match="which had learnt nothing yet and starts anew when it is started again"
    ) as stopped:
        labelled(tmp_path, told_at=3, every_steps=1)
    assert stopped.value.exit_code == 143
    assert not PhaseFolder(tmp_path / "adapt").begun
