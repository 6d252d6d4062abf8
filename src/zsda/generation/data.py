"""Source images as groups of patches, ready to be edited together."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zsda.core.files import digest
from zsda.core.values import COUNT
from zsda.data.datasets.cityscapes import edit_path
from zsda.data.faults import Fault, collate, load_or_fault
from zsda.data.samplers import check_loading, group_loader
from zsda.data.samples import SegmentationDataset
from zsda.generation.domains import Domain
from zsda.generation.recipes import Recipe
from zsda.generation.store import GeneratedStore


class SourcePatches(Dataset[dict[str, Any] | Fault]):
    """Source images, each resized to the canvas and cut into the patches of a recipe.

    Args:
        source: the labelled images; only the images are read.
        recipe: what is cut out.
        domain: what the patches will become.
        seed: the seed of the run.
        limit: take the first so many images only; None takes all.

    Attributes:
        paths: where the edits of the images go, below a set, in order.
        images: the file of each.

    Raises:
        ConfigError: the limit leaves no image.
    """

    def __init__(
        self, source: SegmentationDataset, recipe: Recipe, domain: Domain, seed: int, limit: int | None = None
    ) -> None:
        COUNT.or_none().check("limit", limit)
        self._source = source
        self._places = {edit_path(source.split, sample.key): place for place, sample in enumerate(source.samples)}
        self.paths = sorted(self._places)[:limit]
        self.images = {path: self.original(path) for path in self.paths}
        self.recipe, self.domain, self.seed = recipe, domain, seed

    def original(self, path: str) -> Path:
        """Returns what an edit is made of, also one beyond the limit, or of another split in the layout of Cityscapes."""
        place = self._places.get(path)
        return self._source.root / path if place is None else self._source.samples[place].image

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        """Returns the image, or the fault that kept it from being read.

        ``source``: the path of its edit below a set; ``source_digest``: SHA-256 of the file; ``canvas``: uint8
        [3, H, W]; ``boxes``: list of `Box`; ``patches``: uint8 [N, 3, h, w].
        """
        return load_or_fault(partial(self._load, self.paths[index]))

    def _load(self, source: str) -> dict[str, Any]:
        canvas = self.recipe.draw_canvas(self._source.image(self._places[source]))
        boxes = self.recipe.boxes(self.seed, source, self.domain.name)
        return {
            "source": source,
            "source_digest": digest(self.images[source].read_bytes()),
            "canvas": canvas,
            "boxes": boxes,
            "patches": self.recipe.cut(canvas, boxes),
        }


def stack_patches(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Makes lists of the values of some samples, and batches of their tensors."""
    columns = {key: [sample[key] for sample in samples] for key in samples[0]}
    return {key: torch.stack(column) if isinstance(column[0], Tensor) else column for key, column in columns.items()}


def make_groups(count: int, patches_per_image: int, batch_size: int) -> list[range]:
    """Says which images are edited together: a function of the list of images and the batch size alone.

    What a network computes for an image can differ in the last bit with what else is in the batch. So an interrupted
    run must meet the same groups again; one that lacks a single image is edited as a whole.

    Args:
        count: number of images.
        patches_per_image: number of patches of each.
        batch_size: number of patches that are edited together; an image with more of them is a group of its own.
    """
    size = max(1, batch_size // patches_per_image)
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


class PatchDataModule(LightningDataModule):
    """Feeds a `GenerationTask` with the groups of which an image is not finished in the store.

    Under several processes rank r takes the groups r, r + world size and so on; the trainer must be built with
    ``use_distributed_sampler=False``.

    Args:
        patches: the source images.
        store: where the results go; brought in order once before anything is read.
        batch_size: number of patches that are edited together.
        num_workers: number of processes that read images; 0 reads in the main process.

    Raises:
        ConfigError: the batch size is less than 1, or the number of workers negative.
        StoreError: a link within the set leads to where images would be written.
    """

    def __init__(self, patches: SourcePatches, store: GeneratedStore, batch_size: int, num_workers: int = 0) -> None:
        super().__init__()
        check_loading(batch_size, num_workers)
        store.check_places(patches.paths)
        self.patches, self.store = patches, store
        self.batch_size, self.num_workers = batch_size, num_workers
        self.prepare_data_per_node = False  # one process of all brings the store in order
        self.allow_zero_length_dataloader_with_multiple_devices = True  # the last images may be fewer than the devices

    def prepare_data(self) -> None:
        """Brings the store in order, in one process only, while the others wait."""
        self.store.recover(self.patches.images)

    def setup(self, stage: str) -> None:
        """Finds the groups that are not finished; every process finds the same ones, whatever the memory of its device."""
        if self.trainer:
            self.batch_size = self.trainer.strategy.broadcast(self.batch_size)
        finished = self.store.finished()
        self.already = len(self.store.records().keys() & set(self.patches.paths))
        groups = make_groups(len(self.patches), self.patches.recipe.patches_per_image, self.batch_size)
        self.pending = [group for group in groups if any(self.patches.paths[i] not in finished for i in group)]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Leaves the batch where it is: only patches travel, and the editor takes them along."""
        return batch

    def predict_dataloader(self) -> DataLoader[Any]:
        """Returns the loader of this process."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        own = self.pending[rank::world]
        return group_loader(self.patches, own, self.num_workers, partial(collate, stack=stack_patches))
