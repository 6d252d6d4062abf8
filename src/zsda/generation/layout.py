"""Layout scores of a generated set: made after the images, and added to their lines in the manifest."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from zsda.data.datasets.cityscapes import edit_path
from zsda.data.faults import Fault, FaultLog, load_or_fault
from zsda.data.manifest import LAYOUT_NETWORK, LAYOUT_SCORE
from zsda.data.samplers import UnpaddedSampler
from zsda.data.samples import SegmentationDataset
from zsda.evaluation.layout import LayoutJudge
from zsda.generation.data import SourcePatches
from zsda.generation.store import GeneratedStore

_log = logging.getLogger(__name__)


class _Images(Dataset[dict[str, Any]]):
    """Edited images with the labels of their sources, and the paths of those."""

    def __init__(self, edits: SegmentationDataset, sources: Sequence[str], judge: LayoutJudge) -> None:
        self._edits, self._sources, self._judge = edits, sources, judge

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> dict[str, Any]:
        loaded = load_or_fault(lambda: self._load(index))
        return {"source": self._sources[index], "faults": [loaded]} if isinstance(loaded, Fault) else loaded

    def _load(self, index: int) -> dict[str, Any]:
        edit = self._edits[index]
        image, mask = self._judge.prepare(Image.fromarray(edit["image"]), edit["mask"])
        return {"source": self._sources[index], "image": image, "mask": mask}


def _single(samples: list[dict[str, Any]]) -> dict[str, Any]:
    (sample,) = samples
    return sample


class LayoutData(LightningDataModule):
    """The images of a set that this judge has not scored yet, one by one; each process gets its share.

    Args:
        patches: what was edited.
        store: the concluded set that it was edited into.
        source: the labels.
        judge: what scores.
        num_workers: loader processes.
    """

    def __init__(
        self,
        patches: SourcePatches,
        store: GeneratedStore,
        source: SegmentationDataset,
        judge: LayoutJudge,
        num_workers: int,
    ) -> None:
        super().__init__()
        self.patches, self.store, self.judge = patches, store, judge
        self._source, self._num_workers = source, num_workers
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def setup(self, stage: str) -> None:
        """Finds what is not scored; what could not be read, or had no labelled pixel, may since have been mended."""
        records = self.store.records()
        self.pending = [
            source
            for source in self.patches.paths
            if source in records
            and (records[source].get(LAYOUT_NETWORK) != self.judge.digest or records[source].get(LAYOUT_SCORE) is None)
        ]

    def predict_dataloader(self) -> DataLoader[Any]:
        """Returns the loader of this process."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        source, root = self._source, self.store.root
        samples = {edit_path(source.split, sample.key): sample for sample in source.samples}
        edited = [replace(samples[path], image=root / path, sizes="own") for path in self.pending]
        edits = SegmentationDataset(edited, root.name, root, source.split, self.judge.classes, source.reader)
        return DataLoader(
            _Images(edits, self.pending, self.judge),
            sampler=UnpaddedSampler(len(self.pending), rank, world),
            batch_size=1,  # a score must not depend on what else is in a batch
            num_workers=self._num_workers,
            collate_fn=_single,
        )


class LayoutTask(LightningModule):
    """Scores edited images.

    Args:
        judge: what scores.
        faults: where images are counted that cannot be scored, as they or their labels cannot be read.
    """

    def __init__(self, judge: LayoutJudge, faults: FaultLog) -> None:
        super().__init__()
        self.network = judge.network  # so that Lightning moves it to the device
        self._judge, self.faults = judge, faults

    def predict_step(self, batch: dict[str, Any], _index: int) -> dict[str, Mapping[str, Any]]:
        """Returns source -> what belongs into its line."""
        readable = "faults" not in batch
        self.faults.take(batch)
        score = self._judge.score(batch["image"], batch["mask"]) if readable else None
        return {batch["source"]: {LAYOUT_SCORE: score, LAYOUT_NETWORK: self._judge.digest}}


class LayoutWriter(BasePredictionWriter):
    """Adds every score to its line as soon as it is known."""

    def __init__(self) -> None:
        super().__init__("batch")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Mapping[str, Mapping[str, Any]],
        batch_indices: Sequence[int] | None,
        batch: Any,  # noqa: ANN401 - Lightning's signature
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Amends the lines of one batch."""
        data: LayoutData = trainer.datamodule  # type: ignore[attr-defined]  # set by predict(datamodule=...)
        for source, values in prediction.items():
            data.store.amend(source, values, trainer.global_rank)


def complete_scores(trainer: Trainer, task: LayoutTask, data: LayoutData) -> None:
    """Scores the images of a set that lack a score of this judge, and says what their mean is.

    Args:
        trainer: built with a `LayoutWriter` and ``use_distributed_sampler=False``.
        task: what scores.
        data: the set.

    Raises:
        StoreError: the set cannot be written, or another run is writing to it.
    """
    trainer.predict(task, datamodule=data, return_predictions=False)
    trainer.strategy.barrier()  # what the slowest process wrote counts as well
    task.faults.gather()
    if trainer.is_global_zero:
        data.store.conclude()
        records = data.store.records()
        found = (records[path] for path in data.patches.paths if path in records)
        known = [
            record[LAYOUT_SCORE]
            for record in found
            if record.get(LAYOUT_NETWORK) == data.judge.digest and record.get(LAYOUT_SCORE) is not None
        ]
        if known:
            _log.info("%s: layout score %.3f, the mean of %d images", data.store.root.name, fmean(known), len(known))
