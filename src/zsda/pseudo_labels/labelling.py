"""Predicts pseudo labels under Lightning: batch by batch in one order, whatever the number of loaders and devices."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from zsda.core.errors import ModelError, StoreError
from zsda.core.files import write_atomic
from zsda.core.seeds import hash32
from zsda.core.values import SIZE
from zsda.data.colours import finish
from zsda.data.faults import Fault, FaultLog, collate, load_or_fault
from zsda.data.labels import IGNORE
from zsda.data.resizing import Size, resize_to_nearest
from zsda.data.samplers import check_loading, group_loader
from zsda.data.samples import SegmentationDataset
from zsda.evaluation.inference import of_classes
from zsda.models.torch_files import read_torch_file
from zsda.pseudo_labels.selectors import Selector
from zsda.pseudo_labels.store import PseudoLabelWriter

_STATE = {"selector", "batches", "left_out"}


class ResizedImages(Dataset[Any]):
    """Images as HIAST labels them: resized by OpenCV, bilinear.

    Args:
        dataset: the images.
        size: height, width that they are brought to.
        with_labels: whether their labels are read as well; otherwise nothing looks at them.
    """

    def __init__(self, dataset: SegmentationDataset, size: Size, with_labels: bool = False) -> None:
        self._dataset, self._size, self._with_labels = dataset, size, with_labels

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        """Returns ``image``, uint8 [h, w, 3], ``index`` and, where labels are read, ``given``, int64 [h, w]."""
        return load_or_fault(lambda: self._load(index))

    def _load(self, index: int) -> dict[str, Any]:
        pixels = cv2.resize(self._dataset.pixels(index), tuple(self._size)[::-1], interpolation=cv2.INTER_LINEAR)
        found = {"image": torch.tensor(pixels), "index": index}
        if self._with_labels:
            found["given"] = torch.from_numpy(resize_to_nearest(self._dataset.mask(index), self._size).astype(np.int64))
        return found


class LabellingData(L.LightningDataModule):
    """The images in batches, in an order drawn once; with a selector that observes, all of them twice.

    Under several processes rank r takes every ``world size``-th batch from its own on. As they take turns, each has as many batches, the
    last of which may be empty.

    Args:
        dataset: the images.
        size: height, width at which they are predicted and labelled.
        batch_size: images of a batch, the last of which may be smaller.
        num_workers: loader processes.
        seed: of the order.
        observes: whether all are seen once before the first is labelled.
        with_labels: see `ResizedImages`.
        done: how many batches an earlier start has taken.

    Attributes:
        batches: the indices of each batch, all in their order.

    Raises:
        ConfigError: numbers that make no sense.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        size: Size,
        batch_size: int,
        num_workers: int,
        seed: int,
        observes: bool = False,
        with_labels: bool = False,
        done: int = 0,
    ) -> None:
        super().__init__()
        SIZE.check("size", size)
        check_loading(batch_size, num_workers)
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(hash32(seed, "labels"))).tolist()
        once = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
        self.batches = once * (2 if observes else 1)
        self.observed = len(once) if observes else 0
        self.done = done
        self._images, self._num_workers = ResizedImages(dataset, size, with_labels), num_workers

    def predict_dataloader(self) -> DataLoader[Any]:
        """Returns the loader of this process."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        left = self.batches[self.done :]
        turns = -(-len(left) // world)
        own = [left[place] if place < len(left) else [] for place in range(rank, turns * world, world)]
        return group_loader(self._images, own, self._num_workers, collate)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Scales images to what networks take, where they lie."""
        return finish(batch)


