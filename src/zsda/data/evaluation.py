"""Labelled sets as an evaluation reads them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from zsda.core.errors import ConfigError
from zsda.core.signals import outlive_signals
from zsda.data.cache import Cache, Wanted
from zsda.data.colours import finish
from zsda.data.faults import Fault, collate, load_or_fault
from zsda.data.resizing import Size
from zsda.data.samplers import UnpaddedSampler, check_loading
from zsda.data.samples import SegmentationDataset


class EvaluationDataset(Dataset[Any]):
    """Images as a network sees them, with the labels to compare with.

    Args:
        dataset: images and labels.
        size: height, width that images are resized to; None leaves them at their own.
        label_size: the same of labels.
    """

    def __init__(self, dataset: SegmentationDataset, size: Size | None, label_size: Size | None) -> None:
        self._dataset, self._size, self._label_size = dataset, size, label_size

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        """Returns ``image`` (uint8 [h, w, 3]), ``mask`` (uint8 [H, W]) and ``key``."""
        return load_or_fault(lambda: self._load(index))

    def _load(self, index: int) -> dict[str, Any]:
        sample = self._dataset.load(index, self._size, self._label_size)
        return {"image": torch.tensor(sample["image"]), "mask": torch.tensor(sample["mask"]), "key": sample["key"]}


def _keep_sizes(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stacks images of one size; others, and masks, stay a list, since native sizes differ within GTA5."""
    images, masks = ([sample.pop(what) for sample in samples] for what in ("image", "mask"))
    alike = len({image.shape for image in images}) == 1
    return {**default_collate(samples), "image": torch.stack(images) if alike else images, "mask": masks}


class EvaluationData(L.LightningDataModule):
    """The settings to evaluate on, one loader each; under several processes every image is in exactly one share.

    Args:
        settings: setting name -> dataset.
        size: see `EvaluationDataset`.
        label_size: see `EvaluationDataset`.
        batch_size: images per step.
        num_workers: loader processes.
        cache: keeps the images and labels decoded; None decodes them every time.

    Raises:
        ConfigError: numbers that no loader takes.
    """

    def __init__(
        self,
        settings: Mapping[str, SegmentationDataset],
        size: Size | None,
        label_size: Size | None = None,
        batch_size: int = 4,
        num_workers: int = 4,
        cache: Cache | None = None,
    ) -> None:
        super().__init__()
        check_loading(batch_size, num_workers)
        self.settings = {
            name: dataset if cache is None else dataset.read_by(cache.reader) for name, dataset in settings.items()
        }
        self._cache = cache
        self._size, self._label_size = size, label_size
        self._batch_size, self._num_workers = batch_size, num_workers

    def wanted(self) -> list[Wanted]:
        """Returns what is read."""
        return [Wanted(dataset, self._size, self._label_size) for dataset in self.settings.values()]

    def prepare_data(self) -> None:
        """Decodes what is read, in one process of a machine, while the others wait."""
        if self._cache is not None:
            self._cache.fill(self.wanted(), self._num_workers)

    def setup(self, stage: str) -> None:
        """Learns what is decoded already."""
        if self._cache is not None:
            self._cache.know(self.wanted())

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each setting, in their order."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return [self._loader(dataset, rank, world) for dataset in self.settings.values()]

    def _loader(self, dataset: SegmentationDataset, rank: int, world: int) -> DataLoader[Any]:
        if len(dataset) < world:
            raise ConfigError(f"{dataset.name}: {len(dataset)} images for {world} processes; use machine.devices=1")
        return DataLoader(
            EvaluationDataset(dataset, self._size, self._label_size),
            sampler=UnpaddedSampler(len(dataset), rank, world),
            batch_size=self._batch_size,
            num_workers=self._num_workers,
            collate_fn=partial(collate, stack=_keep_sizes),
            generator=torch.Generator().manual_seed(0),
            worker_init_fn=outlive_signals,
        )

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Scales images to what networks take, where they lie."""
        return finish(batch)
