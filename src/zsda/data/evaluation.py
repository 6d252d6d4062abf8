"""Labelled sets as an evaluation reads them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import lightning as L
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from zsda.core.errors import ConfigError
from zsda.data.faults import Fault, collate, load_or_fault
from zsda.data.samplers import UnpaddedSampler, check_loading
from zsda.data.samples import SegmentationDataset
from zsda.data.transforms import Size, resize_mask

Prepare = Callable[[Image.Image], Tensor]


class EvaluationDataset(Dataset[Any]):
    """Images as they are prepared for a network, with the labels to compare with.

    Args:
        dataset: images and labels.
        prepare: makes of an RGB image what is handed on, float32 [3, h, w].
        label_size: height, width that labels are brought to; None leaves them at their own.
    """

    def __init__(self, dataset: SegmentationDataset, prepare: Prepare, label_size: Size | None) -> None:
        self._dataset, self._prepare, self._label_size = dataset, prepare, label_size

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        """Returns ``image`` (float32 [3, h, w]), ``mask`` (uint8 [H, W]) and ``key``."""
        return load_or_fault(lambda: self._load(index))

    def _load(self, index: int) -> dict[str, Any]:
        sample = self._dataset[index]
        mask = sample["mask"] if self._label_size is None else resize_mask(sample["mask"], self._label_size)
        return {"image": self._prepare(sample["image"]), "mask": torch.tensor(mask), "key": sample["key"]}


def _keep_sizes(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stacks images of one size; others, and masks, stay a list, since native sizes differ within GTA5."""
    images, masks = ([sample.pop(what) for sample in samples] for what in ("image", "mask"))
    alike = len({image.shape for image in images}) == 1
    return {**default_collate(samples), "image": torch.stack(images) if alike else images, "mask": masks}


class EvaluationData(L.LightningDataModule):
    """The settings to evaluate on, one loader each; under several processes every image is in exactly one share.

    Args:
        settings: setting name -> dataset.
        prepare: see `EvaluationDataset`; loader processes call it.
        label_size: see `EvaluationDataset`.
        batch_size: images per step.
        num_workers: loader processes.

    Raises:
        ConfigError: numbers that no loader takes.
    """

    def __init__(
        self,
        settings: Mapping[str, SegmentationDataset],
        prepare: Prepare,
        label_size: Size | None = None,
        batch_size: int = 4,
        num_workers: int = 4,
    ) -> None:
        super().__init__()
        check_loading(batch_size, num_workers)
        self.settings = dict(settings)
        self._prepare, self._label_size = prepare, label_size
        self._batch_size, self._num_workers = batch_size, num_workers

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each setting, in their order."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return [self._loader(dataset, rank, world) for dataset in self.settings.values()]

    def _loader(self, dataset: SegmentationDataset, rank: int, world: int) -> DataLoader[Any]:
        if len(dataset) < world:
            raise ConfigError(f"{dataset.name}: {len(dataset)} images for {world} processes; use machine.devices=1")
        return DataLoader(
            EvaluationDataset(dataset, self._prepare, self._label_size),
            sampler=UnpaddedSampler(len(dataset), rank, world),
            batch_size=self._batch_size,
            num_workers=self._num_workers,
            collate_fn=partial(collate, stack=_keep_sizes),
            generator=torch.Generator().manual_seed(0),
        )
