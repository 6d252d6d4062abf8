"""No step of a training waits for the device: nothing in it asks for the value of a tensor."""

import copy
from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.adaptation.tasks.small import Data, SmallNetwork, arguments, part_of, source_and_unlabelled
from tests.asked import Asked
from zsda.adaptation.tasks.adversarial import Adversarial
from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.adaptation.tasks.self_training import SelfTraining
from zsda.adaptation.tasks.warm_up import WarmUp
from zsda.core.runs import PhaseFolder
from zsda.data.colours import jitter_in_floats
from zsda.training.fit import Engine, Length, fit
from zsda.training.soundness import LOOK_EVERY

STEPS = 12
# Fused, as others ask for their count of steps, which lies on the host.
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)


class Steps(Callback):
    """Listens from the begin of each step to its end, that of all other callbacks included."""

    def __init__(self):
        self.at = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._mode = Asked()
        self._mode.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._mode.__exit__(None, None, None)
        if self._mode.where:
            self.at[pl_module.steps] = self._mode.where


def views(seed):
    part = part_of(seed, views=("source", "intermediate"))
    return {**part, "images": {name: image.float() for name, image in part["images"].items()}}


def floats(batch):
    """Batches in float32, as a network takes them."""
    return {
        part: {**of, "images": {name: image.float() for name, image in of["images"].items()}}
        for part, of in batch.items()
    }


@pytest.mark.parametrize(
    ("kind", "make_batch", "more"),
    [
        (ProgressiveAdaptation, views, {}),
        (WarmUp, lambda seed: floats(source_and_unlabelled(seed)), {"entropy_weight": 0.1}),
        (
            Adversarial,
            lambda seed: floats(source_and_unlabelled(seed)),
            {"adversarial_weight": 0.1, "discriminator_optimizer": ADAM},
        ),
        (SelfTraining, lambda seed: floats({"unlabelled": part_of(seed, views=("weak", "strong"))}), {}),
    ],
)
def test_only_every_tenth_step_waits_for_the_device(tmp_path, kind, make_batch, more):
    steps = Steps()

    def trainer(callbacks, **words):
        return L.Trainer(
            accelerator="cpu", enable_model_summary=False, callbacks=[*callbacks, steps], log_every_n_steps=10, **words
        )

    words = {**arguments(SmallNetwork(), **more), "optimizer": ADAM, "horizon": STEPS}
    data = Data([make_batch(seed) for seed in range(STEPS)])
    task = fit(
        lambda: kind(**copy.deepcopy(words)), data, Length(STEPS, "step"), 1, Engine(trainer), PhaseFolder(tmp_path)
    )
    assert task.steps == STEPS
    told = {step: where for step, where in steps.at.items() if step % LOOK_EVERY and step != 1}
    assert not told, "\n".join("".join(stack) for stack in next(iter(told.values())))


def test_the_colours_of_a_device_wait_for_nothing():
    with Asked() as asked:
        jitter_in_floats(torch.rand(2, 3, 8, 8) * 255, torch.rand(2, 4))
    assert not asked.where
