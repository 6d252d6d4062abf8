import logging

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from zsda.core import profiling
from zsda.core.profiling import WAITING, WORKING, WRITING, TimeSpent


class Clock:
    """A clock that only moves where something takes time."""

    now = 0.0

    def perf_counter(self):
        return self.now


class Slow(torch.utils.data.Dataset):
    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.clock.now += self.seconds
        return torch.ones(1)


class Task(L.LightningModule):
    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds, self.layer = clock, seconds, torch.nn.Linear(1, 1)

    def training_step(self, batch, _index):
        self.clock.now += self.seconds
        return self.layer(batch).sum()

    predict_step = test_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Writer(Callback):
    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def on_train_batch_end(self, *_, **__):
        self.clock.now += self.seconds

    on_predict_batch_end = on_test_batch_end = on_train_batch_end


@pytest.mark.parametrize("stage", ["fit", "predict", "test"])
@pytest.mark.parametrize(("waits", "warned"), [(8.0, True), (0.04, False)])
def test_where_the_time_went_is_said(monkeypatch, caplog, stage, waits, warned):
    clock, spent = Clock(), TimeSpent()
    monkeypatch.setattr(profiling, "time", clock)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, profiler=spent, callbacks=[Writer(clock, 0.5)], logger=False, barebones=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    loader = DataLoader(Slow(clock, waits))
    with caplog.at_level(logging.INFO, "zsda"):
        getattr(trainer, stage)(Task(clock, 1.5), loader)
    assert spent.seconds == pytest.approx({WAITING: 4 * waits, WRITING: 2.0, WORKING: 6.0})
    whole = 8 + 4 * waits
    expected = (
        f"time: {whole:.1f} s, of which waiting for data {400 * waits / whole:.1f} %, writing {200 / whole:.1f} %"
    )
    assert expected in caplog.text
    assert ("the device waited for data for 80 % of the time" in caplog.text) == warned


def test_every_run_counts_by_itself(monkeypatch):
    clock, spent = Clock(), TimeSpent()
    monkeypatch.setattr(profiling, "time", clock)
    for seconds in (3.0, 1.0):
        trainer = L.Trainer(
            accelerator="cpu", profiler=spent, logger=False, enable_progress_bar=False, enable_model_summary=False
        )
        trainer.predict(Task(clock, seconds), DataLoader(Slow(clock, 1.0)))
        assert spent.seconds == pytest.approx({WAITING: 4.0, WRITING: 0.0, WORKING: 4 * seconds})
