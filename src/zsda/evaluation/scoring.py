"""Evaluating one subject after the other on the same settings, each result in a folder of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from zsda.data.datamodules import EvaluationData
from zsda.data.datasets import SegmentationDataset, fingerprint
from zsda.data.generated import GeneratedSet
from zsda.evaluation.exports import write_epochs, write_scores
from zsda.evaluation.inference import EvaluationTask, evaluate
from zsda.evaluation.records import SUMMARY, read_epochs, read_scores
from zsda.evaluation.subjects import Subject
from zsda.files import file_digest
from zsda.provenance import provenance


class Scored(NamedTuple):
    """The result of one subject.

    Attributes:
        title: subject, protocol and input size.
        folder: where it is written.
        settings: setting -> plain scores.
        left_out: the damaged files that were not scored.
        known: whether it was on disk already.
        epochs: epoch -> setting -> summary scores, where they were asked for.
    """

    title: str
    folder: Path
    settings: Mapping[str, Mapping[str, Any]]
    left_out: list[str]
    known: bool
    epochs: Mapping[int, Mapping[str, Mapping[str, Any]]] = {}


class Scorer:
    """Scores subjects on settings that are listed once.

    Args:
        datasets: setting -> images and labels.
        protocol: ``sdgpa`` or ``full``; see `zsda.data.datamodules.EvaluationDataset`.
        trainer: makes Lightning trainers.
        batch_size: images per step.
        num_workers: loader processes.
        masks: paint the predictions as well.
    """

    def __init__(
        self,
        datasets: Mapping[str, SegmentationDataset],
        protocol: str,
        trainer: Callable[..., L.Trainer],
        batch_size: int,
        num_workers: int,
        masks: bool = False,
    ) -> None:
        self._datasets, self._protocol, self._trainer = dict(datasets), protocol, trainer
        self._batch_size, self._num_workers, self._masks = batch_size, num_workers, masks
        self._precision = trainer(logger=False, enable_checkpointing=False).precision
        self._files = {name: fingerprint(dataset.samples) for name, dataset in datasets.items()}
        # The setting is called alike for every domain, so the scores must tell whose images it was.
        self._sets = {name: data.name for name, data in datasets.items() if isinstance(data, GeneratedSet)}

    def score(self, subject: Subject, known: bool = False) -> Scored:
        """Scores one subject and writes ``<out>/<settings>_<protocol>/``.

        Args:
            subject: what to score.
            known: read the scores where they are on disk already: of these weights, in this precision, at this size, of these files.

        Raises:
            DataError: a setting without a single labelled pixel that could be scored.
            ModelError: the weights are not there, or not those of the network.
        """
        title, folder = self._place(subject)
        conditions = self._conditions(subject.size)
        if known and not self._masks and subject.weights.is_file():
            found = read_scores(folder, {**conditions, "weights_digest": file_digest(subject.weights)})
            if found is not None:
                return Scored(title, folder, {name: found[name] for name in self._datasets}, [], known=True)
        results, left_out, writes = self._evaluate(subject, folder / "masks" if self._masks else None)
        if writes:
            write_scores(folder, results, self._about(subject, left_out))
        return Scored(title, folder, results, left_out, known=False)

    def score_epochs(self, subject: Subject) -> Scored:
        """Scores every epoch that a run kept and writes ``epochs.json`` and ``epochs.csv`` into ``<out>/<settings>_<protocol>/``.

        They are written after each epoch, and what stands in them is not scored again, so it can be stopped at any moment.

        Args:
            subject: a run, its epochs in their order.

        Returns:
            The result with ``epochs``; ``settings`` are those of the last one.

        Raises:
            DataError: a setting without a single labelled pixel that could be scored.
            ModelError: weights are not there, or not those of the network.
        """
        title, folder = self._place(subject)
        before = {}
        if subject.weights.is_file():
            wanted = {**self._conditions(subject.size), "weights_digest": file_digest(subject.weights)}
            before = read_epochs(folder, wanted)
        epochs: dict[int, Any] = {epoch: before[epoch] for epoch in subject.epochs if epoch in before}
        left_out: list[str] = []
        missing = [epoch for epoch in subject.epochs if epoch not in epochs]
        # The last epoch first: its weights are those that the others are recorded with.
        for epoch in reversed(missing):
            results, faults, writes = self._evaluate(replace(subject, weights=subject.epochs[epoch]))
            summaries = {name: {key: scores[key] for key in SUMMARY} for name, scores in results.items()}
            epochs = dict(sorted({**epochs, epoch: summaries}.items()))
            left_out = list(dict.fromkeys([*left_out, *faults]))
            if writes:
                write_epochs(folder, epochs, self._about(subject, left_out))
        return Scored(title, folder, epochs[max(epochs)], left_out, known=not missing, epochs=epochs)

    def _place(self, subject: Subject) -> tuple[str, Path]:
        title = f"{subject.title} - protocol {self._protocol}, input {'x'.join(map(str, subject.size))}"
        return title, subject.out / f"{'+'.join(self._datasets)}_{self._protocol}"

    def _conditions(self, size: Sequence[int]) -> dict[str, Any]:
        about = {"protocol": self._protocol, "precision": self._precision, "size": size, "files": self._files}
        return {**about, "generated_sets": self._sets} if self._sets else about

    def _about(self, subject: Subject, left_out: Sequence[str]) -> dict[str, Any]:
        return {
            **self._conditions(subject.size),
            "title": self._place(subject)[0],
            "weights": str(subject.weights),
            "weights_digest": file_digest(subject.weights),
            "images": {name: len(dataset) for name, dataset in self._datasets.items()},
            "left_out": left_out,
            "provenance": provenance(),
        }

    def _evaluate(self, subject: Subject, masks: Path | None = None) -> tuple[dict[str, Any], list[str], bool]:
        """Returns plain scores, damaged files, and whether this is the process that writes."""
        trainer = self._trainer(
            logger=False, use_distributed_sampler=False, enable_checkpointing=False, callbacks=[RichProgressBar()]
        )
        data = EvaluationData(self._datasets, self._protocol, subject.size, self._batch_size, self._num_workers)
        task = EvaluationTask(subject.network(), list(self._datasets), masks)
        results = evaluate(task, data, trainer)
        return results, task.faults.messages, trainer.is_global_zero