class LabellingTask(L.LightningModule):
    """Labels batch after batch with a selector whose thresholds move from one to the next, or checks the labels that the batches bring.

    Several processes predict at the same time and select in turns: each takes over what the selector knew after the batch before, so that
    the labels are those of one process. What is known after a batch is on disk by the end of the next, and an interrupted labelling goes on
    from there to the same labels. A damaged image has a label all of whose pixels are ignored.

    Args:
        model: normalised images [B, 3, h, w] -> logits [B, C', h, w], C' at least C; further outputs are left out.
        selector: of C classes.
        data: the images in their order; its ``done`` is set to where an earlier start was.
        paths: of the images.
        size: height, width of the label maps.
        writer: receives them.
        state: the file that an interrupted labelling goes on from.

    Attributes:
        faults: the damaged images met so far, of all processes.

    Raises:
        StoreError: the file is none of this labelling.
    """

    def __init__(
        self,
        model: nn.Module,
        selector: Selector,
        data: LabellingData,
        paths: Sequence[Path],
        size: Size,
        writer: PseudoLabelWriter,
        state: Path,
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.faults = FaultLog()
        self._selector, self._data, self._paths, self._size = selector, data, paths, size
        self._writer, self._state = writer, state
        self._before: Mapping[str, Any] | None = None
        if state.is_file():
            found = _read(state)
            self._take_up(found)
            data.done = found["batches"]

    def predict_step(self, batch: dict[str, Any], index: int) -> int:
        """Labels a batch, and returns how many are done; every process calls it as often.

        Raises:
            ModelError: the network's outputs are not finite.
        """
        world, own = self.trainer.world_size, self.global_rank
        first = self._data.done + index * world
        probabilities = self._probabilities(batch["image"]) if self.faults.take(batch) else None
        if probabilities is not None and not probabilities.isfinite().all():
            raise ModelError(
                f"the network's outputs are not finite (NaN or infinity) for batch {first + own}; expected other weights"
            )
        labels: Tensor | None = None
        for turn in range(world):
            if turn == own and probabilities is not None:
                labels = self._turn(first + own, probabilities, batch.get("given"))
            if world > 1:
                self._take_up(self.trainer.strategy.broadcast(self._known(0), src=turn))
        # All processes have come this far, so the maps of the batches before are written.
        if own == 0 and self._before is not None:
            _write(self._state, self._before)
        self._before = self._known(min(first + world, len(self._data.batches)))
        if self._data.observed <= first + own < len(self._data.batches):
            self._write_labels(self._data.batches[first + own], batch, labels)
        return first + world

    def on_predict_end(self) -> None:
        """Lets every process know the damaged images of all."""
        self.faults.gather()

    def _probabilities(self, images: Tensor) -> Tensor:
        return of_classes(self.model(images).float(), self._selector.num_classes).softmax(dim=1)

    def _turn(self, place: int, probabilities: Tensor, given: Tensor | None) -> Tensor | None:
        if place < self._data.observed:
            self._selector.observe(probabilities)
            return None
        return self._selector.select(probabilities, given)

    def _write_labels(self, indices: Sequence[int], batch: Mapping[str, Any], labels: Tensor | None) -> None:
        found = {} if labels is None else dict(zip(batch["index"].tolist(), labels.cpu().numpy(), strict=True))
        ignored = np.full(tuple(self._size), IGNORE, np.uint8)
        for index in indices:
            self._writer.write(self._paths[index], found.get(index, ignored))

    def _known(self, batches: int) -> dict[str, Any]:
        return {"selector": self._selector.state_dict(), "batches": batches, "left_out": list(self.faults.messages)}

    def _take_up(self, known: Mapping[str, Any]) -> None:
        self._selector.load_state_dict(known["selector"])
        self.faults.add(known["left_out"])


def label(task: LabellingTask, data: LabellingData, trainer: L.Trainer) -> None:
    """Runs a labelling to its end.

    Args:
        task: says which network and selector.
        data: the images that it was made for.
        trainer: built with ``use_distributed_sampler=False``, so that each image is labelled once.
    """
    trainer.predict(task, datamodule=data, return_predictions=False)
    trainer.strategy.barrier()


def _write(path: Path, known: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(known), buffer)
    write_atomic(path, buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    way_out = f"delete {path.parent} to label anew"
    try:
        found = read_torch_file(path)
    except ModelError as error:
        raise StoreError(f"{error}; {way_out}") from error
    if not isinstance(found, dict) or found.keys() != _STATE or not isinstance(found["batches"], int):
        raise StoreError(f"{path} is no state of a labelling; {way_out}")
    return found
