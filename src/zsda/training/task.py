"""What every training is, whatever it learns from: networks, optimisers, averages, and what it tells at its end."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from zsda.core.errors import ConfigError, StoreError
from zsda.core.reasons import reason
from zsda.data.faults import FaultLog
from zsda.data.labels import IGNORE
from zsda.training.ema import Average
from zsda.training.schedules import Horizon, Schedule


class TrainingTask(L.LightningModule, ABC):
    """The base of all trainings that `zsda.training.fit` runs; a subclass says what is optimised and what a step does.

    A task with several optimisers sets ``automatic_optimization`` to False, and takes one step with each of them for every
    batch; their schedules are moved on here.

    Args:
        schedule: makes the learning rate schedule of an optimiser.
        horizon: what the schedule is laid out for, in epochs or steps.
        unit: ``epoch`` or ``step``.

    Attributes:
        artefacts: names of the networks that it leaves; ``weights`` is the result.
        faults: the damaged files met so far.
        watched: ``val/<set>/<score>`` -> the last value.
        averages: averaged copies of networks, each moved on after every step of the optimisers.
        learnt: whether any of the batches that `take` saw since this was None could teach something, in this process, bool [].
    """

    artefacts: ClassVar[Sequence[str]] = ("weights",)

    def __init__(self, schedule: Schedule, horizon: int, unit: str) -> None:
        super().__init__()
        self._schedule, self._horizon, self._unit = schedule, horizon, unit
        self.faults = FaultLog()
        self.watched: dict[str, float] = {}
        self.averages = nn.ModuleList()
        self.learnt: Tensor | None = None

    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """Returns the network of each of `artefacts`."""

    @abstractmethod
    def make_optimizers(self) -> Sequence[Optimizer]:
        """Returns the optimisers, in the order in which the task uses them."""

    def average(self, network: nn.Module, decay: float, start: int = 0) -> Average:
        """Returns an averaged copy of a network, which follows it from now on; see `Average`."""
        copy = Average(network, decay, start)
        self.averages.append(copy)
        return copy

    def take(self, *batches: dict[str, Any]) -> bool:
        """Notes the damaged files of the parts of a training batch; returns whether something good is left in each, in every process.

        To be called by all processes. Parts with a ``mask`` teach something if any of its pixels is not ignored, others always.
        """
        good = [self.faults.take(batch) for batch in batches]  # each must be looked at
        usable = all(good)
        if distributed.is_available() and distributed.is_initialized():
            everywhere = torch.tensor(usable, dtype=torch.uint8, device=self.device)
            distributed.all_reduce(everywhere, op=distributed.ReduceOp.MIN)
            usable = bool(everywhere)
        masks = [batch["mask"] for batch in batches if "mask" in batch]
        # Not asked for here, which would wait for the device.
        labelled = torch.stack([(mask != IGNORE).any() for mask in masks]).any() if masks else torch.tensor(True)
        now = labelled.to(self.device) & usable
        self.learnt = now if self.learnt is None else self.learnt | now
        return usable

    def nothing(self) -> Tensor:
        """Returns a loss that teaches nothing, for a batch of damaged files only.

        Not None: under several processes, each must go backwards through every parameter.
        """
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return sum((0 * parameter.sum() for parameter in trained), start=torch.zeros((), device=self.device))

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's union
        """Builds the optimisers and a schedule for each.

        Raises:
            ConfigError: an optimiser refuses its numbers, or a rate is not finite.
        """
        try:
            optimizers = self.make_optimizers()
        except (ValueError, TypeError) as error:
            raise ConfigError(f"optimizer: {reason(error)}") from error
        rates = [float(group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
        odd = [rate for rate in rates if not 0 < rate < math.inf]
        if odd:
            raise ConfigError(f"a learning rate of {odd[0]:g}; expected more than 0, and finite, see optimizer.lr")
        self.trainer.fit_loop.setup_data()
        steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        horizon = Horizon(self._horizon, self._unit, steps, lr=optimizers[0].param_groups[0]["lr"])
        return [{"optimizer": one, "lr_scheduler": self._schedule(one, horizon)} for one in optimizers]

    @property
    def steps(self) -> int:
        """How many steps were taken; one with each of several optimisers counts as one."""
        return self.trainer.global_step // max(1, len(self.trainer.optimizers))

    def after_step(self) -> None:
        """Moves on what follows the optimisers, once all of them have taken a step."""
        if not self.automatic_optimization:
            self._move_schedules("step")
        for average in self.averages:
            average.follow(self.steps)  # type: ignore[operator]  # an Average

    def on_train_epoch_end(self) -> None:
        """Moves on schedules that count epochs, where Lightning does not."""
        if not self.automatic_optimization:
            self._move_schedules("epoch")

    def _move_schedules(self, interval: str) -> None:
        for config in self.trainer.lr_scheduler_configs:
            if config.interval == interval:
                config.scheduler.step()  # type: ignore[call-arg]  # none of ours waits for a metric

    def on_fit_end(self) -> None:
        """Lets every process know the damaged files of all."""
        self.faults.gather()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what a resumed training reports at its end."""
        checkpoint["report"] = {"watched": self.watched, "left_out": self.faults.messages}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the report of the interrupted training.

        Raises:
            StoreError: the checkpoint is that of another training.
        """
        found, own = (
            {key: tuple(v.shape) for key, v in s.items()} for s in (checkpoint["state_dict"], self.state_dict())
        )
        report = checkpoint.get("report")
        if found != own or not isinstance(report, dict) or report.keys() != {"watched", "left_out"}:
            raise StoreError("last.ckpt is not the checkpoint of this phase; delete it to start this phase anew")
        self.watched = dict(report["watched"])
        self.faults.messages = []
        self.faults.add([str(message) for message in report["left_out"]])
