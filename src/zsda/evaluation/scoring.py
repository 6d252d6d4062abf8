"""Evaluating one subject after the other on the same settings, each result in a folder of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from zsda.data.datamodules import EvaluationData
from zsda.data.datasets import Sample, SegmentationDataset
from zsda.evaluation.exports import read_scores, write_scores
from zsda.evaluation.inference import EvaluationTask, evaluate
from zsda.evaluation.subjects import Subject
from zsda.runs import digest, file_digest, provenance


class Scored(NamedTuple):
    """The result of one subject.

    Attributes:
        title: subject, protocol and input size.
        folder: where it is written.
        settings: setting -> plain scores.
        left_out: the damaged files that were not scored.
        known: whether it was on disk already.
    """

    title: str
    folder: Path
    settings: Mapping[str, Mapping[str, Any]]
    left_out: list[str]
    known: bool


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

    def score(self, subject: Subject, known: bool = False) -> Scored:
        """Scores one subject and writes ``<out>/<settings>_<protocol>/``.

        Args:
            subject: what to score.
            known: read the scores where they are on disk already: of these weights, in this precision, at this size, of these files.

        Raises:
            DataError: a setting without a single labelled pixel that could be scored.
            ModelError: the weights are not there, or not those of the network.
        """
        data = EvaluationData(self._datasets, self._protocol, subject.size, self._batch_size, self._num_workers)
        folder = subject.out / f"{'+'.join(self._datasets)}_{self._protocol}"
        title = f"{subject.title} - protocol {self._protocol}, input {'x'.join(map(str, subject.size))}"
        conditions = {
            "protocol": self._protocol,
            "precision": self._precision,
            "size": subject.size,
            "files": self._files,
        }
        if known and not self._masks and subject.weights.is_file():
            found = read_scores(folder, {**conditions, "weights_digest": file_digest(subject.weights)})
            if found is not None:
                return Scored(title, folder, {name: found[name] for name in self._datasets}, [], known=True)
        trainer = self._trainer(
            logger=False, use_distributed_sampler=False, enable_checkpointing=False, callbacks=[RichProgressBar()]
        )
        task = EvaluationTask(subject.network(), list(self._datasets), folder / "masks" if self._masks else None)
        results = evaluate(task, data, trainer)
        if trainer.is_global_zero:
            about = {
                **conditions,
                "title": title,
                "weights": str(subject.weights),
                "weights_digest": file_digest(subject.weights),
                "images": {name: len(dataset) for name, dataset in self._datasets.items()},
                "left_out": task.faults.messages,
                "provenance": provenance(),
            }
            write_scores(folder, results, about)
        return Scored(title, folder, results, task.faults.messages, known=False)


def fingerprint(samples: Sequence[Sample]) -> str:
    """Tells sets of files apart by their keys and sizes in bytes, without reading them; the same wherever they lie."""
    sizes = [(sample.key, _size(sample.image), _size(sample.label)) for sample in samples]
    return digest(repr(sizes).encode())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # is left out, with its name, when it is read
        return None
