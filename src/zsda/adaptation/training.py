"""The kind of phase that trains."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from zsda.adaptation.phases import LABELS, Facts, Given, Need
from zsda.core.errors import ConfigError
from zsda.core.values import check_length
from zsda.data.training import TrainingData
from zsda.models.weights import load_weights
from zsda.pseudo_labels.reader import PseudoLabels
from zsda.training.fit import Length, fit
from zsda.training.optimizers import OptimizerFactory
from zsda.training.schedules import Schedule
from zsda.training.task import TrainingTask

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPhase:
    """One training with its own data, optimiser, schedule, length and start weights.

    Attributes:
        name: names its folder; unique within the method.
        task: makes the task of its network, optimiser, schedule, horizon, unit, watched sets and classes.
        data: makes what it trains on of the number of the phase and, if it takes ``labels``, of their folder.
        optimizer: makes its optimiser.
        schedule: makes its learning rate schedule.
        epochs: its length, or
        steps: its length in optimiser steps.
        horizon: what the schedule is laid out for, in the unit of the length; None is the length itself.
        start: the earlier phase whose result it starts from, or ``<phase>/<network>``; None starts from the network as it was built.
        labels: the earlier labelling whose labels its data takes; None takes none.

    Raises:
        ConfigError: not exactly one length, or a horizon that ends before it.
    """

    name: str
    task: Callable[..., TrainingTask]
    data: Callable[..., TrainingData]
    optimizer: OptimizerFactory
    schedule: Schedule
    epochs: int | None = None
    steps: int | None = None
    horizon: int | None = None
    start: str | None = None
    labels: str | None = None

    def __post_init__(self) -> None:
        check_length(self.name, self.epochs, self.steps, self.horizon)

    @property
    def length(self) -> Length:
        """How long it trains."""
        return Length(self.steps or 0, "step") if self.epochs is None else Length(self.epochs, "epoch")

    @property
    def needs(self) -> Sequence[Need]:
        """The weights that it starts from, and the labels that it trains on."""
        needs = []
        if self.start is not None:
            needs.append(Need.of(self.start))
        if self.labels is not None:
            needs.append(Need(self.labels, LABELS))
        return needs

    @property
    def leaves(self) -> Sequence[str]:
        """The networks of its task."""
        made = self.task.func if isinstance(self.task, partial) else self.task
        return list(getattr(made, "artefacts", TrainingTask.artefacts))

    def check(self, number: int, processes: int, synchronised: bool) -> Facts:
        """Lists what it trains on; see `zsda.adaptation.phases.Phase`.

        Raises:
            ConfigError: its data is not made of what it is given, or the processes cannot share it.
            DataError: a set is not there.
        """
        data = self.make_data(number)
        data.check_shared(processes, synchronised)
        return Facts(
            files=data.fingerprints(),
            source=data.source.name,
            source_setting=data.setting,
            unlabelled=data.unlabelled_name,
            target=data.target,
            classes=data.source.classes.plain(),
            shown=data.shown(),
        )

    def run(self, given: Given) -> None:
        """Trains to its end; see `zsda.training.fit.fit`."""
        labels = {} if self.labels is None else {"labels": given.run.phase(self.labels).labels}
        data = self.make_data(given.number, **labels)
        for folder in labels.values():
            PseudoLabels(folder, data.source.classes)  # refuses what is of other classes or not complete
        _log.info("%s: %s, %d %ss", given.title, data.describe(), self.length.count, self.length.unit)
        for need in self.needs:
            if need.what != LABELS:
                load_weights(given.model, given.run.phase(need.phase).network(need.what))
        fit(partial(self.make_task, given.model, data), data, self.length, given.seed, given.engine, given.folder)

    def make_data(self, number: int, **given: Any) -> TrainingData:  # noqa: ANN401 - arguments of the data
        """Makes what it trains on.

        Args:
            number: of the phase, from 0.
            given: what the data are given beside it; ``labels``: the folder of the labels of an earlier phase.

        Raises:
            ConfigError: its data is not made of what it is given.
            DataError: a set is not there.
        """
        try:
            return self.data(phase=number, **given)
        except TypeError as error:
            raise ConfigError(
                f"the data of phase {self.name!r}: {error}; is this the data= that the method is made for?"
            ) from error

    def make_task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """Makes the task that trains a network on its data."""
        return self.task(
            model=model,
            optimizer=self.optimizer,
            schedule=self.schedule,
            horizon=self.horizon or self.length.count,
            unit=self.length.unit,
            watched=list(data.watched.settings),
            classes=data.source.classes,
        )
