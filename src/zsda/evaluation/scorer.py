"""Evaluating one network after the other on the same settings, each result in a folder of its own."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from zsda.core.files import digest, file_digest, remove_parts, write_atomic
from zsda.core.provenance import provenance
from zsda.core.trained import TrainedNetwork
from zsda.data.cache import Cache
from zsda.data.classes import find_classes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.evaluation import EvaluationData
from zsda.data.samples import SegmentationDataset, fingerprint
from zsda.evaluation.inference import EvaluationTask, evaluate, inference_by
from zsda.evaluation.pictures import write_confusions, write_curves
from zsda.evaluation.protocols import Protocol
from zsda.evaluation.records import SUMMARY, check_replaced, read_epochs, read_scores, write_epochs, write_scores
from zsda.evaluation.scene_log import SceneLog
from zsda.models.sizes import check_sizes
from zsda.models.weights import load_trained

_log = logging.getLogger(__name__)


class Scored(NamedTuple):
    """The result of one network.

    Attributes:
        title: network, protocol and input size.
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
    """Scores networks on settings that are listed once, each in the classes that it tells apart.

    Args:
        datasets: setting -> images and labels.
        protocol: by which they are scored.
        trainer: makes Lightning trainers.
        batch_size: images per step.
        num_workers: loader processes.
        masks: write the predictions as well.
        cache: how many GB the decoded images of all sets together may take on the disk; None decodes them for every network.

    Raises:
        ConfigError: numbers that no loader takes.
    """

    def __init__(
        self,
        datasets: Mapping[str, SegmentationDataset],
        protocol: Protocol,
        trainer: Callable[..., L.Trainer],
        batch_size: int,
        num_workers: int,
        masks: bool = False,
        cache: float | None = None,
    ) -> None:
        self._cache = None if cache is None else Cache(cache)
        self._datasets, self._protocol, self._trainer = dict(datasets), protocol, trainer
        self._batch_size, self._num_workers, self._masks = batch_size, num_workers, masks
        self._precision = trainer(logger=False, enable_checkpointing=False).precision
        self._files = {name: fingerprint(dataset.samples) for name, dataset in datasets.items()}
        keys = {name: [sample.key for sample in dataset.samples] for name, dataset in datasets.items()}
        self._names = {name: digest(repr(found).encode()) for name, found in keys.items()}
        self._images = {
            name: {sample.key: sample.image.relative_to(dataset.root).as_posix() for sample in dataset.samples}
            for name, dataset in datasets.items()
        }
        # The setting is called alike for every domain, so the scores must tell whose images it was.
        self._sets = {name: data.name for name, data in datasets.items() if isinstance(data, GeneratedSet)}

    def check(self, network: TrainedNetwork, epochs: bool = False, shared: bool = True) -> None:
        """Refuses a network that is not whole, or whose result would take the place of another one's; says what it replaces of its own.

        Args:
            network: to be scored.
            epochs: whether every epoch of it will be.
            shared: whether its ``out`` may hold results of others; otherwise it is the one that the network has by default.

        Raises:
            ConfigError: the network's classes are no set of classes.
            ModelError: weights are not there, or no longer what their training wrote.
            StoreError: the folder holds the result of another evaluation.
        """
        network.check(network.weights, *(network.epochs.values() if epochs else []))
        _, folder = self._place(network)
        remove_parts(folder, below=True)
        changed = check_replaced(folder, self._about(network, []), shared)
        if changed:
            _log.info("%s: scored before with other %s, scored again", folder, ", ".join(changed))

    def score(self, network: TrainedNetwork, known: bool = False) -> Scored:
        """Scores one network and writes ``<out>/<settings>_<protocol>/``, scene by scene as well.

        Args:
            network: what to score.
            known: read the scores where they are on disk already: of these weights, in this precision, at these sizes, mirrored or not, in
                these classes, of these files.

        Raises:
            ConfigError: the network's classes are no set of classes.
            DataError: a setting without a single labelled pixel that could be scored.
            ModelError: the weights are not there, or not those of the network.
        """
        title, folder = self._place(network)
        conditions = self._conditions(network)
        if known and not self._masks and network.weights.is_file():
            found = read_scores(folder, {**conditions, "weights_digest": file_digest(network.weights)})
            if found is not None:
                return Scored(title, folder, {name: found[name] for name in self._datasets}, [], known=True)
        scenes = SceneLog(find_classes(network.classes), list(self._datasets))
        results, left_out, writes = self._evaluate(network, folder / "masks" if self._masks else None, scenes)
        if writes:
            files = scenes.files(self._images)
            digests = {name: digest(content) for name, content in files.items()}
            write_scores(folder, results, {**self._about(network, left_out), "scenes": digests})
            for name, content in files.items():
                write_atomic(folder / name, content)
            write_confusions(folder, results)
        return Scored(title, folder, results, left_out, known=False)

    def score_epochs(self, network: TrainedNetwork) -> Scored:
        """Scores every epoch that a run kept and writes ``epochs.json``, ``.csv`` and ``.png`` into ``<out>/<settings>_<protocol>/``.

        They are written after each epoch, and what stands in them is not scored again, so it can be stopped at any moment.

        Args:
            network: a run, its epochs in their order.

        Returns:
            The result with ``epochs``; ``settings`` are those of the last one.

        Raises:
            ConfigError: the network's classes are no set of classes.
            DataError: a setting without a single labelled pixel that could be scored.
            ModelError: weights are not there, or not those of the network.
        """
        title, folder = self._place(network)
        before = {}
        if network.weights.is_file():
            wanted = {**self._conditions(network), "weights_digest": file_digest(network.weights)}
            before = read_epochs(folder, wanted)
        epochs: dict[int, Any] = {epoch: before[epoch] for epoch in network.epochs if epoch in before}
        left_out: list[str] = []
        missing = [epoch for epoch in network.epochs if epoch not in epochs]
        # The last epoch first: its weights are those that the others are recorded with.
        for epoch in reversed(missing):
            results, faults, writes = self._evaluate(replace(network, weights=network.epochs[epoch]))
            summaries = {name: {key: scores[key] for key in SUMMARY} for name, scores in results.items()}
            epochs = dict(sorted({**epochs, epoch: summaries}.items()))
            left_out = list(dict.fromkeys([*left_out, *faults]))
            if writes:
                write_epochs(folder, epochs, self._about(network, left_out))
                write_curves(folder, epochs, self._protocol.headline, title)
        return Scored(title, folder, epochs[max(epochs)], left_out, known=not missing, epochs=epochs)

    def _size(self, network: TrainedNetwork) -> list[int]:
        return list(self._protocol.size or network.size)

    def _place(self, network: TrainedNetwork) -> tuple[str, Path]:
        # Several sizes stand in the name of the protocol.
        seen = "" if self._protocol.scales else f", input {'x'.join(map(str, self._size(network)))}"
        title = f"{network.title} - protocol {self._protocol.name}{seen}"
        return title, network.out / f"{'+'.join(self._datasets)}_{self._protocol.name}"

    def _conditions(self, network: TrainedNetwork) -> dict[str, Any]:
        about = {
            "protocol": self._protocol.name,
            "precision": self._precision,
            "size": self._size(network),
            "scales": self._protocol.scales,
            "mirror": self._protocol.mirror,
            "classes": find_classes(network.classes).plain(),
            "files": self._files,
        }
        return {**about, "generated_sets": self._sets} if self._sets else about

    def _about(self, network: TrainedNetwork, left_out: Sequence[str]) -> dict[str, Any]:
        return {
            **self._conditions(network),
            "title": self._place(network)[0],
            "weights": str(network.weights.resolve()),
            "weights_digest": file_digest(network.weights),
            "network": network.network,
            "images": {name: len(dataset) for name, dataset in self._datasets.items()},
            "names": self._names,
            "roots": {name: str(dataset.root.resolve()) for name, dataset in self._datasets.items()},
            "left_out": left_out,
            "provenance": provenance(),
        }

    def _evaluate(
        self, network: TrainedNetwork, masks: Path | None = None, scenes: SceneLog | None = None
    ) -> tuple[dict[str, Any], list[str], bool]:
        """Returns plain scores, damaged files, and whether this is the process that writes."""
        trainer = self._trainer(
            logger=False, use_distributed_sampler=False, enable_checkpointing=False, callbacks=[RichProgressBar()]
        )
        size, classes = self._size(network), find_classes(network.classes)
        datasets = {name: dataset.with_classes(classes) for name, dataset in self._datasets.items()}
        inference, label_size = inference_by(self._protocol, size), None if self._protocol.labels == "native" else size
        data = EvaluationData(datasets, inference.size, label_size, self._batch_size, self._num_workers, self._cache)
        model = load_trained(network)
        check_sizes(model, [("scales", scale) for scale in self._protocol.scales or []] or [("size", size)])
        task = EvaluationTask(model, list(datasets), classes, self._protocol, inference, masks, scenes)
        results = evaluate(task, data, trainer)
        return results, task.faults.messages, trainer.is_global_zero
