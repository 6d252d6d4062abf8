"""Labelled sets as an evaluation reads them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from zsda.core.errors import ConfigError
from zsda.data.faults import Fault, collate, load_or_fault
from zsda.data.labels import LabelSize
from zsda.data.samplers import UnpaddedSampler, check_loading
from zsda.data.samples import SegmentationDataset
from zsda.data.transforms import EvaluationTransform, resize_mask


class EvaluationDataset(Dataset[Any]):
    """Images at the size the network sees, with the labels to compare with.

    Args:
        dataset: images and labels.
        transform: what the network sees.
        labels: the size that they are brought to.
    """

    def __init__(self, dataset: SegmentationDataset, transform: EvaluationTransform, labels: LabelSize) -> None:
        self._dataset, self._transform, self._labels = dataset, transform, labels

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        """Returns ``image`` (float32 [3, h, w]), ``mask`` (uint8 [H, W]) and ``key``."""
        return load_or_fault(lambda: self._load(index))

    def _load(self, index: int) -> dict[str, Any]:
        sample = self._dataset[index]
        mask = sample["mask"] if self._labels == "native" else resize_mask(sample["mask"], self._transform.size)
        return {"image": self._transform(sample["image"]), "mask": torch.tensor(mask), "key": sample["key"]}


def _keep_mask_sizes(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stacks images; masks stay a list, since native sizes differ within GTA5."""
    masks = [sample.pop("mask") for sample in samples]
    return {**default_collate(samples), "mask": masks}


class EvaluationData(L.LightningDataModule):
    """The settings to evaluate on, one loader each; under several processes every image is in exactly one share.

    Args:
        settings: setting name -> dataset.
        size: height, width that the network sees.
        batch_size: images per step.
        num_workers: loader processes.
        labels: the size that labels are brought to.

    Raises:
        ConfigError: numbers that no loader takes.
    """

    def __init__(
        self,
        settings: Mapping[str, SegmentationDataset],
        size: Sequence[int] = (512, 1024),
        batch_size: int = 4,
        num_workers: int = 4,
        labels: LabelSize = "input",
    ) -> None:
        super().__init__()
        check_loading(batch_size, num_workers)
        self.settings = dict(settings)
        self.size, self._labels = tuple(size), labels
        self._batch_size, self._num_workers = batch_size, num_workers

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each setting, in their order."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return [self._loader(dataset, rank, world) for dataset in self.settings.values()]

    def _loader(self, dataset: SegmentationDataset, rank: int, world: int) -> DataLoader[Any]:
        if len(dataset) < world:
            raise ConfigError(f"{dataset.name}: {len(dataset)} images for {world} processes; use machine.devices=1")
        return DataLoader(
            EvaluationDataset(dataset, EvaluationTransform(self.size), self._labels),
            sampler=UnpaddedSampler(len(dataset), rank, world),
            batch_size=self._batch_size,
            num_workers=self._num_workers,
            collate_fn=partial(collate, stack=_keep_mask_sizes),
            generator=torch.Generator().manual_seed(0),
        )
