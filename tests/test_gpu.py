"""What only a GPU can show of a training; ``python -m pytest -m gpu`` runs all that needs one."""

from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.adaptation.tasks.small import SmallNetwork, arguments
from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.core.runs import PhaseFolder
from zsda.data.colours import finish, jitter_in_floats
from zsda.training.fit import Engine, Length, fit
from zsda.training.soundness import LOOK_EVERY

pytestmark = pytest.mark.gpu
STEPS = 12


class Strict(Callback):
    """Lets torch refuse to wait for the device within steps."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx and (batch_idx + 1) % LOOK_EVERY:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("default")


class Crops(L.LightningDataModule):
    """Random pairs in 8 bits, which become floats at the device."""

    def train_dataloader(self):
        random = torch.Generator().manual_seed(0)

        def batch():
            pixels = torch.randint(0, 256, (2, 2, 32, 64, 3), generator=random, dtype=torch.uint8)
            mask = torch.randint(0, 19, (2, 32, 64), generator=random, dtype=torch.uint8)
            colours = {"a": torch.tensor([[1.2, 0.8, 1.1, 0.1]] * 2)}
            return {"images": {"a": pixels[0], "b": pixels[1]}, "colours": colours, "mask": mask}

        return torch.utils.data.DataLoader([batch() for _ in range(STEPS)], batch_size=None, pin_memory=True)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return finish(batch)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_no_step_waits_for_the_device(tmp_path, precision):
    def trainer(callbacks, **words):
        own = {"accelerator": "gpu", "devices": 1, "precision": precision, "enable_model_summary": False}
        return L.Trainer(callbacks=[*callbacks, Strict()], log_every_n_steps=10, **own, **words)

    words = {**arguments(SmallNetwork()), "optimizer": partial(torch.optim.SGD, lr=1e-3), "horizon": STEPS}
    made = partial(ProgressiveAdaptation, **words)
    task = fit(made, Crops(), Length(STEPS, "step"), 1, Engine(trainer), PhaseFolder(tmp_path))
    assert task.steps == STEPS


def test_colours_are_those_of_a_cpu():
    pixels, factors = torch.rand(2, 3, 16, 16).mul(255).floor(), torch.tensor([[1.3, 0.7, 1.2, 0.2]] * 2)
    there = jitter_in_floats(pixels.cuda(), factors.cuda()).cpu()
    assert (there - jitter_in_floats(pixels.clone(), factors)).abs().max() <= 1
