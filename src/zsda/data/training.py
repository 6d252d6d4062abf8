"""What every training reads: a labelled source, sets that it watches, and batches that all processes share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from zsda.core.errors import ConfigError
from zsda.core.seeds import phase_seed
from zsda.core.signals import outlive_signals
from zsda.data.cache import Cache, Wanted
from zsda.data.colours import finish
from zsda.data.evaluation import EvaluationData
from zsda.data.faults import collate
from zsda.data.resizing import Size
from zsda.data.samples import SegmentationDataset


class TrainingData(L.LightningDataModule, ABC):
    """The base of what trainings read.

    Args:
        source: the labelled training images.
        setting: the setting that shows the source by itself.
        watched: name -> labelled images to score in between.
        size: height, width at which those are scored.
        batch_size: scenes of an optimiser step, which the processes share.
        num_workers: loader processes.
        seed: of order and augmentation.
        phase: number of the phase that it is for, from 0; each has an order and an augmentation of its own.
        cache: what the reader of the data sets keeps decoded; None where they are decoded every time.

    Attributes:
        watched: the sets that are scored in between.
        batch_size: scenes of an optimiser step.
        num_workers: loader processes.
        target: the setting that shows what is adapted to; None where the source alone is seen.
        unlabelled_name: how the images without labels are called; None where there are none.

    Raises:
        ConfigError: numbers that no loader takes.
    """

    target: str | None = None
    unlabelled_name: str | None = None

    def __init__(
        self,
        source: SegmentationDataset,
        setting: str,
        watched: Mapping[str, SegmentationDataset],
        size: Size,
        batch_size: int,
        num_workers: int,
        seed: int,
        phase: int,
        cache: Cache | None,
    ) -> None:
        super().__init__()
        self.source, self.setting = source, setting
        self.watched = EvaluationData(watched, size, size, batch_size, num_workers, cache)
        self._cache, self._size_of_watched = cache, size
        if batch_size < 2:
            raise ConfigError(
                "data.batch_size=1; expected at least 2, batch normalisation learns nothing from one image"
            )
        self.batch_size, self.num_workers = batch_size, num_workers
        self.drawing = phase_seed(seed, phase)

    @abstractmethod
    def describe(self) -> str:
        """Says what is read, and how many scenes that is."""

    @abstractmethod
    def fingerprints(self) -> dict[str, str]:
        """Returns name -> what tells its files from others; see `zsda.data.samples.fingerprint`."""

    @abstractmethod
    def label_files(self) -> list[Path]:
        """Returns where the labels lie that are trained on."""

    @abstractmethod
    def wanted(self) -> Sequence[Wanted]:
        """Returns what is read again in each epoch, beside the sets that are watched."""

    def shown(self) -> list[tuple[str, Size]]:
        """Returns option -> height, width of all images that a network is shown."""
        return [("data.transform.size", self._size_of_watched)] if self.watched.settings else []

    def prepare_data(self) -> None:
        """Decodes what is read again in each epoch, in one process of a machine, while the others wait."""
        if self._cache is not None:
            self._cache.fill([*self.wanted(), *self.watched.wanted()], self.num_workers)

    def setup(self, stage: str) -> None:
        """Learns what is decoded already."""
        if self._cache is not None:
            self._cache.know([*self.wanted(), *self.watched.wanted()])

    def share(self, world: int) -> int:
        """Returns how many scenes of a batch each of ``world`` processes takes.

        Raises:
            ConfigError: it is no whole number.
        """
        share, rest = divmod(self.batch_size, world)
        if rest:
            raise ConfigError(
                f"data.batch_size={self.batch_size} counts the scenes of all devices together and cannot be shared by {world}; "
                f"give a multiple of {world}, or other machine.devices="
            )
        return share

    def check_shared(self, world: int, synchronised: bool) -> None:
        """Refuses batches that several processes cannot share.

        Args:
            world: number of processes.
            synchronised: whether batch normalisation sees the shares of all of them.

        Raises:
            ConfigError: a share is no whole number, or too small for a batch normalisation of its own.
        """
        if self.share(world) == 1 and not synchronised:
            raise ConfigError(
                f"data.batch_size={self.batch_size} on {world} devices leaves one scene each, of which batch normalisation learns "
                "nothing; expected machine.sync_batchnorm=true, fewer machine.devices= or a larger data.batch_size="
            )

    def place(self) -> tuple[int, int]:
        """Returns the number of this process, and of all."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def loader(self, dataset: Dataset[Any], sampler: Sampler[Any]) -> DataLoader[Any]:
        """Returns the loader of a training set; the last incomplete batch is dropped, as published."""
        return DataLoader(
            dataset,
            sampler=sampler,
            batch_size=self.share(self.place()[1]),
            num_workers=self.num_workers,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(self.drawing),
            drop_last=True,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=outlive_signals,
        )

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each watched set."""
        self.watched.trainer = self.trainer
        return self.watched.test_dataloader()

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Changes the colours of a batch and scales it, where it lies; see `zsda.data.colours.finish`."""
        return finish(batch)
