"""What the phases of a method would do, and how long that would take: measured in a few real steps, of which nothing is kept."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import lightning as L
from lightning.pytorch.utilities import CombinedLoader
from torch import nn

from zsda.adaptation.labelling import LabellingPhase
from zsda.adaptation.phases import Phase
from zsda.adaptation.training import TrainingPhase
from zsda.adaptation.weights import WeightsPhase
from zsda.core.errors import Gathered
from zsda.core.plan import Part
from zsda.core.runs import RunFolder
from zsda.data.reader import image_size
from zsda.data.samples import SegmentationDataset
from zsda.data.training import TrainingData
from zsda.models.sizes import check_sizes
from zsda.training.fit import Engine
from zsda.training.pace import Pace, bytes_of, measure_pace, seconds_of_pass

_LEFT_OUT = ("cache", "copy_paste")  # of data: the one would be written, the other needs labels that are not there yet
_LABELS = 8  # files that the size of pseudo labels is told from


def plan_phases(
    phases: Mapping[str, Phase],
    unknown: Mapping[str, Part],
    model: nn.Module,
    engine: Engine,
    run: RunFolder,
    synchronised: bool,
    wrong: Gathered,
) -> tuple[list[Part], int]:
    """Says what the phases of a run would do.

    Args:
        phases: name -> phase, of those that could be made.
        unknown: what is known of each phase where it cannot be planned, all of them in their order.
        model: a network of the run; its weights make no difference.
        engine: what the run would be trained with; several processes are not measured.
        run: where it would go; phases that are finished there are told as such.
        synchronised: whether batch normalisation sees the batches of all processes.
        wrong: gathers what keeps a phase from being planned.

    Returns:
        What each does, and the bytes that a training needs beside what it leaves, for the checkpoint before the last.
    """
    planner = _Planner(model, engine, run, synchronised)
    parts = []
    for number, (name, known) in enumerate(unknown.items()):
        part = known
        with wrong.gather():
            part = planner.plan(number, phases[name]) if name in phases else known
        parts.append(replace(part, done=run.phase(name).finished))
    return parts, max(planner.checkpoints, default=0)


class _Planner:
    """Plans phase after phase, and measures each kind of training once."""

    def __init__(self, model: nn.Module, engine: Engine, run: RunFolder, synchronised: bool) -> None:
        self._model, self._engine, self._run, self._synchronised = model, engine, run, synchronised
        self._trainer: L.Trainer = engine.trainer(logger=False, enable_checkpointing=False)
        self._paces: dict[Any, tuple[str, Pace]] = {}
        self.checkpoints: list[int] = []

    def plan(self, number: int, phase: Phase) -> Part:
        if isinstance(phase, TrainingPhase):
            return self._training(number, phase)
        if isinstance(phase, LabellingPhase):
            return self._labelling(number, phase)
        phase.check(number, self._trainer.world_size, self._synchronised)
        if isinstance(phase, WeightsPhase):
            return Part(phase.name, str(phase.file), "takes weights", disk=bytes_of(self._model), seconds=0.0)
        return Part(phase.name, "what its own kind reads", note="a kind of phase that is not measured")

    def _training(self, number: int, phase: TrainingPhase) -> Part:
        taken = phase.data.keywords if isinstance(phase.data, partial) else {}
        data = phase.make_data(number, **{key: None for key in _LEFT_OUT if key in taken})
        data.check_shared(self._trainer.world_size, self._synchronised)
        check_sizes(self._model, data.shown())
        together = self._trainer.accumulate_grad_batches
        in_epoch = math.ceil(_batches_of_epoch(data) / together)
        in_all = phase.length.unit == "epoch"
        steps = phase.length.count * in_epoch if in_all else phase.length.count
        epochs = phase.length.count if in_all else math.ceil(steps / max(1, in_epoch))
        length = (
            f"{epochs} epoch{'s' * (epochs > 1)} x {in_epoch} = {steps} step{'s' * (steps > 1)}"
            if in_all
            else f"{steps} steps"
        )
        part = Part(phase.name, data.describe(), length, data.batch_size)
        if self._run.phase(phase.name).finished:
            return part
        if self._trainer.world_size > 1:
            return replace(part, note=f"not measured, as {self._trainer.world_size} processes would share it")
        measured, pace = self._measured(phase, data)
        scorings = epochs // (self._trainer.check_val_every_n_epoch or 1) * sum(map(len, data.val_dataloader()))
        kept = (
            0
            if self._engine.keep == "last"
            else epochs // (1 if self._engine.keep == "all" else int(self._engine.keep))
        )
        self.checkpoints.append(pace.checkpoint)
        notes = [] if measured == phase.name else [f"as long a step as phase {measured}"]
        if self._run.phase(phase.name).begun:
            notes.append("begun before; all of it is counted")
        return replace(
            part,
            disk=pace.checkpoint + (len(phase.leaves) + kept) * pace.weights,
            seconds=steps * together * pace.batch + scorings * pace.scoring,
            note="; ".join(notes),
        )

    def _measured(self, phase: TrainingPhase, data: TrainingData) -> tuple[str, Pace]:
        """Returns the name of the phase that was measured, and its pace; one of the same work is not measured again."""
        made = (getattr(maker, "func", maker) for maker in (phase.task, phase.optimizer))
        work = (
            *made,
            data.batch_size,
            tuple((name, *size) for name, size in data.shown()),
            len(data.wanted()),
            tuple(data.watched.settings),
        )
        if work not in self._paces:
            task = phase.make_task(copy.deepcopy(self._model), data)
            self._paces[work] = phase.name, measure_pace(task, data, self._engine.trainer)
        return self._paces[work]

    def _labelling(self, number: int, phase: LabellingPhase) -> Part:
        data = phase.make_data(number)
        images, selector = phase.images(data), phase.make_selector(data)
        check_sizes(self._model, [(f"method.phases.{phase.name}.size", phase.size)])
        batches = math.ceil(len(images) / phase.batch_size) * (2 if selector.observes else 1)
        part = Part(phase.name, data.describe(), f"labels in {batches} batches", phase.batch_size)
        if self._run.phase(phase.name).finished:
            return part
        part = replace(part, disk=_bytes_of_labels(data.source, len(images), math.prod(phase.size)))
        if self._trainer.world_size > 1:
            return replace(part, note=f"not measured, as {self._trainer.world_size} processes would share it")
        shape = (phase.batch_size, 3, *phase.size)
        seconds = batches * seconds_of_pass(self._model, shape, self._trainer.strategy.root_device)
        return replace(part, seconds=seconds, note="the time of the network alone")


def _batches_of_epoch(data: TrainingData) -> int:
    loaders = data.train_dataloader()
    every: Sequence[Any] = loaders.flattened if isinstance(loaders, CombinedLoader) else [loaders]
    return min(map(len, every))


def _bytes_of_labels(source: SegmentationDataset, count: int, pixels: int) -> int | None:
    """Returns what pseudo labels would take if they were packed as well as labels of the source; None if those cannot be looked at."""
    files = [sample.label for sample in source.samples if sample.label is not None][:_LABELS]
    sizes = {path: image_size(path) for path in files}
    known = {path: math.prod(size) for path, size in sizes.items() if size is not None}
    if not known:
        return None
    return round(count * pixels * sum(path.stat().st_size for path in known) / sum(known.values()))
